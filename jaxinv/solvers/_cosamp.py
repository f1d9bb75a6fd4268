"""Compressive sampling matching pursuit."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics, pytree, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linear import linear_problem
from jaxinv.solvers._normal_equations import solve_normal
from jaxinv.solvers._sparsity import (
    keep_largest,
    largest_entries,
    num_entries,
    require_fit,
    sparsity_level,
)


class CosampState(NamedTuple):
    """State of ``cosamp``; ``residual`` is y − A u."""

    u: Array
    residual: Array


@pytree
class Cosamp(Solver):
    """See ``cosamp``."""

    num_nonzeros: Any

    patience = 25
    scalars = ("num_nonzeros",)
    units = units.table(u=units.UNKNOWN, residual=units.DATA)

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_fit(where, self.num_nonzeros, problem, u0)

    def init(self, problem: Problem, u0: Array) -> CosampState:
        model, y = linear_problem("cosamp", problem, u0)
        u = keep_largest(u0, num_entries(self.num_nonzeros, u0.size))
        return CosampState(u, y - model(u))

    def step(self, problem: Problem, state: CosampState) -> tuple[CosampState, Info]:
        u, residual = state
        model, y = linear_problem("cosamp", problem, u)
        count = num_entries(self.num_nonzeros, u.size)
        proxy = model.adjoint(residual)
        merged = largest_entries(proxy, jnp.minimum(2 * count, u.size)) | (u != 0)
        following = keep_largest(solve_normal(model, y, u, mask=merged).x, count)
        move = numerics.safe_norm(following - u)
        error = numerics.safe_divide(move, numerics.safe_norm(following))
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return CosampState(following, y - model(following)), info


def cosamp(num_nonzeros: Any) -> Cosamp:
    r"""Compressive sampling matching pursuit: merge, solve, prune.

    .. math::
        T = \mathrm{supp}\, H_{2s}(A^* r_t) \cup \mathrm{supp}\, u_t, \qquad
        b = \arg\min_{\mathrm{supp}\, b \subseteq T} \|A b - y\|, \qquad u_{t+1} = H_s(b)

    A few steps for any s, since whole supports are exchanged at once. It needs about twice as
    many measurements as ``omp`` or ℓ1 minimization: past its limit it cycles, and ends STALLED.

    Args:
        num_nonzeros: s, an integer >= 1; or a float in (0, 1], the fraction of all entries,
            rounded to at least one. It may be traced or batched. 3 s <= m is needed for the
            least squares to have one solution.

    Returns:
        A solver; ``info.error`` is ‖u_{t+1} − u_t‖ / ‖u_{t+1}‖.

    Raises:
        ValueError: a count below 1 or above m or n, a fraction outside (0, 1],
            a model that is not linear.

    Cost: A* once, and A and A* once for each step of conjugate gradients: ten to thirty for
        well-conditioned supports, which run to the accuracy of the floating-point type.

    Notes: noise leaves the pruned b slightly biased, as in the source; ``debias`` removes it.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> sol = ji.solve(cosamp(5), problem, family.initial(jax.random.key(0)))
        >>> ji.describe(sol.status)[:9], float(ji.metrics.nmse(sol.x, problem.truth.x)) < 1e-9
        ('CONVERGED', True)

    Source: Needell, Tropp (2009), algorithm 1.
    """
    return Cosamp(sparsity_level("cosamp", num_nonzeros))
