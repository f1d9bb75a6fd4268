"""Conjugate gradients on least squares, one step at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linear import linear_problem
from jaxinv.solvers._linearized import gradient_scale


class CglsState(NamedTuple):
    """State of ``cgls``: y − A u, the next direction, and the norm of the gradient."""

    u: Array
    residual: Array
    direction: Array
    gradient: Array
    scale: Array


class Tikhonov(Solver):
    """A solver of least squares with a damping δ."""

    damping: Any

    def objective(self, problem: Problem, u: Array) -> Array:
        damped = numerics.sum_squares(self._damping(u) * u)
        return problem.loss(u) + 0.5 * damped

    def _damping(self, u: Array) -> Array:
        return jnp.asarray(self.damping).astype(numerics.real_dtype(u.dtype))


@pytree
class Cgls(Tikhonov):
    """See ``cgls``."""

    damping: Any

    judged_by_error = True
    scalars = ("damping",)
    units = units.table(
        damping=units.Unit(-1, 1),
        u=units.UNKNOWN,
        residual=units.DATA,
        direction=units.GRADIENT,
        gradient=units.GRADIENT,
        scale=units.GRADIENT,
    )

    def init(self, problem: Problem, u0: Array) -> CglsState:
        model, y = linear_problem("cgls", problem, u0)
        residual = y - model(u0)
        slope = model.adjoint(residual) - self._damping(u0) ** 2 * u0
        size = numerics.safe_norm(slope)
        return CglsState(u0, residual, slope, size, gradient_scale(problem, u0))

    def step(self, problem: Problem, state: CglsState) -> tuple[CglsState, Info]:
        model, _ = linear_problem("cgls", problem, state.u)
        damping, direction = self._damping(state.u), state.direction
        image = model(direction)
        squares = numerics.sum_squares
        curvature = squares(image) + squares(damping * direction)
        length = numerics.safe_divide(jnp.square(state.gradient), curvature)
        u, residual = state.u + length * direction, state.residual - length * image
        slope = model.adjoint(residual) - damping**2 * u
        gradient = numerics.safe_norm(slope)
        share = jnp.square(numerics.safe_divide(gradient, state.gradient))
        following = CglsState(u, residual, slope + share * direction, gradient, state.scale)
        loss = 0.5 * (squares(state.residual) + squares(damping * state.u))
        return following, Info(loss, gradient / state.scale)


def cgls(*, damping: Any = 0.0) -> Cgls:
    r"""Least squares and Tikhonov regularization by conjugate gradients.

    .. math:: \min_u \tfrac12 \|A u - y\|^2 + \tfrac12 \delta^2 \|u\|^2, \qquad
        \begin{aligned}
        u &\leftarrow u + \alpha p, \quad r \leftarrow r - \alpha A p, \quad
        \alpha = \|s\|^2 / (\|A p\|^2 + \delta^2 \|p\|^2) \\
        s' &= A^* r - \delta^2 u, \quad p \leftarrow s' + (\|s'\|^2 / \|s\|^2)\, p
        \end{aligned}

    With exact products it ends after as many steps as A has singular values that differ. For
    noisy y and no damping the first steps are the regularization: stop early (``trace``, a small
    ``max_steps``). ``lsqr`` makes the same iterates and rounds less where A is ill-conditioned;
    ``least_squares`` is one call, and has derivatives at the minimizer, where a step is 0/0. For
    ‖D u‖² instead of ‖u‖² measure with ``operators.vstack([A, delta * D])``.

    Args:
        damping: δ >= 0, scalar, in the unit of A: ``damp`` of ``scipy.sparse.linalg.lsqr``.

    Returns:
        A solver. ``info.error`` is the norm of the gradient over ‖A*y‖; ``info.loss`` the objective
        at the point that the step started from. From u₀ = 0 it tends to the solution of least
        norm.

    Raises:
        ValueError: a negative damping; at the start, a model that is not linear.

    Cost: A and A* once a step.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 20, num_nonzeros=5).sample(jax.random.key(0))
        >>> sol = ji.solve(cgls(), problem, jax.numpy.zeros(20), tol=1e-5)
        >>> ji.describe(sol.status)[:9], int(sol.num_steps) <= 20
        ('CONVERGED', True)

    Source: Hestenes, Stiefel (1952), section 10; Björck (1996), algorithm 7.4.1.
    """
    return Cgls(checks.nonnegative("cgls", "damping", damping))
