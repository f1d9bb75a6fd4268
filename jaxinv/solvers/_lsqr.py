"""LSQR: least squares by bidiagonalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info
from jaxinv.solvers._cgls import Tikhonov
from jaxinv.solvers._linear import linear_problem
from jaxinv.solvers._linearized import gradient_scale


class LsqrState(NamedTuple):
    """State of ``lsqr``: left vector (y's part, then that of the damping), right one, direction."""

    u: Array
    left: Array
    left_damped: Array
    right: Array
    direction: Array
    alpha: Array
    rho: Array
    phi: Array
    scale: Array


@pytree
class Lsqr(Tikhonov):
    """See ``lsqr``."""

    damping: Any

    judged_by_error = True
    scalars = ("damping",)
    units = units.table(
        damping=units.Unit(-1, 1),
        u=units.UNKNOWN,
        alpha=units.Unit(-1, 1),
        rho=units.Unit(-1, 1),
        phi=units.DATA,
        scale=units.GRADIENT,
    )

    def init(self, problem: Problem, u0: Array) -> LsqrState:
        model, y = linear_problem("lsqr", problem, u0)
        damping = self._damping(u0)
        beta, left, left_damped = _unit(y - model(u0), -damping * u0)
        alpha, right = _unit(model.adjoint(left) + damping * left_damped)
        scale = gradient_scale(problem, u0)
        return LsqrState(u0, left, left_damped, right, right, alpha, alpha, beta, scale)

    def step(self, problem: Problem, state: LsqrState) -> tuple[LsqrState, Info]:
        model, _ = linear_problem("lsqr", problem, state.u)
        damping, right, alpha = self._damping(state.u), state.right, state.alpha
        beta, left, left_damped = _unit(
            model(right) - alpha * state.left, damping * right - alpha * state.left_damped
        )
        back = model.adjoint(left) + damping * left_damped
        alpha, right = _unit(back - beta * right)
        rho = jnp.hypot(state.rho, beta)
        cosine, sine = (numerics.safe_divide(side, rho) for side in (state.rho, beta))
        phi = sine * state.phi
        length = numerics.safe_divide(cosine * state.phi, rho)
        u = state.u + length * state.direction
        direction = right - numerics.safe_divide(sine * alpha, rho) * state.direction
        gradient = phi * alpha * cosine
        following = LsqrState(
            u, left, left_damped, right, direction, alpha, -cosine * alpha, phi, state.scale
        )
        return following, Info(0.5 * jnp.square(state.phi), jnp.abs(gradient) / state.scale)


def _unit(*parts: Array) -> tuple[Array, ...]:
    """Return the norm of vectors together, and the vectors over it, which are 0 for 0."""
    size = numerics.safe_norm(jnp.stack([numerics.safe_norm(part) for part in parts]))
    return size, *(numerics.safe_divide(part, size) for part in parts)


def lsqr(*, damping: Any = 0.0) -> Lsqr:
    r"""Least squares and Tikhonov regularization by the bidiagonalization of A.

    .. math:: \min_u \tfrac12 \|A u - y\|^2 + \tfrac12 \delta^2 \|u\|^2 \quad \text{over} \quad
        u_0 + \mathrm{span}\{g, B g, B^2 g, \ldots\}, \quad B = A^* A + \delta^2

    g is the gradient at the start. The iterates are those of ``cgls`` in exact arithmetic; this
    is the method to take where A is ill-conditioned, at the price of two more vectors.

    Args:
        damping: δ >= 0, scalar, in the unit of A: ``damp`` of ``scipy.sparse.linalg.lsqr``, whose
            answer it gives from a start at 0. From another one, SciPy penalizes the change;
            here the objective is the same from every start.

    Returns:
        A solver. ``info.error`` is the norm of the gradient over ‖A*y‖, by its recurrence;
        ``info.loss`` the objective at the point that the step started from.

    Raises:
        ValueError: a negative damping; at the start, a model that is not linear.

    Cost: A and A* once a step.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 20, num_nonzeros=5).sample(jax.random.key(0))
        >>> sol = ji.solve(lsqr(damping=0.1), problem, jax.numpy.zeros(20), tol=1e-5)
        >>> ji.describe(sol.status)[:9], int(sol.num_steps) <= 20
        ('CONVERGED', True)

    Source: Paige, Saunders (1982).
    """
    return Lsqr(checks.nonnegative("lsqr", "damping", damping))
