"""Spectral start: a projected power method on the matrix that the measurements weight."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree
from jaxinv.misfits._outer import Outer, product
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
        problem: whose operator is ``operators.magnitude(A)``, ``single_index(A, f)``, A itself
            where the link is not known, or ``operators.outer``; a prior of None stands for all
            signals.
        u0: where the power method starts, such as ``family.initial(key)``.
        solver: of the projection P_G, five steps each; default ``levenberg_marquardt()``.
        num_steps: products with V, >= 1.

    Returns:
        The unknown of the last projection: its direction is the estimate, its norm means little
        (of a spiked matrix much).

    Raises:
        TypeError: an operator without a linear part, signs.
        ValueError: a start that does not fit; ``operators.outer`` of a rank above 1.

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
        generative priors", algorithm 1; Liu, Liu, Ghosh, Han, Scarlett (2022), "Generative
        principal component analysis", algorithm 1.
    """
    where = "spectral_start"
    given: Any = levenberg_marquardt() if solver is None else solver
    require_solver(where, "solver", given)
    num_steps = step_limit(where, "num_steps", checks.count(where, "num_steps", num_steps))
    problem, u0 = check_start(where, given, problem, u0)
    if isinstance(problem.misfit, Outer):
        if len(problem.operator.in_shape) > 1:
            hint = "Use levenberg_marquardt(num_restarts=8) from random starts."
            got = f"one of rank {problem.operator.in_shape[0]}"
            checks.fail(where, "problem.operator", "be operators.outer of rank 1", got, hint)
        return _power_method(given, _Matrix(problem.y), problem.prior, u0, num_steps)
    linear = getattr(problem.operator, "linear", problem.operator)
    if isinstance(problem.operator, Sign) or not isinstance(linear, LinearOperator):
        hint = "For signs solve problems.back_projected(problem)."
        expected = "be operators.magnitude, single_index, or linear"
        checks.fail_type(where, "problem.operator", expected, problem.operator, hint)
    image = _Weighted(linear, problem.y)
    return _power_method(given, image, problem.prior, u0, num_steps)


@pytree
class _Weighted:
    """x ↦ V x of measurements y, with the size for which A x has that of y."""

    linear: LinearOperator
    y: Array

    def __call__(self, x: Array) -> Array:
        A, y = self.linear, self.y
        weights = y / numerics.order(y)
        measured = _unit(A(_unit(x)))
        w = _unit(A.adjoint((weights - jnp.mean(weights)) * measured))
        return w * numerics.safe_divide(numerics.safe_norm(y), numerics.safe_norm(A(w)))


@pytree
class _Matrix:
    """x ↦ M x / √λ, λ the value of M at x/‖x‖: the spike itself where x is along it, and noise."""

    matrix: Any

    def __call__(self, x: Array) -> Array:
        direction = _unit(x)
        w = product(self.matrix, direction)
        value = numerics.inner(direction, w)
        # no spike along x: any size will do
        return jnp.where(value > 0, numerics.safe_divide(w, numerics.safe_sqrt(value)), _unit(w))


@partial(jax.jit, static_argnums=4)
def _power_method(solver: Solver, image: Any, prior: Any, u0: Any, num_steps: int) -> Any:
    def body(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
        x, u = carry
        w = image(x)
        return (w, w) if prior is None else solver.project(prior, w, u, _INNER), None

    x = u0 if prior is None else prior(u0)
    return lax.scan(body, (x, u0), None, length=num_steps)[0][1]


def _unit(x: Array) -> Array:
    return numerics.safe_divide(x, numerics.safe_norm(x))
