"""Basis pursuit: the smallest ℓ1 norm among all solutions of A u = y."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv import prox as proxes
from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.problems import Problem
from jaxinv.solvers._admm import relaxation_factor
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._factor import Factor, damped_inverse, factorize
from jaxinv.solvers._linear import linear_problem, require_linear


class BasisPursuitState(NamedTuple):
    """State of ``basis_pursuit``: the scaled dual, and the last move of the projection."""

    u: Array
    dual: Array
    move: Array
    threshold: Array


@pytree
class BasisPursuit(Solver):
    """See ``basis_pursuit``."""

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
        threshold=units.UNKNOWN,
        factor=None,
    )

    def prepare(self, problem: Problem) -> BasisPursuit:
        return replace(self, factor=self._factor(problem))

    def _factor(self, problem: Problem) -> Factor:
        if self.factor is not None:
            return self.factor
        return factorize(require_linear("basis_pursuit", problem))

    def init(self, problem: Problem, u0: Array) -> BasisPursuitState:
        model, y = linear_problem("basis_pursuit", problem, u0)
        zero = jnp.zeros_like(u0)
        least, _ = damped_inverse(model, self._factor(problem), y, 0.0, zero, 0.0)
        augmentation = jnp.asarray(self.augmentation).astype(numerics.real_dtype(u0.dtype))
        threshold = jnp.max(jnp.abs(least)) / augmentation
        return BasisPursuitState(u0, zero, zero, jnp.where(threshold > 0, threshold, 1))

    def step(self, problem: Problem, state: BasisPursuitState) -> tuple[BasisPursuitState, Info]:
        u, threshold = state.u, state.threshold
        model, y = linear_problem("basis_pursuit", problem, u)
        relaxation = jnp.asarray(self.relaxation).astype(threshold.dtype)
        anchor = u - state.dual
        residual = y - model(anchor)
        move, _ = damped_inverse(model, self._factor(problem), residual, 0.0, state.move, 0.0)
        x = anchor + move
        mixed = relaxation * x + (1 - relaxation) * u
        following = proxes.soft(1.0)(mixed + state.dual, threshold)
        dual = mixed + state.dual - following
        loss = problem.loss(u)
        gap = duality_gap(x, move)
        apart = numerics.safe_divide(numerics.safe_norm(x - following), numerics.safe_norm(x))
        infeasible = numerics.safe_divide(numerics.safe_norm(y - model(x)), numerics.safe_norm(y))
        error = jnp.maximum(jnp.maximum(gap, apart), infeasible)
        return BasisPursuitState(following, dual, move, threshold), Info(loss, error)


def duality_gap(x: Array, direction: Array) -> Array:
    """Return (‖x‖₁ − y*ν) / ‖x‖₁ for feasible x and A*ν = direction, scaled to be feasible."""
    size = jnp.sum(jnp.abs(x))
    bound = jnp.real(numerics.inner(direction, x))  # y*ν, since A x = y
    return 1 - numerics.safe_divide(bound, size * jnp.max(jnp.abs(direction)), default=1.0)


def basis_pursuit(*, augmentation: Any = 10.0, relaxation: Any = 1.0) -> BasisPursuit:
    r"""Basis pursuit, for exact measurements: no penalty to choose.

    .. math::
        \min_u \|u\|_1 \ \text{ subject to } \ A u = y, \qquad
        \begin{aligned}
        x_{t+1} &= q + A^+ (y - A q), \quad q = u_t - w_t, \quad
        \hat x = \alpha x_{t+1} + (1 - \alpha) u_t \\
        u_{t+1} &= S_\tau(\hat x + w_t), \qquad w_{t+1} = w_t + \hat x - u_{t+1}
        \end{aligned}

    The projection onto all solutions alternates with the soft threshold. For noisy y prefer
    ``fista`` or ``admm`` with a penalty.

    Args:
        augmentation: > 0, the largest entry of the least-norm solution A⁺ y over the threshold
            τ. The solution does not depend on it, the speed does.
        relaxation: α in (0, 2); plain is usually fastest here.

    Returns:
        A solver; ``u`` is the thresholded iterate, with exact zeros. ``info.error`` is the
        largest of three: the relative duality gap of x_{t+1}, from the dual vector ν of the
        projection, scaled so that ‖A*ν‖∞ = 1; ‖x_{t+1} − u_{t+1}‖ / ‖x_{t+1}‖; and
        ‖A x_{t+1} − y‖ / ‖y‖, which stays large where A u = y has no solution. Its floor is the
        rounding of A⁺, κ(A A*) eps: 1e-6 in float32 for a Gaussian A with n = 2m, so ask for
        ``tol=1e-5`` there; what happens at the floor depends on the last bits, so on units.
        ``info.loss`` is ½‖A u_t − y‖².

    Raises:
        ValueError: a number out of its range, a model that is not linear.

    Cost: A three times and A* once a step. For a dense A of shape (m, n) and k = min(m, n) also
        one eigendecomposition, about 10 k³, and 2 k² a step; other operators take conjugate
        gradients: one step each where A A* is a multiple of the identity, many where it is
        ill-conditioned.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> start = family.initial(jax.random.key(0))
        >>> sol = ji.solve(basis_pursuit(), problem, start, tol=1e-5)
        >>> ji.describe(sol.status)[:9], float(ji.metrics.nmse(sol.x, problem.truth.x)) < 1e-9
        ('CONVERGED', True)

    Source: Chen, Donoho, Saunders (1998); Boyd et al. (2011), section 6.2.
    """
    where = "basis_pursuit"
    augmentation = checks.positive(where, "augmentation", augmentation)
    return BasisPursuit(augmentation, relaxation_factor(where, relaxation))
