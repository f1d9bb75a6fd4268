"""Primal-dual splitting for penalties of a linear transform, such as total variation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._factor import constant_norm_squared
from jaxinv.solvers._linear import linear_problem, require_linear
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._proximal import penalty_prox


class PrimalDualState(NamedTuple):
    """State of ``primal_dual``: the dual p, K u, the slope A*(A u − y) + K* p, and ½‖A u − y‖²."""

    u: Array
    dual: Array
    image: Array
    slope: Array
    misfit: Array
    scale: Array


@pytree
class PrimalDual(Solver):
    """See ``primal_dual``; the squared norms are filled in by ``prepare``."""

    prox: Prox
    operator: LinearOperator
    constraint: Prox | None
    balance: Any
    norms: tuple[Array, Array] | None = None

    patience = 2000
    judged_by_error = True
    scalars = ("balance",)
    common = ("operator",)  # its norm is measured once
    units = units.table(
        u=units.UNKNOWN,
        image=units.UNKNOWN,
        dual=units.GRADIENT,
        slope=units.GRADIENT,
        misfit=units.LOSS,
        scale=units.GRADIENT,
        norms=None,
    )

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        hint = "The operator of the penalty takes the unknown."
        checks.shape_is(where, "u0", u0, self.operator.in_shape, hint)

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self._penalties(u, self.operator(u))

    def _penalties(self, u: Array, image: Array) -> Array:
        value = self.prox.value(image)
        return value if self.constraint is None else value + self.constraint.value(u)

    def prepare(self, problem: Problem) -> PrimalDual:
        return replace(self, norms=self._norms(problem))

    def _norms(self, problem: Problem) -> tuple[Array, Array]:
        if self.norms is not None:
            return self.norms
        model = require_linear("primal_dual", problem)
        return constant_norm_squared(model), constant_norm_squared(self.operator)

    def init(self, problem: Problem, u0: Array) -> PrimalDualState:
        model, y = linear_problem("primal_dual", problem, u0)
        residual = model(u0) - y
        image = self.operator(u0)
        return PrimalDualState(
            u=u0,
            dual=jnp.zeros_like(image),
            image=image,
            slope=model.adjoint(residual).astype(u0.dtype),
            misfit=0.5 * numerics.sum_squares(residual),
            scale=gradient_scale(problem, u0),
        )

    def step(self, problem: Problem, state: PrimalDualState) -> tuple[PrimalDualState, Info]:
        model, y = linear_problem("primal_dual", problem, state.u)
        real = state.scale.dtype
        data_square, penalty_square = (square.astype(real) for square in self._norms(problem))
        balance = jnp.asarray(self.balance).astype(real)
        dual_step = balance * data_square / penalty_square
        step_size = 1 / (data_square * (0.5 + balance))

        u = state.u - step_size * state.slope
        if self.constraint is not None:
            u = self.constraint(u, step_size)
        image = self.operator(u)
        raised = state.dual + dual_step * (2 * image - state.image)
        # Moreau: the prox of the conjugate, from that of the penalty
        dual = raised - dual_step * self.prox(raised / dual_step, 1 / dual_step)
        residual = model(u) - y
        slope = (model.adjoint(residual) + self.operator.adjoint(dual)).astype(u.dtype)

        # subgradients: of the whole objective in u, and of the conjugate penalty in the dual
        primal_gap = slope
        if self.constraint is not None:
            primal_gap = (state.u - u) / step_size + slope - state.slope
        dual_gap = (dual - state.dual) / dual_step - (image - state.image)
        weight = data_square / jnp.sqrt(penalty_square)
        gap = numerics.safe_norm(primal_gap) + weight * numerics.safe_norm(dual_gap)
        info = Info(state.misfit + self._penalties(state.u, state.image), gap / state.scale)
        misfit = 0.5 * numerics.sum_squares(residual)
        return PrimalDualState(u, dual, image, slope, misfit, state.scale), info


def primal_dual(
    prox: Prox,
    operator: LinearOperator,
    *,
    constraint: Prox | None = None,
    balance: Any = 0.3,
) -> PrimalDual:
    r"""Primal-dual splitting: penalties of a linear transform, without inner iterations.

    .. math::
        \min_u \tfrac12 \|A u - y\|^2 + R(K u) + g(u), \qquad
        \begin{aligned}
        u_{t+1} &= \mathrm{prox}_{\tau g}\bigl(
            u_t - \tau (A^* (A u_t - y) + K^* p_t)\bigr) \\
        p_{t+1} &= \mathrm{prox}_{\sigma R^*}\bigl(p_t + \sigma K (2 u_{t+1} - u_t)\bigr)
        \end{aligned}

    Total variation is ``primal_dual(prox.group(λ, axis=0), operators.finite_difference(shape))``.
    Prefer it where the proximal operator of R(K ·) has no closed form: ``fista`` with
    ``prox.tv`` solves the same problem by a few inner steps a step, and is often as fast.

    Args:
        prox: R, any proximal operator of a convex penalty, for arrays of ``operator.out_shape``.
        operator: K, linear, from the shape of the unknown.
        constraint: g, the proximal operator of a second convex term, such as
            ``prox.box(0, 1)``; None: none.
        balance: β > 0: σ = β ‖A‖²/‖K‖² and τ = 1/(‖A‖² (½ + β)), in no units, and convergent
            for every β. Larger values favor the dual variable.

    Returns:
        A solver. ``info.loss`` is the whole objective at u_t; ``info.error`` is
        (‖s‖ + ‖A‖²/‖K‖ ‖d‖) / ‖A*y‖, where s is a subgradient in u of the Lagrangian at
        (u_{t+1}, p_{t+1}) and d one in p: both are 0 exactly at a solution, whatever β is.

    Raises:
        TypeError: a prox or an operator of another type.
        ValueError: a balance that is not positive, a model that is not linear, an operator of
            another shape than the unknown.

    Cost: A, A*, K and K* once a step; both norms once at the start.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> steps = jnp.repeat(jnp.array([0.0, 1.0, 0.5]), 8)
        >>> A = ji.operators.gaussian(jax.random.key(0), 16, 24)
        >>> problem = ji.Problem(A, A @ steps)
        >>> solver = primal_dual(ji.prox.soft(1e-3), ji.operators.finite_difference(24))
        >>> sol = ji.solve(solver, problem, jnp.zeros(24), tol=1e-4)
        >>> float(abs(sol.x - steps).max()) < 0.01
        True

    Source: Condat (2013), algorithm 3.1; Vũ (2013); for g and R alone: Chambolle, Pock (2011).
    """
    where = "primal_dual"
    if constraint is not None:
        constraint = penalty_prox(where, None, constraint)
    if not isinstance(operator, LinearOperator):
        hint = "operators.identity(shape) penalizes the unknown itself."
        checks.fail_type(where, "operator", "be a linear operator", operator, hint)
    balance = checks.positive(where, "balance", balance)
    return PrimalDual(penalty_prox(where, None, prox), operator, constraint, balance)
