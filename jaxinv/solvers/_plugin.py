"""PLUGIn: fixed steps along the weights of a network, its activations left away."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import cotangent
from jaxinv.solvers._proximal import given_operator

_SHARE = 0.4  # θ of the step that is estimated; theory has (0, 4/3), three layers fail above .6


class PluginState(NamedTuple):
    """State of ``plugin``."""

    u: Array
    step_size: Array
    scale: Array


@pytree
class Plugin(Solver):
    """See ``plugin``."""

    step_size: Any

    scalars = ("step_size",)
    units = units.table(step_size=units.STEP, u=units.UNKNOWN, scale=units.GRADIENT)

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        prior, operator = problem.prior, given_operator(problem)
        if not hasattr(prior, "without_activations"):
            hint = "It needs the weights of a network, as generators.relu has them."
            checks.fail_type(where, "problem.prior", "be a network of layers", prior, hint)
        if not isinstance(operator, LinearOperator):
            hint = "For other measurements use solvers.levenberg_marquardt."
            checks.fail_type(where, "problem.operator", "be linear", operator, hint)

    def init(self, problem: Problem, u0: Array) -> PluginState:
        scale = numerics.safe_norm(_pulled(problem, u0, problem.y))
        scale = jnp.where(scale > 0, scale, 1)
        step_size = self.step_size
        if step_size is None:
            # the mean of P*A*A G(u) is u times a number, which is λ^d for weights N(0, 1/n)
            share = numerics.inner(u0, _pulled(problem, u0, problem.predict(u0)))
            step_size = _SHARE * numerics.safe_divide(numerics.sum_squares(u0), jnp.abs(share))
        return PluginState(u0, jnp.asarray(step_size).astype(u0.dtype), scale)

    def step(self, problem: Problem, state: PluginState) -> tuple[PluginState, Info]:
        residual = problem.residual(state.u)
        pulled = _pulled(problem, state.u, residual)
        error = numerics.safe_norm(pulled) / state.scale
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return state._replace(u=state.u - state.step_size * pulled), info


def _pulled(problem: Problem, u: Array, residual: Array) -> Array:
    """Return P*A* times a residual, P the product of the weights."""

    def linear(v: Array) -> Array:
        return problem.operator(problem.prior.without_activations(v))

    prediction, pullback = jax.vjp(linear, u)
    return pullback(cotangent(residual, prediction))[0]


def plugin(step_size: Any = None) -> Plugin:
    r"""Iterate along the product of the weights, as if the network had no activations.

    .. math:: u \leftarrow u - \eta\, (A W_d \cdots W_1)^* (A\, G(u) - y)

    PLUGIn, and PLUGIn-CS where A is not the identity. For Gaussian weights the direction is on
    average that to the solution, so the iteration contracts without a gradient: no masks, no sign
    test, no local minima. It needs networks that expand more (n_d above about 20 k) than
    ``levenberg_marquardt``, and ends at a larger error where there is noise.

    Args:
        step_size: η > 0, scalar, in the scaling of the problem. The paper's η = θ 2^d, for weights
            N(0, 1/n), is θ for the default He scaling: its 3 of three layers is 3/8. Theory has θ
            in (0, 4/3); beyond .6 narrow networks fail. None: .4 ‖u_0‖² / ⟨u_0, (AP)* A G(u_0)⟩,
            P the product of the weights, which is θ = .4 in every scaling of the weights and
            for every homogeneous activation.

    Returns:
        A solver; ``info.error`` is ‖(A P)* r‖ / ‖(A P)* y‖. The loss need not fall at each step.

    Raises:
        ValueError: a step that is not positive.
        TypeError: at the first step, a prior without layers, an operator that is not linear.

    Cost: two passes over the weights a step, and A and A*.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(3, 150, 200), num_measurements=120)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> sol = ji.solve(plugin(), problem, family.initial(key))
        >>> float(ji.metrics.relative_error(sol.x, problem.truth.x)) < 1e-4
        True

    Source: Joshi, Li, Plan, Yilmaz (2021), "PLUGIn: a simple algorithm for inverting generative
        models with recovery guarantees", algorithm 1 and theorem 1.
    """
    if step_size is not None:
        step_size = checks.positive("plugin", "step_size", step_size)
    return Plugin(step_size)
