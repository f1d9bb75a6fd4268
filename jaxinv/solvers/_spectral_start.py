"""Spectral start: a projected power method on the matrix that the measurements weight."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator
from jaxinv.operators._nonlinear import Sign
from jaxinv.problems import Problem
from jaxinv.solvers._base import Solver
from jaxinv.solvers._checked import check_start, step_limit
from jaxinv.solvers._combined import require_solver
from jaxinv.solvers._levenberg_marquardt import levenberg_marquardt

_INNER = 5  # steps of each projection, from the latent of the last one


def spectral_start(
    problem: Problem, u0: Any, *, solver: Solver | None = None, num_steps: int = 10
) -> Any:
    r"""Find a start for phase retrieval and other even links, by a power method on the range of G.

    .. math:: x \leftarrow P_G(V x), \qquad V = A^* \operatorname{diag}(y - \bar y) A
        \approx \frac1m \sum_i y_i (a_i a_i^* - I)

    For y_i = f(|⟨a_i, x*⟩|) with f increasing the leading eigenvector of V tends to x*, without
    knowing f. Two steps make a decoder: this start, then any solver. With a network (10, 250, 500)
    and m = 100 magnitudes Levenberg-Marquardt from it recovers .98 of the signals, from a random
    start .70. For links that are not even (signs, tanh) ``problems.back_projected`` is the start.

    Args:
        problem: whose operator is ``operators.magnitude(A)``, ``single_index(A, f)``, or A itself
            where the link is not known; a prior of None stands for all signals.
        u0: where the power method starts, such as ``family.initial(key)``.
        solver: of the projection P_G, five steps each; default ``levenberg_marquardt()``.
        num_steps: products with V, >= 1.

    Returns:
        The unknown of the last projection: its direction is the estimate, its norm means little.

    Raises:
        TypeError: an operator without a linear part, signs.
        ValueError: a start that does not fit.

    Cost: a step takes A twice, A*, and five steps of the solver on G.

    Notes: the sum over a_i a_i* is taken with y less its mean, in place of less the identity: the
        same mean, and a smaller variance.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> family = ji.problems.generative(widths=(4, 60, 120), num_measurements=60)
        >>> key = jax.random.key(2)
        >>> linear, z0 = family.sample(key), family.initial(key)
        >>> A = ji.operators.magnitude(linear.operator)
        >>> problem = linear._replace(operator=A, y=jnp.abs(linear.y))
        >>> sol = ji.solve(ji.solvers.levenberg_marquardt(), problem, spectral_start(problem, z0))
        >>> float(ji.metrics.relative_error(sol.x, problem.truth.x)) < 1e-5
        True

    Source: Liu, Ghosh, Scarlett (2022), "Towards sample-optimal compressive phase retrieval with
        sparse and generative priors"; Liu, Wang, Liu (2022), "Misspecified phase retrieval with
        generative priors", algorithm 1.
    """
    where = "spectral_start"
    given: Any = levenberg_marquardt() if solver is None else solver
    require_solver(where, "solver", given)
    num_steps = step_limit(where, "num_steps", checks.count(where, "num_steps", num_steps))
    problem, u0 = check_start(where, given, problem, u0)
    linear = getattr(problem.operator, "linear", problem.operator)
    if isinstance(problem.operator, Sign) or not isinstance(linear, LinearOperator):
        hint = "For signs solve problems.back_projected(problem)."
        expected = "be operators.magnitude, single_index, or linear"
        checks.fail_type(where, "problem.operator", expected, problem.operator, hint)
    return _power_method(given, problem._replace(operator=linear, truth=None), u0, num_steps)


@partial(jax.jit, static_argnums=3)
def _power_method(solver: Solver, problem: Problem, u0: Any, num_steps: int) -> Any:
    A, y = problem.operator, problem.y
    weights = y / numerics.order(y)
    weights, size = weights - jnp.mean(weights), numerics.safe_norm(y)

    def body(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
        x, u = carry
        measured = _unit(A(_unit(x)))
        w = _unit(A.adjoint(weights * measured))
        w = w * numerics.safe_divide(size, numerics.safe_norm(A(w)))  # the size that y has
        if problem.prior is None:
            return (w, w), None
        return solver.project(problem.prior, w, u, _INNER), None

    return lax.scan(body, (problem.signal(u0), u0), None, length=num_steps)[0][1]


def _unit(x: Array) -> Array:
    return numerics.safe_divide(x, numerics.safe_norm(x))
