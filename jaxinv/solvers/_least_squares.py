"""Least squares in one call: with Tikhonov's damping, on a support, and the oracle bound."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Inexact, Shaped

from jaxinv._core import checks, numerics, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import in_units
from jaxinv.solvers._checked import check_problem
from jaxinv.solvers._linear import linear_problem, require_linear
from jaxinv.solvers._normal_equations import solve_normal

_OF_OPERATOR = units.Unit(-1, 1)


def least_squares(problem: Problem, *, damping: Any = 0.0) -> Inexact[Array, "*shape"]:
    r"""Solve least squares, with Tikhonov's damping if asked for.

    .. math:: \min_u \tfrac12 \|A u - y\|^2 + \tfrac12 \delta^2 \|u\|^2

    One call, that works under ``jit``, ``vmap`` and ``grad``, for any linear operator. The steps
    themselves, to stop early or look at them, are those of ``cgls`` and ``lsqr``. For ‖D u‖²
    instead of ‖u‖² measure with ``operators.vstack([A, delta * D])`` and hold it against (y, 0).

    Args:
        problem: what to solve, with a linear model; its truth is not read.
        damping: δ >= 0, scalar, in the unit of A: ``damp`` of ``scipy.sparse.linalg.lsqr``.

    Returns:
        The minimizer; for δ = 0 the one of least norm where there are many.

    Raises:
        ValueError: a negative damping, or a model that is not linear.

    Cost: two transforms where A has a ``diagonalization()`` (convolutions, masks, MRI of one coil,
        differences); else A and A* once for each step of conjugate gradients, until the floor of
        the floating-point type.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.dense(jnp.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
        >>> problem = ji.Problem(A, jnp.array([1.0, 2.0, 5.0]))
        >>> [round(entry, 4) for entry in least_squares(problem).tolist()]
        [1.0, 1.0]
        >>> [round(entry, 4) for entry in least_squares(problem, damping=1.0).tolist()]
        [0.5, 0.8]

    Source: Tikhonov (1963); Hestenes, Stiefel (1952).
    """
    where = "least_squares"
    problem = check_problem(where, problem)._replace(truth=None)
    return _damped(problem, checks.nonnegative(where, "damping", damping, single=True))


def debias(problem: Problem, support: Shaped[ArrayLike, "*shape"]) -> Inexact[Array, "*shape"]:
    r"""Solve least squares on a support, such as that of a penalized or thresholded estimate.

    .. math:: \min_u \tfrac12 \|A u - y\|^2 \ \text{ subject to } \ u_i = 0
        \text{ for } i \notin S

    ℓ1 solutions are shrunk by about the penalty; this takes the shrinkage away. It is no solver
    but one call, that works under ``jit`` and ``vmap`` and for any linear operator.

    Args:
        problem: what to solve, with a linear model; its truth is not read.
        support: a boolean mask of the unknown's shape; or an estimate u, for the entries that
            are not 0.

    Returns:
        The least-squares solution on S; the one of least norm where there are many. Entries
        outside S are exactly 0.

    Raises:
        ValueError: a support of another shape, or a model that is not linear.

    Cost: A and A* once for each step of conjugate gradients, until the floor of the
        floating-point type: ten to thirty steps for well-conditioned supports.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> start = family.initial(jax.random.key(0))
        >>> sol = ji.solve(ji.solvers.fista(penalty=0.1), problem, start)
        >>> before = ji.metrics.nmse(sol.x, problem.truth.x)
        >>> after = ji.metrics.nmse(debias(problem, sol.u), problem.truth.x)
        >>> float(before) > 1e-3, float(after) < 1e-9
        (True, True)

    Source: Figueiredo, Nowak, Wright (2007), section II-D.
    """
    problem = check_problem("debias", problem)
    return _masked(
        "debias", problem._replace(truth=None), _support("debias", "support", problem, support)
    )


def oracle(problem: Problem) -> Inexact[Array, "*shape"]:
    r"""Solve least squares on the true support: a bound to compare with, not an estimator.

    It reads ``problem.truth``, which no solver may. No estimator that is unbiased given the
    support does better, so it is the floor of a noisy recovery plot. For a Gaussian A and s
    nonzero entries,

    .. math:: \frac{\mathbb{E}\|u - x\|^2}{\|x\|^2} \approx
        10^{-\mathrm{SNR}/10} \, \frac{s / m}{1 - s / m}

    that is −45.9, −35.9 and −25.9 dB at 40, 30 and 20 dB for m = 250, s = 50.

    Args:
        problem: a problem with its truth and a linear model.

    Returns:
        The least-squares solution on the support of ``problem.truth.u``.

    Raises:
        ValueError: a problem without truth, or a model that is not linear.

    Cost: as ``debias``.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> float(ji.metrics.nmse(oracle(problem), problem.truth.x)) < 1e-9
        True

    Source: Candès, Tao (2007), section 1.
    """
    problem = check_problem("oracle", problem)
    truth = getattr(problem.truth, "u", None)
    if truth is None:
        hint = "A real measurement has no oracle; use debias on an estimate."
        checks.fail("oracle", "problem.truth", "be known", "None", hint)
    return _masked(
        "oracle",
        problem._replace(truth=None),
        _support("oracle", "problem.truth.u", problem, truth),
    )


def _support(where: str, argument: str, problem: Problem, value: Any) -> Array:
    """Return a mask of the unknown's shape from a mask, or from values."""
    shape = getattr(problem.operator if problem.prior is None else problem.prior, "in_shape", None)
    values = checks.array(where, argument, value)
    checks.finite(where, argument, values)
    mask = values != 0
    if shape is not None:
        hint = "Give a mask or an estimate of the unknown, not indices."
        checks.shape_is(where, argument, mask, shape, hint)
    return mask


@jax.jit
def _damped(problem: Problem, damping: Any) -> Array:
    where = "least_squares"
    unknown = jax.eval_shape(require_linear(where, problem).adjoint, problem.y)
    zero = jnp.zeros(unknown.shape, unknown.dtype)
    problem, scale = in_units(problem, zero)
    model, y = linear_problem(where, problem, zero)
    real = numerics.real_dtype(zero.dtype)
    damping = units.to_units(jnp.asarray(damping).astype(real), _OF_OPERATOR, scale)
    diagonal = model.diagonalization()
    if diagonal is None:
        shift = jnp.square(damping)
        first = solve_normal(model, y, zero, damping=shift).x
        found = solve_normal(model, y, first, damping=shift).x
    else:
        values = jnp.hypot(diagonal.singular_values.astype(real), damping)
        kept = values > zero.size * jnp.finfo(real).eps * jnp.max(values)
        inverse = jnp.where(kept, 1 / jnp.where(kept, values, 1), 0)  # squared it might overflow
        found = diagonal.multiply(inverse, diagonal.multiply(inverse, model.adjoint(y)))
    return units.from_units(found, units.UNKNOWN, scale)


@partial(jax.jit, static_argnums=0)
def _masked(where: str, problem: Problem, mask: Array) -> Array:
    unknown = jax.eval_shape(require_linear(where, problem).adjoint, problem.y)
    zero = jnp.zeros(unknown.shape, unknown.dtype)
    problem, scale = in_units(problem, zero)
    model, y = linear_problem(where, problem, zero)
    first = solve_normal(model, y, zero, mask=mask).x
    found = solve_normal(
        model, y, first, mask=mask
    ).x  # again from the residual itself: two more digits
    return units.from_units(found, units.UNKNOWN, scale)
