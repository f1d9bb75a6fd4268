"""Derivatives through ``trace`` and ``unfold`` against finite differences in float64.

Row by row of ``solver_cases``: in the solver's own numbers, in y and in the operator; at generic
points, at y = 0 and where the solver ends; for matrices, Fourier, wavelet and composed operators.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal
from solver_cases import SOLVERS

import jaxinv as ji
from jaxinv.generators._relu import Relu

O = ji.operators
LINEAR = [
    case
    for case in SOLVERS
    if case.name.split("-")[0]
    in ("ista", "fista", "iht", "omp", "cosamp", "admm", "primal_dual", "basis_pursuit", "vamp")
]
# Steps from a norm of A are constants for differentiation. Where the operator is varied such a
# solver has to have converged, and so has one whose exact step is 0/0 at the solution.
STEPS = {"ista": 800, "fista": 400, "primal_dual": 1500, "iht-normalized": 60}
INNER = {
    "admm": "composed",
    "basis_pursuit": "downsample",
    "cosamp": "wavelet",
    "vamp": "convolution",
}
NUDGE = 1e-6


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def _floating(tree):
    """Split a tree into its floating leaves, and the function that puts them back."""
    leaves, structure = jax.tree.flatten(tree)
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    free = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def joined(values):
        values = iter(values)
        chosen = [next(values) if own else leaf for own, leaf in zip(free, leaves, strict=True)]
        return jax.tree.unflatten(structure, chosen)

    return [leaf for own, leaf in zip(free, leaves, strict=True) if own], joined


class Slopes:
    """A random linear function of the last iterate, as a function of all that it depends on."""

    def __init__(self, case, operator=None, num_steps=3):
        family, key = case.family(), jax.random.key(5)
        problem = family.sample(key)
        restarts = () if case.num_restarts is None else (case.num_restarts,)
        self.u0 = family.initial(key, *restarts)
        x = problem.signal(problem.truth.u)
        operator = problem.operator if operator is None else operator()
        y = operator(x)
        y = y + 0.05 * jax.random.normal(jax.random.key(8), y.shape, y.dtype)
        if jnp.iscomplexobj(y):
            self.u0 = self.u0.astype(y.dtype)  # as what the adjoint returns
        problem = problem._replace(truth=None)
        solver, with_numbers = _floating(case.make(case.values[0]))
        leaves, with_leaves = _floating(operator)
        self.point = {"solver": solver, "y": y, "operator": leaves}

        def through(loop: Any, point, u0):
            changed = problem._replace(operator=with_leaves(point["operator"]), y=point["y"])
            return loop(with_numbers(point["solver"]), changed, u0)

        def traced(point, u0):
            u = through(lambda a, b, c: ji.trace(a, b, c, num_steps)[0].u, point, u0)
            return jnp.sum(normal(jax.random.key(3), u.shape) * jnp.real(u)), u

        def unfolded(point, u0):
            def loop(solver, problem, u0):
                return ji.unfold(ji.Layers.repeat(solver, num_steps), problem, u0)

            u = through(loop, point, u0)
            return jnp.sum(normal(jax.random.key(3), u.shape) * jnp.real(u)), u

        self.call = jax.jit(jax.value_and_grad(traced, has_aux=True))
        self.unfolded = jax.jit(jax.value_and_grad(unfolded, has_aux=True))

    def quotient(self, point, part, direction, u0):
        """Return the central difference quotient along a direction of one part."""

        def value(length):
            moved = jax.tree.map(lambda a, b: a + length * b, point[part], direction)
            return self.call(point | {part: moved}, u0)[0][0]

        return (value(NUDGE) - value(-NUDGE)) / (2 * NUDGE)


def _direction(tree, seed):
    return jax.tree.map(lambda a: jax.random.normal(jax.random.key(seed), a.shape, a.dtype), tree)


def _along(gradient, direction):
    products = jax.tree.map(lambda g, d: jnp.real(jnp.sum(g * d)), gradient, direction)
    return sum(jax.tree.leaves(products))


def assert_slopes(slopes, point, u0, *, everywhere=True):
    """Compare with difference quotients; where these are not additive there is no derivative."""
    gradient = slopes.call(point, u0)[1]
    for leaf in jax.tree.leaves(gradient):
        assert np.all(np.isfinite(leaf))
    for part, values in point.items():
        if not jax.tree.leaves(values):
            continue
        first = _direction(values, 17)
        expected = slopes.quotient(point, part, first, u0)
        if not everywhere:
            other = _direction(values, 18)
            both = jax.tree.map(jnp.add, first, other)
            total = expected + slopes.quotient(point, part, other, u0)
            if abs(slopes.quotient(point, part, both, u0) - total) > 1e-4 * (1 + abs(total)):
                continue
        np.testing.assert_allclose(
            _along(gradient[part], first), expected, rtol=2e-5, atol=2e-5, err_msg=part
        )


def _all_rows():
    """Every solver; a variant that takes its derivatives from another row's code is slow."""
    same = ("subgradient-stagnation", "levenberg_marquardt-restarts")
    return [
        pytest.param(case, id=case.name, marks=(pytest.mark.slow,) if case.name in same else ())
        for case in SOLVERS
    ]


@pytest.mark.parametrize("case", _all_rows())
def test_gradients_of_every_solver(case):
    slopes = Slopes(case, num_steps=STEPS.get(case.name, 3))
    point, u0 = slopes.point, slopes.u0
    assert_slopes(slopes, point, u0)
    assert_slopes(slopes, point | {"y": 0 * point["y"]}, u0, everywhere=False)
    if case.name in ("cgls", "lsqr"):
        return  # at the minimizer a step is 0/0; least_squares is differentiated there
    late = u0
    for _ in range(300):
        u = slopes.call(point, late)[0][1]
        late = u if case.num_restarts is None else jnp.stack([u] * case.num_restarts)
    assert_slopes(slopes, point, late)


@pytest.mark.parametrize("name", ["iht-normalized", "cosamp"])
def test_gradients_of_a_network_are_those_of_its_steps(name):
    slopes = Slopes(next(case for case in SOLVERS if case.name == name))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10),
        slopes.unfolded(slopes.point, slopes.u0),
        slopes.call(slopes.point, slopes.u0),
    )


def _as_relu(weights, z):
    return Relu(weights)(z)


def test_gradients_in_the_weights_of_a_prior_whose_piece_is_kept():
    family, key = ji.problems.generative((2, 20, 24), 18, dtype=floats()), jax.random.key(5)
    problem, u0 = family.sample(key)._replace(truth=None), family.initial(key)

    def gradient(prior):
        def last(weights):
            trial = problem._replace(prior=dataclasses.replace(prior, params=weights))
            return jnp.sum(ji.trace(ji.solvers.subgradient(0.3), trial, u0, 3)[0].u)

        return jax.grad(last)(problem.prior.params)

    plain = ji.generators.from_function(_as_relu, problem.prior.params, in_shape=2)
    for one, other in zip(gradient(problem.prior), gradient(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def _mask():
    return jax.random.bernoulli(jax.random.key(9), 0.6, (24,))


def _convolution():
    return O.convolution(normal(jax.random.key(9), (5,)), (24,))


def _wavelet():
    return O.mask(_mask()) @ O.wavelet((24,), "haar", 1).H


def _composed():
    return O.gaussian(jax.random.key(9), 16, 24, dtype=floats()) @ O.wavelet((24,), "haar", 1).H


OPERATORS = {
    "downsample": lambda: O.downsample(2, (24,)),
    "convolution": _convolution,
    "fourier": lambda: O.subsampled_fourier(_mask()),
    "wavelet": _wavelet,
    "composed": _composed,
}


def _operator_rows():
    """Every solver with every operator; not slow are those with an inner solve, with one each."""
    found = []
    for case in LINEAR:
        for name in OPERATORS:
            if (case.name, name) in (("vamp", "fourier"), ("admm", "downsample")):
                continue  # refused; and solved only to a tenth of the error until it converges
            if case.name in ("cosamp", "iht-normalized") and name == "downsample":
                continue  # its columns are equal in pairs: a support has many least squares
            fast = INNER.get(case.name) == name
            marks = () if fast else (pytest.mark.slow,)
            found.append(pytest.param(case, name, id=f"{case.name}-{name}", marks=marks))
    return found


@pytest.mark.parametrize(("case", "name"), _operator_rows())
def test_gradients_through_operators(case, name):
    slopes = Slopes(case, OPERATORS[name], STEPS.get(case.name, 3))
    assert_slopes(slopes, slopes.point, slopes.u0)


def test_levenberg_marquardt_past_a_failed_factorization_has_derivatives():
    """With more unknowns than measurements the damping falls until Cholesky fails."""
    matrix = normal(jax.random.key(1), (10, 20), jnp.float32) / 10**0.5

    def total(y, num_steps):
        problem = ji.Problem(ji.operators.dense(matrix), y)
        solver = ji.solvers.levenberg_marquardt()
        return ji.trace(solver, problem, jnp.ones(20, jnp.float32), num_steps)[0].u.sum()

    y = jnp.ones(10, jnp.float32)
    early, late = (jax.grad(total)(y, num_steps) for num_steps in (6, 14))
    np.testing.assert_allclose(late, early, rtol=1e-2)
