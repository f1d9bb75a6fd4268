"""The Lasso for a ladder of penalties, each solution the start of the next."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import in_units
from jaxinv.solvers._checked import check_problem, step_limit
from jaxinv.solvers._duality import largest_penalty, require_linear
from jaxinv.solvers._lasso import Lasso, lasso
from jaxinv.solvers._loop import solve


class LassoPath(NamedTuple):
    """What ``lasso_path`` returns; every field has one entry per penalty.

    Attributes:
        penalties: λ, shape (P,), in the order solved.
        u: the solutions, shape (P, n).
        gaps: their relative duality gaps.
        num_steps: steps taken for each.
        status: a code for each; ``describe(status)`` explains it.
    """

    penalties: Array
    u: Array
    gaps: Array
    num_steps: Array
    status: Array


def lasso_path(
    problem: Problem,
    penalties: Num[ArrayLike, "penalties"] | None = None,
    *,
    num_penalties: int = 50,
    smallest: Any = 1e-3,
    tol: Any = 1e-5,
    max_steps: Any = 1000,
    working_set: int | None = None,
    num_inner: int = 100,
) -> LassoPath:
    r"""Solve the Lasso for decreasing penalties, each from the solution before.

    .. math:: \lambda_i = \lambda_{\max} \epsilon^{i / (P - 1)}, \qquad i = 0, \dots, P - 1

    One compiled program; ``vmap`` over problems gives one path for each.

    Args:
        problem: with a real linear model.
        penalties: shape (P,), in the order to be solved, largest first; default the ladder above.
        num_penalties: P of the ladder.
        smallest: ε in (0, 1], the last penalty over λ_max = ``largest_penalty(problem)``.
        tol: relative duality gap at which each solve stops.
        max_steps: most steps for each penalty.
        working_set: as in ``lasso``.
        num_inner: as in ``lasso``; small penalties need more than its default.

    Returns:
        ``LassoPath(penalties, u, gaps, num_steps, status)``.

    Raises:
        ValueError: penalties that are negative or not a vector, numbers out of their range, a
            model that is not linear and real.

    Cost: one Gram matrix AᵀA for the whole path, then a few steps of ``lasso`` per penalty.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 100).sample(jax.random.key(0))
        >>> path = lasso_path(problem, num_penalties=10, smallest=0.1)
        >>> path.u.shape, bool((path.gaps <= 1e-5).all())
        ((10, 100), True)

    Source: Friedman, Hastie, Tibshirani (2010), section 2.5.
    """
    where = "lasso_path"
    problem = check_problem(where, problem)
    require_linear(where, problem)
    num_penalties = checks.count(where, "num_penalties", num_penalties)
    smallest = checks.scalar(
        where, "smallest", smallest, low=0.0, high=1.0, open_low=True, single=True
    )
    if penalties is not None:
        penalties = checks.array(where, "penalties", penalties, ndim=1)
        if penalties.size == 0:
            checks.fail(where, "penalties", "hold at least one penalty", "none")
        if jnp.iscomplexobj(penalties):
            checks.fail(where, "penalties", "be real", penalties)
        checks.finite(where, "penalties", penalties)
        if checks.is_concrete(penalties) and not bool(np.all(np.asarray(penalties) >= 0)):
            checks.fail(where, "penalties", "be >= 0", "a negative entry")
    tol = checks.nonnegative(where, "tol", tol, single=True)
    if checks.is_concrete(max_steps):
        max_steps = step_limit(where, "max_steps", max_steps)
    solver = lasso(0.0, working_set=working_set, num_inner=num_inner, shared=True)
    problem = problem._replace(truth=None)
    return _path(solver, problem, penalties, smallest, tol, max_steps, num_penalties)


@partial(jax.jit, static_argnums=6)
def _path(
    solver: Lasso,
    problem: Problem,
    penalties: Array | None,
    smallest: Any,
    tol: Any,
    max_steps: Any,
    num_penalties: int,
) -> LassoPath:
    model = require_linear("lasso_path", problem)
    unknown = jax.eval_shape(model.adjoint, problem.y)
    zero = jnp.zeros(unknown.shape, unknown.dtype)
    problem, scale = in_units(problem, zero)
    if penalties is None:
        share = jnp.linspace(0, 1, num_penalties, dtype=unknown.dtype)
        penalties = largest_penalty(problem) * jnp.asarray(smallest, unknown.dtype) ** share
    else:
        penalties = units.to_units(penalties, units.GRADIENT, scale)
    solver = solver.prepare(problem)

    def body(u: Array, penalty: Array) -> tuple[Array, LassoPath]:
        one = solver.with_penalty(penalty)
        found = solve(one, problem, u, tol=tol, max_steps=max_steps)
        return found.u, LassoPath(penalty, found.u, found.error, found.num_steps, found.status)

    path = lax.scan(body, zero, penalties)[1]
    return path._replace(
        penalties=units.from_units(path.penalties, units.GRADIENT, scale),
        u=units.from_units(path.u, units.UNKNOWN, scale),
    )
