"""Networks that solve the Lasso, trained on its objective, and what they leave of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import pytree
from jaxinv.operators._dense import Dense
from jaxinv.problems import Family, Problem
from jaxinv.prox._entrywise import Soft
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import Layers, fista, ista, lasso, solve, unfold
from jaxinv.unfolded import Coupled, analytic_weights, fit, step_lista

STEP_LISTA, LISTA, ALISTA, ISTA, FISTA = "step-LISTA", "LISTA", "ALISTA", "ISTA", "FISTA"
TRAINED = (STEP_LISTA, LISTA, ALISTA)
STEP_SHAPE, STEP_PENALTY, STEP_LAYERS = (10, 20), 0.2, 20  # the published figure of the steps

_TOL, _MAX_SOLVER_STEPS = 1e-7, 30


class Study(NamedTuple):
    """The size of the study.

    Attributes:
        shape: of D.
        depths: numbers of layers; one network is trained for each.
        num_problems: fresh test problems.
        steps: of Adam, for every trained network alike.
        batch_size: problems a step.
        num_descent: steps tried by full-batch descent, on ``num_problems`` problems.
    """

    shape: tuple[int, int] = (64, 256)
    depths: tuple[int, ...] = (2, 4, 8, 16)
    num_problems: int = 1000
    steps: int = 400
    batch_size: int = 64
    num_descent: int = 300


@pytree
class Codes(Family):
    """Problems y = D z / ‖Dᵀ D z‖_∞ of dense Gaussian z: the largest useful penalty is 1."""

    operator: Dense

    @property
    def axes(self) -> Problem:
        return Problem(operator=None, y=0, prior=None, truth=None)

    def sample(self, key: Any) -> Problem:
        matrix = self.operator.matrix
        y = self.operator(jax.random.normal(key, matrix.shape[1:], matrix.dtype))
        return Problem(self.operator, y / jnp.max(jnp.abs(self.operator.adjoint(y))))

    def initial(self, key: Any) -> Array:
        del key
        return jnp.zeros(self.operator.in_shape, self.operator.matrix.dtype)


@pytree
class CoupledLasso(Coupled):
    """A coupled layer that knows the Lasso it is to solve, so that it trains without truth."""

    prox: Any = None

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self.prox.value(u)


def draw_family(key: Any, shape: tuple[int, int]) -> Codes:
    matrix = jax.random.normal(key, shape, jnp.float32)
    return Codes(Dense(matrix / jnp.linalg.norm(matrix, axis=0)))


def _lipschitz(family: Codes) -> float:
    return float(np.linalg.norm(np.asarray(family.operator.matrix, float), 2) ** 2)


def _network(name: str, family: Codes, depth: int, penalty: float) -> Layers:
    """Return an untrained network; all but ALISTA then are steps of the solver they come from."""
    operator, step_size = family.operator, 1 / _lipschitz(family)
    if name == STEP_LISTA:
        return step_lista(operator, depth, penalty)
    if name in (ISTA, FISTA):
        solver = ista(step_size, penalty) if name == ISTA else fista(step_size, penalty)
        return Layers.repeat(solver, depth)
    matrix = operator.matrix
    weights = matrix if name == LISTA else analytic_weights(matrix)
    step, threshold, weight = (
        jnp.asarray(value, matrix.dtype) for value in (step_size, step_size * penalty, penalty)
    )
    solver = CoupledLasso(weights, step, threshold, operator, prox=Soft(weight))
    trained = ("weights",) if name == LISTA else ()
    return Layers.repeat(
        solver,
        depth,
        shared=("operator", "prox") if name == LISTA else ("operator", "prox", "weights"),
        trainable=(*trained, "step_size", "threshold"),
    )


class Case(NamedTuple):
    """What one penalty gives.

    Attributes:
        excess: F − F* of each test problem, by network and depth.
        at_zero: mean F(0) − F*.
        gap: mean duality gap of the reference, which bounds the error of the mean of F*.
        steps: trained step sizes times L, by depth.
    """

    excess: Mapping[str, Mapping[int, np.ndarray]]
    at_zero: float
    gap: float
    steps: Mapping[int, np.ndarray]


def solve_case(
    study: Study, settings: Settings, family: Codes, penalty: float, counter: Counter
) -> Case:
    train_key, test_key = jax.random.split(jax.random.fold_in(settings.key, 1))
    keys = jax.random.split(test_key, trials(settings, study.num_problems))
    problems = family.batch(keys)
    best = _polished(_solutions(penalty, problems), problems, penalty)
    values, gaps = _values(best, problems, penalty)
    excess: dict[str, dict[int, np.ndarray]] = {}
    steps = {}
    for name in TRAINED:
        excess[name] = {}
        for depth in study.depths:
            layers = _network(name, family, depth, penalty)
            layers = _trained(study, train_key, layers, family, counter, name)
            found = _values(_outputs(layers, problems), problems, penalty)[0]
            excess[name][depth] = found - values
            if name == STEP_LISTA:
                steps[depth] = _lipschitz(family) * np.asarray(layers.solver.step_size)
    for name in (ISTA, FISTA):
        outputs = _outputs(_network(name, family, max(study.depths), penalty), problems, True)
        excess[name] = {
            depth: _values(outputs[:, depth - 1], problems, penalty)[0] - values
            for depth in study.depths
        }
    start = _values(np.zeros_like(best), problems, penalty)[0]
    return Case(excess, float(np.mean(start - values)), float(np.mean(gaps)), steps)


def _trained(
    study: Study,
    key: Any,
    layers: Layers,
    family: Codes,
    counter: Counter,
    name: str,
) -> Layers:
    """Train on the Lasso objective of fresh problems, the same for every network."""
    found = fit(
        key,
        layers,
        family,
        num_steps=study.steps,
        loss="lasso",
        batch_size=study.batch_size,
        validation_size=8 * study.batch_size,
        progress=lambda report: counter.share(name, report.step / study.steps),
    )
    counter.next(name)
    return found.layers


@jax.jit
def _solutions(penalty: Any, problems: Problem) -> Array:
    """Return the solutions of the Lasso, (N, n), as far as float32 tells."""
    solver = lasso(penalty, shared=True)
    start = jnp.zeros(problems.operator.in_shape, problems.y.dtype)

    def one(y: Array) -> Array:
        problem = Problem(problems.operator, y)
        return solve(solver, problem, start, tol=_TOL, max_steps=_MAX_SOLVER_STEPS).u

    return lax.map(one, problems.y, batch_size=8)


@partial(jax.jit, static_argnums=2)
def _outputs(layers: Layers, problems: Problem, all_layers: bool = False) -> Array:
    run = partial(unfold, all_layers=all_layers)
    axes = Problem(operator=None, y=0, prior=None, truth=None)
    return jax.vmap(run, in_axes=(None, axes))(layers, problems)


def _polished(u: Array, problems: Problem, penalty: float) -> np.ndarray:
    """Return solutions in double precision: for given signs the Lasso is linear on the support."""
    matrix, targets = np.asarray(problems.operator.matrix, float), np.asarray(problems.y, float)
    found = np.array(u, float)
    for code, y in zip(found, targets, strict=True):
        support = np.flatnonzero(code)
        columns = matrix[:, support]
        pull = columns.T @ y - penalty * np.sign(code[support])
        code[support] = np.linalg.lstsq(columns.T @ columns, pull)[0]
    # other signs than the minimizer's would leave a larger gap
    better = _values(found, problems, penalty)[1] < _values(u, problems, penalty)[1]
    return np.where(better[:, None], found, np.asarray(u, float))


def _values(u: Any, problems: Problem, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return F(u) and the duality gap at u, one per problem, in double precision.

    Near its minimum F is flat, so that float32 outputs give F − F* far below their own rounding.
    """
    matrix = np.asarray(problems.operator.matrix, float)
    codes, y = np.asarray(u, float), np.asarray(problems.y, float)
    residual = y - codes @ matrix.T
    value = 0.5 * np.sum(residual**2, axis=1) + penalty * np.sum(np.abs(codes), axis=1)
    largest = np.max(np.abs(residual @ matrix), axis=1)
    dual = np.minimum(1, penalty / np.maximum(largest, penalty))[:, None] * residual
    return value, value - 0.5 * (np.sum(y**2, axis=1) - np.sum((y - dual) ** 2, axis=1))


class Learned(NamedTuple):
    """Trained steps, and the quartiles of 1/‖D_S‖² over the supports S of each layer, times L."""

    steps: np.ndarray
    quartiles: np.ndarray


def learn_steps(study: Study, settings: Settings) -> Learned:
    """Train steps as published: one batch, descent with rate × 4 on success, / 2 on failure."""
    operator_key, data_key = jax.random.split(jax.random.fold_in(settings.key, 2))
    family = draw_family(operator_key, STEP_SHAPE)
    problems = family.batch(jax.random.split(data_key, trials(settings, study.num_problems)))
    layers = _network(STEP_LISTA, family, STEP_LAYERS, STEP_PENALTY)
    layers = _descend(layers, problems, jnp.float32(STEP_PENALTY), study.num_descent)
    scale, matrix = _lipschitz(family), np.asarray(family.operator.matrix, float)
    supports = np.asarray(_outputs(layers, problems, True) != 0)[:200]
    norms = [
        [np.linalg.norm(matrix[:, support], 2) ** 2 for support in layer if support.any()]
        for layer in np.swapaxes(supports, 0, 1)
    ]
    quartiles = [np.quantile(scale / np.asarray(each), (0.25, 0.5, 0.75)) for each in norms]
    return Learned(scale * np.asarray(layers.solver.step_size), np.asarray(quartiles))


@partial(jax.jit, static_argnums=3)
def _descend(layers: Layers, problems: Problem, penalty: Array, num_tries: int) -> Layers:
    weights, frozen = layers.partition()
    axes = Problem(operator=None, y=0, prior=None, truth=None)

    @jax.value_and_grad
    def objective(weights: Any) -> Array:
        outputs = _outputs(frozen.merge(weights), problems)
        values = jax.vmap(lambda u, problem: problem.loss(u), in_axes=(0, axes))(outputs, problems)
        return jnp.mean(values + penalty * jnp.sum(jnp.abs(outputs), axis=1))

    def attempt(_: Any, carry: Any) -> Any:
        weights, value, gradient, rate = carry
        tried = jax.tree.map(lambda w, g: w - rate * g, weights, gradient)
        found = (tried, *objective(tried))
        better = found[1] < value
        kept = jax.tree.map(partial(jnp.where, better), found, (weights, value, gradient))
        return *kept, jnp.where(better, 4 * rate, rate / 2)

    first = (weights, *objective(weights), jnp.ones((), penalty.dtype))
    return frozen.merge(lax.fori_loop(0, num_tries, attempt, first)[0])
