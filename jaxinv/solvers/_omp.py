"""Orthogonal matching pursuit, with an incremental orthonormal basis."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linear import linear_problem
from jaxinv.solvers._sparsity import most_entries, num_entries, require_fit, sparsity_level

_DEPENDENT = 100  # times eps: what is left of a column that the chosen ones already span


class OmpState(NamedTuple):
    """State of ``omp``: K is the most columns that it has room for.

    Attributes:
        u: the least-squares solution on the support.
        residual: y − A u, flat; of complex measurements of a real u the real parts, then the
            imaginary ones: 2 m numbers in place of m, as in ``basis``.
        support: the chosen entries in order, shape (K,); the size of u where not yet chosen.
        basis: orthonormal rows that span the chosen columns, shape (K, m).
        inverse: R⁻¹ of the factorization A_S = Q R, shape (K, K).
        num_chosen: how many are chosen.
        complete: whether no further column is to be chosen.
    """

    u: Array
    residual: Array
    support: Array
    basis: Array
    inverse: Array
    num_chosen: Array
    complete: Array


@pytree
class Omp(Solver):
    """See ``omp``."""

    num_nonzeros: Any
    max_nonzeros: int | None = static(default=None)

    scalars = ("num_nonzeros",)
    units = units.table(u=units.UNKNOWN, residual=units.DATA, inverse=units.Unit(1, -1))

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_fit(where, self.num_nonzeros, problem, u0)
        require_fit(where, self.max_nonzeros, problem, u0, "max_nonzeros")

    def init(self, problem: Problem, u0: Array) -> OmpState:
        _, y = linear_problem("omp", problem, u0)
        room = most_entries(y, u0)
        if self.max_nonzeros is not None:
            room = min(room, self.max_nonzeros)
        residual = _flat(y, u0)
        dtype = jnp.result_type(u0.dtype, residual.dtype)
        return OmpState(
            u=jnp.zeros_like(u0),
            residual=residual,
            support=jnp.full(room, u0.size, jnp.int32),
            basis=jnp.zeros((room, residual.size), residual.dtype),
            inverse=jnp.zeros((room, room), dtype),
            num_chosen=jnp.zeros((), jnp.int32),
            complete=jnp.zeros((), bool),
        )

    def step(self, problem: Problem, state: OmpState) -> tuple[OmpState, Info]:
        u, residual = state.u, state.residual
        model, y = linear_problem("omp", problem, u)
        most = jnp.minimum(num_entries(self.num_nonzeros, u.size), state.support.size)
        correlations = jnp.abs(model.adjoint(_measured(residual, y))).reshape(-1)
        correlations = correlations.at[state.support].set(-1, mode="drop")
        index = jnp.argmax(correlations).astype(jnp.int32)
        unit = jnp.zeros(u.size, u.dtype).at[index].set(1).reshape(u.shape)
        column = _flat(model(unit), u)
        rest, shares = _orthogonalized(state.basis, column)
        length, whole = numerics.safe_norm(rest), numerics.safe_norm(column)
        independent = length > _DEPENDENT * jnp.finfo(length.dtype).eps * whole
        # a NaN correlation is not refused: it has to reach the loss
        usable = ~(correlations[index] <= 0) & independent & (state.num_chosen < most)
        candidate = _extended(state, index, numerics.safe_divide(rest, length), shares, length)
        following = jax.tree.map(lambda a, b: jnp.where(usable, a, b), candidate, state)
        complete = ~usable | (following.num_chosen >= most)
        relative = numerics.safe_divide(
            numerics.safe_norm(following.residual), numerics.safe_norm(y)
        )
        info = Info(0.5 * numerics.sum_squares(residual), jnp.where(complete, 0, relative))
        return following._replace(complete=complete), info


def _flat(v: Array, u: Array) -> Array:
    """Return measurements as a vector over the numbers that ``u`` is made of."""
    v = v.reshape(-1)
    split = jnp.iscomplexobj(v) and not jnp.iscomplexobj(u)
    return jnp.concatenate([v.real, v.imag]) if split else v


def _measured(v: Array, y: Array) -> Array:
    """Return the measurements that ``_flat`` made a vector of."""
    if jnp.iscomplexobj(y) and not jnp.iscomplexobj(v):
        v = lax.complex(*jnp.split(v, 2))
    return v.reshape(y.shape)


def _orthogonalized(basis: Array, column: Array) -> tuple[Array, Array]:
    """Return the part of a column that is orthogonal to the basis, and its shares of it.

    Gram-Schmidt twice: the second pass restores what rounding left in the first.
    """
    shares = numerics.matmul(jnp.conj(basis), column)
    rest = column - numerics.matmul(shares, basis)
    again = numerics.matmul(jnp.conj(basis), rest)
    return rest - numerics.matmul(again, basis), shares + again


def _extended(
    state: OmpState, index: Array, direction: Array, shares: Array, length: Array
) -> OmpState:
    """Return the state with one more column: R grows by a column, and so does its inverse."""
    here = jnp.arange(state.support.size) == state.num_chosen
    support = jnp.where(here, index, state.support)
    grown = jnp.where(here, 1, -numerics.matmul(state.inverse, shares))
    grown = numerics.safe_divide(grown, length)  # the new column of R⁻¹
    weight = numerics.inner(direction, state.residual)
    u = state.u.reshape(-1).at[support].add((grown * weight).astype(state.u.dtype), mode="drop")
    return state._replace(
        u=u.reshape(state.u.shape),
        residual=state.residual - weight * direction,
        support=support,
        basis=jnp.where(here[:, None], direction, state.basis),
        inverse=jnp.where(here, grown[:, None], state.inverse),
        num_chosen=state.num_chosen + 1,
    )


def omp(num_nonzeros: Any, *, max_nonzeros: int | None = None) -> Omp:
    r"""Orthogonal matching pursuit: one more entry a step, least squares on all chosen ones.

    .. math::
        j_t = \arg\max_j |\langle a_j, r_t \rangle|, \qquad S_{t+1} = S_t \cup \{j_t\}, \qquad
        u_{t+1} = \arg\min_{\mathrm{supp}\, u \subseteq S_{t+1}} \|A u - y\|

    The first choice for very sparse signals: at most s steps, exact at the end of each. Columns
    a_j should have about equal norms (the correlation is not divided by them).

    Args:
        num_nonzeros: s, an integer >= 1 and at most m and n; or a float in (0, 1], the fraction
            of all entries. Fractions and arrays may be traced or batched.
        max_nonzeros: room for so many columns, static; default: an integer ``num_nonzeros``,
            else min(m, n). A smaller one bounds s.

    Returns:
        A solver. ``info.error`` is ‖y − A u‖ / ‖y‖ after the step, and 0 once s entries are
        chosen, or when no column is left that the chosen ones do not span: then the pursuit is
        complete. So ``tol`` of ``solve`` is the relative residual at which it stops early. The
        start is not used.

    Raises:
        ValueError: a count below 1, above m or n, or above ``max_nonzeros``; a fraction outside
            (0, 1]; a model that is not linear.

    Cost: A and A* once a step, 4 m K multiplications for Gram-Schmidt and K² for the
        coefficients; K (m + K) numbers of memory, K = ``max_nonzeros``.

    Notes: the factorization A_S = Q R is extended by one column a step, and so is R⁻¹: no
        matrix is ever factorized anew, and batches call no LAPACK.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> sol = ji.solve(omp(20), problem, family.initial(jax.random.key(0)))
        >>> int(sol.num_steps), float(ji.metrics.nmse(sol.x, problem.truth.x)) < 1e-9
        (5, True)

    Source: Pati, Rezaiifar, Krishnaprasad (1993); guarantee: Tropp (2004), theorem 3.1.
    """
    where = "omp"
    level = sparsity_level(where, num_nonzeros)
    counted = checks.is_concrete(level) and jnp.issubdtype(jnp.asarray(level).dtype, jnp.integer)
    if max_nonzeros is not None:
        max_nonzeros = checks.count(where, "max_nonzeros", max_nonzeros)
        if counted and np.any(np.asarray(level) > max_nonzeros):
            checks.fail(where, "num_nonzeros", f"be at most {max_nonzeros} (max_nonzeros)", level)
    elif counted and jnp.ndim(level) == 0:
        max_nonzeros = int(level)
    return Omp(level, max_nonzeros)
