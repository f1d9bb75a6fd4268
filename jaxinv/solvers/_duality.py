"""Certificates for the Lasso: duality gap, optimality conditions, largest useful penalty."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics, units
from jaxinv._core.units import Scale
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._base import in_units
from jaxinv.solvers._checked import check_problem
from jaxinv.solvers._linearized import linear_model
from jaxinv.solvers._message_passing import norms_of_columns

# IMPORT linear_model


_ROUNDING = 4.0  # rounding errors of an entry of A* r, in eps ‖a_j‖ ‖y‖


class DualityGap(NamedTuple):
    """How far an estimate may be from optimal: at most ``absolute`` in the objective.

    Attributes:
        absolute: primal minus dual value, >= the suboptimality of the estimate.
        relative: the same over ½‖y‖², the objective at 0; 0 where y is 0 and the gap is too.
    """

    absolute: Array
    relative: Array


def duality_gap(problem: Problem, u: Num[ArrayLike, "*shape"], penalty: Any) -> DualityGap:
    r"""Return the duality gap of a Lasso estimate, from the residual rescaled to be feasible.

    .. math::
        r = y - A u, \quad s = \min(1, \lambda / \|A^* r\|_\infty), \qquad
        P(u) - D(s r) = \tfrac12 (1 - s)^2 \|r\|^2
            + \sum_i \bigl(\lambda |u_i| - s\, \mathrm{Re}\, \bar u_i (A^* r)_i\bigr)

    This form has no difference of large numbers, and no term of it is negative: in float32 it
    can be trusted far below the rounding of the objective itself.

    Args:
        problem: with a linear model; its truth is not read.
        u: the estimate.
        penalty: λ >= 0, scalar.

    Returns:
        ``DualityGap(absolute, relative)``.

    Raises:
        ValueError: a model that is not linear, a negative penalty.

    Cost: A and A* once.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem, penalty = family.sample(jax.random.key(0)), 0.01
        >>> sol = ji.solve(ji.solvers.fista(penalty=penalty), problem, jax.numpy.zeros(100))
        >>> bool(duality_gap(problem, sol.u, penalty).relative < 1e-5)
        True

    Source: Fercoq, Gramfort, Salmon (2015), section 2; Kim et al. (2007), section 3.
    """
    model, problem, u, penalty = _checked("duality_gap", problem, u, penalty)
    return _gap(model, problem.y, u, penalty)


def kkt_residual(problem: Problem, u: Num[ArrayLike, "*shape"], penalty: Any) -> Float[Array, ""]:
    r"""Return how far an estimate is from the Lasso's optimality conditions, relative to λ_max.

    .. math::
        \max_i \begin{cases} |(A^* r)_i - \lambda u_i / |u_i|| & u_i \ne 0 \\
        \max(|(A^* r)_i| - \lambda, 0) & u_i = 0 \end{cases}
        \quad \text{over} \quad \|A^* y\|_\infty

    Args:
        problem: with a linear model.
        u: the estimate.
        penalty: λ >= 0, scalar.

    Returns:
        A scalar, 0 exactly at a solution.

    Raises:
        ValueError: a model that is not linear, a negative penalty.

    Cost: A once, A* twice.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 100).sample(jax.random.key(0))
        >>> penalty = largest_penalty(problem)
        >>> round(float(kkt_residual(problem, jax.numpy.zeros(100), 0.25 * penalty)), 6)
        0.75

    Source: Fuchs (2004), "On sparse representations in arbitrary redundant bases", for complex
    unknowns too.
    """
    model, problem, u, penalty = _checked("kkt_residual", problem, u, penalty)
    return _kkt(model, problem.y, u, penalty)


def largest_penalty(problem: Problem) -> Float[Array, ""]:
    r"""Return λ_max = ‖A* y‖_∞, from which on the Lasso's only solution is 0.

    Args:
        problem: with a linear model.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: a model that is not linear.

    Cost: A* once.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 100).sample(jax.random.key(0))
        >>> penalty = largest_penalty(problem)
        >>> sol = ji.solve(ji.solvers.lasso(penalty), problem, jax.numpy.zeros(100))
        >>> int((sol.u != 0).sum())
        0
    """
    problem = check_problem("largest_penalty", problem)
    return _largest(require_linear("largest_penalty", problem), problem.y)


# outside jit too, each is one program
@partial(jax.jit, inline=True)
def _gap(model: LinearOperator, y: Array, u: Array, penalty: Any) -> DualityGap:
    (model, y, u, penalty), scale = _divided(model, y, u, penalty)
    residual = y - model(u)
    norms = norms_of_columns(model, jnp.abs(y))
    gap = gap_from(y, residual, model.adjoint(residual), u, penalty, norms)
    return gap._replace(absolute=units.from_units(gap.absolute, units.LOSS, scale))


@partial(jax.jit, inline=True)
def _kkt(model: LinearOperator, y: Array, u: Array, penalty: Any) -> Array:
    (model, y, u, penalty), _ = _divided(model, y, u, penalty)
    correlation = model.adjoint(y - model(u))
    size = jnp.abs(u)
    direction = numerics.safe_divide(u, size)
    active = jnp.abs(correlation - penalty * direction)
    inactive = jnp.maximum(jnp.abs(correlation) - penalty, 0)
    worst = jnp.max(jnp.where(size > 0, active, inactive))
    return numerics.safe_divide(worst, jnp.max(jnp.abs(model.adjoint(y))))


def _divided(model: LinearOperator, y: Array, u: Array, penalty: Any) -> tuple[Any, Scale]:
    """Return the four in units of the problem, and these."""
    problem, scale = in_units(Problem(model, y), u)
    u = units.to_units(u, units.UNKNOWN, scale)
    penalty = units.to_units(penalty, units.GRADIENT, scale)
    return (problem.operator, problem.y, u, penalty), scale


@partial(jax.jit, inline=True)
def _largest(model: LinearOperator, y: Array) -> Array:
    return jnp.max(jnp.abs(model.adjoint(y)))


def gap_from(
    y: Array, residual: Array, correlation: Array, u: Array, penalty: Any, norms: Array
) -> DualityGap:
    """Return the gap from the residual r = y − A u, the correlation A* r and the norms ‖a_j‖.

    A penalty near 0 asks for an A* r nearer to 0 than its rounding errors are. What is within
    these counts as feasible, or no estimate would ever have a gap of 0.
    """
    penalty = jnp.asarray(penalty, numerics.real_dtype(u.dtype))
    rounding = _ROUNDING * jnp.finfo(penalty.dtype).eps * norms * numerics.safe_norm(y)
    largest = jnp.maximum(jnp.max(jnp.abs(correlation) - rounding), 0)
    scale = jnp.minimum(numerics.safe_divide(penalty, largest, default=1.0), 1)
    terms = penalty * jnp.abs(u) - scale * jnp.real(jnp.conj(u) * correlation)
    squares = numerics.sum_squares(residual)
    absolute = 0.5 * jnp.square(1 - scale) * squares + jnp.sum(jnp.maximum(terms, 0))
    at_zero = 0.5 * numerics.sum_squares(y)
    at_zero = jnp.where(at_zero > 0, at_zero, 1)
    return DualityGap(absolute, absolute / at_zero)


def require_linear(where: str, problem: Problem) -> LinearOperator:
    """Return the problem's model as one linear operator, or raise."""
    model = linear_model(problem)
    if model is None:
        hint = "The operator and the prior, if there is one, must be LinearOperators."
        checks.fail(where, "problem", "have a linear model", "one that is not", hint)
    return model


def _checked(
    where: str, problem: Any, u: Any, penalty: Any
) -> tuple[LinearOperator, Problem, Array, Any]:
    problem = check_problem(where, problem)
    model = require_linear(where, problem)
    u = checks.array(where, "u", u)
    checks.shape_is(where, "u", u, model.in_shape)
    checks.shape_is(where, "problem.y", problem.y, model.out_shape)
    penalty = checks.nonnegative(where, "penalty", penalty)
    checks.shape_is(where, "penalty", penalty, ())
    return model, problem, u, penalty
