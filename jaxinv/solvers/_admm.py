"""The alternating direction method of multipliers for penalized least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._factor import Factor, damped_inverse, factorize
from jaxinv.solvers._linear import linear_problem, require_linear
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._proximal import penalty_prox

_FIRST = 0.1  # ρ / ‖A‖² before it has been balanced
_EARLIEST = 4  # step of the first balancing; the next ones after twice as many each
_MOST = 10.0  # change of ρ at one balancing
_SHARE = 0.3  # of the primal residual in units of the error
_INNER = 0.1  # share of the last error that an inexact inner solve may add


class AdmmState(NamedTuple):
    """State of ``admm``: the dual over ρ, the last least-squares move from u − dual, and ρ."""

    u: Array
    dual: Array
    move: Array
    weight: Array
    num_steps: Array
    error: Array
    scale: Array
    memory: Any


@pytree
class Admm(Solver):
    """See ``admm``."""

    prox: Prox
    augmentation: Any
    relaxation: Any
    factor: Factor | None = None

    patience = 2000
    judged_by_error = True
    scalars = ("augmentation", "relaxation")
    units = units.table(
        u=units.UNKNOWN,
        dual=units.UNKNOWN,
        move=units.UNKNOWN,
        weight=units.Unit(-2, 2),
        scale=units.GRADIENT,
        factor=None,
    )

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self.prox.value(u)

    def prepare(self, problem: Problem) -> Admm:
        return replace(self, factor=self._factor(problem))

    def _factor(self, problem: Problem) -> Factor:
        if self.factor is not None:
            return self.factor
        return factorize(require_linear("admm", problem))

    def init(self, problem: Problem, u0: Array) -> AdmmState:
        linear_problem("admm", problem, u0)
        scale = gradient_scale(problem, u0)
        augmentation = _FIRST if self.augmentation is None else self.augmentation
        weight = jnp.asarray(augmentation).astype(scale.dtype) * self._factor(problem).norm_squared
        return AdmmState(
            u=u0,
            dual=jnp.zeros_like(u0),
            move=jnp.zeros_like(u0),
            weight=weight,
            num_steps=jnp.zeros((), jnp.int32),
            error=jnp.ones_like(scale),
            scale=scale,
            memory=self.prox.start(u0),
        )

    def step(self, problem: Problem, state: AdmmState) -> tuple[AdmmState, Info]:
        u, scale = state.u, state.scale
        model, y = linear_problem("admm", problem, u)
        factor = self._factor(problem)
        relaxation = jnp.asarray(self.relaxation).astype(scale.dtype)
        weight = state.weight
        anchor = u - state.dual
        # x = anchor + move: the sum loses no digits, unlike (A*A + ρ)⁻¹ applied to one vector
        accuracy = _INNER * state.error * scale
        residual = y - model(anchor)
        move, inexact = damped_inverse(model, factor, residual, weight, state.move, accuracy)
        x = anchor + move
        mixed = relaxation * x + (1 - relaxation) * u
        following, memory = self.prox.warm(mixed + state.dual, 1 / weight, state.memory)
        dual = mixed + state.dual - following
        primal, gap = numerics.safe_norm(x - following), numerics.safe_norm(dual - move)
        error = (weight * gap + inexact + factor.norm_squared * primal) / scale
        info = Info(problem.loss(u) + self.prox.value(u), error)
        num_steps, growth = state.num_steps + 1, jnp.ones_like(weight)
        if self.augmentation is None:
            due = (num_steps >= _EARLIEST) & (num_steps & (num_steps - 1) == 0)
            relative = primal * numerics.safe_norm(dual), gap * numerics.safe_norm(x)
            absolute = _SHARE * factor.norm_squared * primal, weight * gap
            growth = jnp.where(due, _balance(relative, absolute), 1)
        following_state = state._replace(
            u=following,
            dual=dual / growth,
            move=move,
            weight=weight * growth,
            num_steps=num_steps,
            error=error,
            memory=memory,
        )
        return following_state, info


def _balance(*residuals: tuple[Array, Array]) -> Array:
    """Return the factor on ρ that brings primal and dual residuals closer.

    Each pair holds both in one unit; their ratios are averaged. Relative to the iterates alone
    ρ ends too small for well-conditioned A, in the units of the error too large for others.
    """
    ratios = [numerics.safe_divide(primal, dual, default=1.0) for primal, dual in residuals]
    ratio = jnp.exp(sum(jnp.log(jnp.clip(r, _MOST**-2, _MOST**2)) for r in ratios) / len(ratios))
    return jnp.sqrt(ratio)


def admm(
    penalty: Any = None,
    *,
    prox: Prox | None = None,
    augmentation: Any = None,
    relaxation: Any = 1.6,
) -> Admm:
    r"""Alternating directions: an exact least-squares step, then a proximal one.

    .. math::
        \min_u \tfrac12 \|A u - y\|^2 + R(u), \qquad
        \begin{aligned}
        x_{t+1} &= \arg\min_x \tfrac12 \|A x - y\|^2 + \tfrac\rho2 \|x - u_t + w_t\|^2 \\
        \hat x &= \alpha x_{t+1} + (1 - \alpha) u_t \\
        u_{t+1} &= \mathrm{prox}_{R / \rho}(\hat x + w_t), \qquad
        w_{t+1} = w_t + \hat x - u_{t+1}
        \end{aligned}

    With ``penalty`` λ the term R is λ‖u‖₁. Prefer it to ``fista`` when A is ill-conditioned and
    dense, or shared by many problems: its matrix is decomposed once, before the first step.

    Args:
        penalty: λ >= 0, scalar, or one weight per coefficient.
        prox: any proximal operator of ``jaxinv.prox``, in place of ``penalty``.
        augmentation: ρ / ‖A‖² > 0, fixed; it does not depend on units. None: ρ starts at
            0.1 ‖A‖² and is balanced after 4, 8, 16, ... steps, ever more rarely, so that the
            method still converges. The solution does not depend on it, the speed does.
        relaxation: α in (0, 2): 1 is plain, 1.5 to 1.8 usually faster.

    Returns:
        A solver; ``u`` is the proximal iterate (exact zeros for ℓ1). ``info.loss`` is the whole
        objective at u_t. ``info.error`` bounds ‖A*(A u_{t+1} − y) + g‖ / ‖A*y‖ for the
        subgradient g = ρ w_{t+1} of R at u_{t+1}: (ρ ‖w_{t+1} − (x_{t+1} − u_t + w_t)‖ +
        ‖A‖² ‖x_{t+1} − u_{t+1}‖) / ‖A*y‖, dual and primal residual in one unit. It certifies
        optimality for convex R whatever ρ is, like the error of ``ista``.

    Raises:
        ValueError: none or both of ``penalty`` and ``prox``, a number out of its range, a model
            that is not linear.

    Cost: A twice and A* once a step. For a dense A of shape (m, n) and k = min(m, n) also one
        eigendecomposition, about 10 k³, and 2 k² a step; it serves every ρ, so a batch over ρ
        that shares A shares it. Other operators take conjugate gradients, warm-started from the
        last step and as accurate as the error asks for, and the norm once.

    Notes: x is found as u − w plus a correction in the range of A*, by the m x m matrix
        A A* + ρ where m <= n (Woodbury), so that a small ρ costs no digits. The balancing takes
        the geometric mean of two ratios of primal to dual residual: relative to the iterates,
        and in the units of ``info.error``. Reverse-mode differentiation passes through ``trace``
        and ``unfold`` for a dense A, not through the conjugate gradients of other operators.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> key = jax.random.key(0)
        >>> sol = ji.solve(admm(0.01), family.sample(key), family.initial(key))
        >>> ji.describe(sol.status)[:9], int(sol.num_steps) < 200
        ('CONVERGED', True)

    Source: Boyd, Parikh, Chu, Peleato, Eckstein (2011), sections 3.1, 3.4 and 6.4; balancing
        after He, Yang, Wang (2000) and Wohlberg (2017).
    """
    where = "admm"
    if augmentation is not None:
        augmentation = checks.positive(where, "augmentation", augmentation)
    return Admm(
        penalty_prox(where, penalty, prox), augmentation, relaxation_factor(where, relaxation)
    )


def relaxation_factor(where: str, value: Any) -> Any:
    """Return an over-relaxation α in (0, 2)."""
    hint = "1 is no relaxation; the method converges below 2."
    return checks.scalar(where, "relaxation", value, low=0.0, high=1.99, open_low=True, hint=hint)
