"""Gradient descent by any optax transformation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, static, units
from jaxinv._core.checks import as_function
from jaxinv._core.units import Scale
from jaxinv.problems import Problem
from jaxinv.problems._problem import prior_energy
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import LATENT_PENALTY, gradient_scale, latent_weight, tree_norm
from jaxinv.solvers._restarts import Restarts, with_restarts
from jaxinv.solvers._transform import is_linear

if TYPE_CHECKING:
    import optax  # at run time inside functions: it takes as long to import as the library


_EXTREME = 2.0**30  # units whose square still leaves room for a small gradient
_SMALL, _LARGE = 2.0**-10, 2.0**30  # first gradients that optax's constants are made for


class GradientState(NamedTuple):
    """State of ``gradient``."""

    u: Any
    optimizer: Any
    scale: Array


@pytree
class Gradient(Solver):
    """See ``gradient``."""

    regularizer: Any
    hyperparams: dict[str, Any]
    transform: optax.GradientTransformationExtraArgs = static()
    latent_penalty: Any = None
    held: Scale | None = None

    units = units.table(scale=units.GRADIENT)
    takes_trees = True
    misfits = "any"
    scales_unknown = False  # a transformation has steps, and keeps numbers, of units of its own

    def to_units(self, scale: Scale) -> Gradient:
        penalty = units.to_units(self.latent_penalty, LATENT_PENALTY, scale)
        return replace(self, held=scale, latent_penalty=penalty)

    def check(self, where: str) -> None:
        for name, value in self.hyperparams.items():
            if getattr(value, "ndim", 0):
                hint = "For one value per trial use jax.vmap over the solver."
                checks.fail(where, f"solver.hyperparams[{name!r}]", "be a scalar", value, hint)

    def objective(self, problem: Problem, u: Any) -> Array:
        loss = problem.loss(u)
        return loss + self._regularization(problem, u).astype(loss.dtype)

    def _regularization(self, problem: Problem, u: Any) -> Array:
        total = jnp.zeros(())
        if self.latent_penalty is not None:
            energy = prior_energy(problem.prior, u)
            total = jnp.asarray(self.latent_penalty).astype(energy.dtype) * energy
        if self.regularizer is None:
            return total
        penalty = jnp.asarray(self.regularizer(u))
        if penalty.ndim or jnp.iscomplexobj(penalty):
            checks.fail("gradient", "regularizer", "return a real scalar", penalty)
        return total + (
            penalty if self.held is None else units.to_units(penalty, units.LOSS, self.held)
        )

    def _handed(self, state: GradientState) -> Callable[[Any], Any]:
        """Return what puts a loss or a gradient into the units in which optax gets them.

        They are those of the caller, where the first gradient is of a usual size in them: no
        constant such as Adam's ``eps`` suits others. Else they are that gradient's order.
        """
        held = self.held
        if held is None:
            return lambda tree: tree
        order = numerics.order(state.scale)
        size = units.from_units(order, units.LOSS, held)  # 0 or infinite where it is no number
        size = size.astype(jnp.float32)  # half precision has no number for the bounds
        usual = (size > _SMALL) & (size < _LARGE)

        def one(leaf: Array) -> Array:
            divided = leaf / order.astype(numerics.real_dtype(leaf.dtype))
            return jnp.where(usual, units.from_units(leaf, units.LOSS, held), divided)

        return lambda tree: jax.tree.map(one, tree)

    def _update(self, loss: Array, gradient: Any, state: GradientState, value_fn: Any) -> Any:
        """Return the updates and the transformation's state.

        In extreme units the gradient may not be representable where the update is: of a
        transformation that is linear, as plain descent is, half of the unit goes to the updates.
        """
        if self.held is None or not is_linear(self.transform, state.u):
            handed = self._handed(state)
            loss, gradient = handed(loss), handed(gradient)
            return self.transform.update(
                gradient, state.optimizer, state.u, value=loss, grad=gradient, value_fn=value_fn
            )
        data = self.held.data
        extent = data.astype(jnp.float32)
        extreme = (extent > _EXTREME) | (extent < 1 / _EXTREME)
        whole = units.from_units(gradient, units.LOSS, self.held)
        half = units.from_units(gradient, units.DATA, self.held)
        given = jax.tree.map(partial(jnp.where, extreme), half, whole)
        updates, optimizer = self.transform.update(given, state.optimizer, state.u)
        rest = jnp.where(extreme, data, 1)
        return jax.tree.map(lambda leaf: leaf * rest.astype(leaf.dtype), updates), optimizer

    def init(self, problem: Problem, u0: Any) -> GradientState:
        optimizer = self.transform.init(u0)
        if self.hyperparams:
            optimizer = _with_hyperparams(optimizer, self.hyperparams)
        return GradientState(u0, optimizer, gradient_scale(problem, u0))

    def step(self, problem: Problem, state: GradientState) -> tuple[GradientState, Info]:
        state, info, _ = self.descend(problem, state)
        return state, info

    def descend(
        self,
        problem: Problem,
        state: GradientState,
        penalty: Callable[[Array], Array] | None = None,
    ) -> tuple[GradientState, Info, Array]:
        """Take a step; also return the signal x where it started, which costs nothing more.

        Args:
            problem: as in ``step``.
            state: as in ``step``.
            penalty: a real function of the signal, added to the objective.
        """

        def objective(u: Any) -> tuple[Array, Array]:
            x = problem.signal(u)
            loss = problem._replace(prior=None).loss(x)
            if penalty is not None:
                loss = loss + jnp.asarray(penalty(x)).astype(loss.dtype)
            return loss + self._regularization(problem, u).astype(loss.dtype), x

        def value(u: Any) -> Array:
            return self._handed(state)(objective(u)[0])

        (loss, x), gradient = jax.value_and_grad(objective, has_aux=True)(state.u)
        gradient = jax.tree.map(jnp.conj, gradient)  # of steepest ascent, as optax expects it
        updates, optimizer = self._update(loss, gradient, state, value)
        u = jax.tree.map(lambda a, b: (a + b).astype(a.dtype), state.u, updates)
        optimizer = jax.tree.map(_in_type_of, state.optimizer, optimizer)
        info = Info(loss, tree_norm(gradient) / state.scale)
        return GradientState(u, optimizer, state.scale), info, x


def _in_type_of(old: Array, new: Array) -> Array:
    """Return ``new`` in the type of ``old``: a transformation may widen its own state."""
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _with_hyperparams(optimizer: Any, hyperparams: dict[str, Any]) -> Any:
    """Set hyper-parameters in a state that ``optax.inject_hyperparams`` made."""
    import optax

    for name, value in hyperparams.items():
        try:
            held = optax.tree_utils.tree_get(optimizer, name)
        except KeyError:
            held = None
        if held is None:
            hint = "Wrap the optimizer: optax.inject_hyperparams(optax.adam)(learning_rate=0.1)."
            checks.fail("gradient", "hyperparams", "be injected by optax", repr(name), hint)
        value = jnp.asarray(value).astype(jnp.result_type(held))
        optimizer = optax.tree_utils.tree_set(optimizer, **{name: value})
    return optimizer


def gradient(
    transform: optax.GradientTransformation,
    regularizer: Callable[[Any], Any] | None = None,
    num_restarts: int = 1,
    *,
    hyperparams: dict[str, Any] | None = None,
    latent_penalty: Any = 0.0,
) -> Gradient | Restarts:
    r"""Gradient descent on the loss, with the update rule of any optax transformation.

    .. math:: \min_u \tfrac12 \|F(u) - y\|^2 + \lambda E(u) + R(u)

    The general solver: any differentiable model and prior, the unknown any pytree (a latent,
    an image, the parameters of an untrained network). Where they apply,
    ``levenberg_marquardt`` and ``fista`` are faster.

    Args:
        transform: an optax transformation, such as ``optax.adam(0.01)``. It is static: make it
            once, since each new object compiles again. Line searches (``optax.lbfgs()``) get
            the value and the function that they need.
        regularizer: R, ``regularizer(u) -> scalar``: a module-level function, or a
            ``jax.tree_util.Partial`` of one, whose arrays stay leaves.
        num_restarts: R > 1 runs R starts in one batch, the one with the lowest objective kept
            (see ``with_restarts``); ``u0`` then has a first axis of R.
        hyperparams: values for hyper-parameters that ``optax.inject_hyperparams`` has made part
            of the state; leaves of the solver, so that new values and grids compile once.
        latent_penalty: λ >= 0, and E the prior's ``energy``, ½‖u‖² unless it has another. CSGM is
            ``gradient(optax.adam(0.01), num_restarts=10, latent_penalty=0.1)``, of squares by a
            matrix with entries N(0, 1/m).

    Returns:
        A solver; ``info.loss`` is the objective at the point that the step started from, and
        ``info.error`` is the gradient's norm ‖∇‖ / ‖J(u_0)ᴴ y‖, relative to the gradient that
        the measurements alone make at the start. Float32 brings it to about 1e-7 for an update
        rule with a fixed rate; Adam's noise floor is proportional to its rate.

    Raises:
        TypeError: not an optax transformation, a regularizer that is not callable.
        ValueError: no restart; at the first step, a hyper-parameter that was not injected.

    Cost: one forward and one backward pass a step.

    Example:
        >>> import jax, jaxinv as ji, optax
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> problem, u0 = family.sample(key), family.initial(key)
        >>> sol = ji.solve(gradient(optax.adam(0.01)), problem, u0, tol=1e-4)
        >>> ji.describe(sol.status)[:9]
        'CONVERGED'

        A grid over rates compiles once:

        >>> adam = optax.inject_hyperparams(optax.adam)(learning_rate=0.01)
        >>> def final_loss(rate):
        ...     solver = gradient(adam, hyperparams={"learning_rate": rate})
        ...     return ji.trace(solver, problem, u0, 50)[1].loss[-1]
        >>> jax.vmap(final_loss)(jax.numpy.array([0.001, 0.01, 0.1])).shape
        (3,)

    Source: the objective of Bora, Jalal, Price, Dimakis (2017), section 3; update rules of optax.
    """
    import optax

    where = "gradient"
    transform = checks.optimizer(where, "transform", transform)
    if regularizer is not None:
        regularizer = as_function(where, "regularizer", regularizer, "regularizer(u)")
    num_restarts = checks.count(where, "num_restarts", num_restarts)
    if hyperparams is not None and not isinstance(hyperparams, dict):
        checks.fail_type(where, "hyperparams", "be a dict of numbers by name", hyperparams)
    values = {
        name: checks.scalar(where, f"hyperparams[{name!r}]", value)
        for name, value in (hyperparams or {}).items()
    }
    solver = Gradient(
        regularizer,
        values,
        optax.with_extra_args_support(transform),
        latent_weight(where, latent_penalty),
    )
    return solver if num_restarts == 1 else with_restarts(solver, num_restarts)
