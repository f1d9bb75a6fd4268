"""Gradient descent on a linearized model, at any number of steps, in closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics

_LIMIT = 1e-3  # K may miss its transpose by this share of its largest entry


def linearized_descent(
    kernel_matrix: Num[ArrayLike, "m m"],
    residual: Num[ArrayLike, "m"],
    step_size: Any,
    num_steps: Num[ArrayLike, "*steps"],
) -> Inexact[Array, "*steps m"]:
    r"""Return the residual after any number of gradient steps on a linear model.

    .. math:: r_t = (I - \eta K)^t r_0 = \sum_i (1 - \eta \lambda_i)^t w_i \langle w_i, r_0 \rangle

    K = J Jᵀ is the kernel in the space of the measurements (A Σ A* for y = A G), r = f − y, and
    the loss is ½‖r‖². At t = ∞ what K can reach is fitted, and the rest stays.

    Args:
        kernel_matrix: K, shape (m, m), symmetric (Hermitian) positive semi-definite.
        residual: r_0, shape (m,).
        step_size: η > 0, scalar; converges for η < 2 / λ_1.
        num_steps: t >= 0, whole numbers or ``inf``; scalar, or an array of any shape.

    Returns:
        r_t, shape ``(*num_steps.shape, m)``.

    Raises:
        ValueError: shapes that do not fit, K not symmetric and semidefinite, a step that is not
            positive, negative steps; t = ∞ with η >= 2 / λ_1 (NaN where η or K is traced).

    Cost: one eigendecomposition, m³; then m² for each number of steps. For many residuals use
        ``jax.vmap`` over ``residual``, which factors once.

    Notes: eigenvalues below m eps λ_1 are rounding and count as 0: their share stays.

    Example:
        >>> import jax.numpy as jnp
        >>> K = jnp.diag(jnp.array([1.0, 0.5]))
        >>> linearized_descent(K, jnp.ones(2), 0.5, jnp.array([0, 1, jnp.inf])).tolist()
        [[1.0, 1.0], [0.5, 0.75], [0.0, 0.0]]

    Source: Heckel, Soltanolkotabi (2020), Proposition 2, equation (39).
    """
    where = "linearized_descent"
    values, vectors, weights = _eigen(where, kernel_matrix, residual)
    step, count = steps_taken(where, step_size, num_steps, values)
    result = _residuals(values, vectors, weights, step, count)
    return checks.no_nan(where, "step_size", result)


@jax.jit
def _residuals(
    values: Array, vectors: Array, weights: Array, step_size: Array, num_steps: Array
) -> Array:
    return numerics.matmul(kept_share(values, step_size, num_steps) * weights, vectors.T)


def linearized_distance(
    kernel_matrix: Num[ArrayLike, "m m"],
    residual: Num[ArrayLike, "m"],
    step_size: Any,
    num_steps: Num[ArrayLike, "*steps"],
) -> Float[Array, "*steps"]:
    r"""Return how far the parameters are from the start after steps on a linear model.

    .. math:: \|\theta_t - \theta_0\|^2 = \sum_i \Bigl( \langle w_i, r_0 \rangle
        \frac{1 - (1 - \eta \sigma_i^2)^t}{\sigma_i} \Bigr)^2, \qquad K = J J^T,\;
        \lambda_i = \sigma_i^2

    At t = ∞ it is ‖J⁺ r_0‖.

    Args:
        kernel_matrix, residual, step_size, num_steps: as ``linearized_descent``.

    Returns:
        ‖θ_t − θ_0‖, of the shape of ``num_steps``.

    Raises:
        ValueError: as ``linearized_descent``.

    Cost: as ``linearized_descent``.

    Example:
        >>> import jax.numpy as jnp
        >>> float(linearized_distance(4 * jnp.eye(1), jnp.array([6.0]), 0.1, jnp.inf))
        3.0

    Source: Heckel, Soltanolkotabi (2020), Proposition 2, equation (40).
    """
    where = "linearized_distance"
    values, _, weights = _eigen(where, kernel_matrix, residual)
    step, count = steps_taken(where, step_size, num_steps, values)
    return checks.no_nan(where, "step_size", _distances(values, weights, step, count))


@jax.jit
def _distances(values: Array, weights: Array, step_size: Array, num_steps: Array) -> Array:
    share = fitted_share(values, step_size, num_steps) * jnp.abs(weights)
    squares = numerics.safe_divide(share * share, values)
    return numerics.safe_sqrt(jnp.sum(squares, axis=-1))


def kept_share(values: Array, step_size: Array, num_steps: Array) -> Array:
    """Return (1 − η λ)^t for every λ, along a new last axis behind those of ``num_steps``."""
    rate, t = step_size * values, num_steps[..., None]
    still = (t == 0) | (rate == 0)
    done = (rate == 1) & ~still
    safe, count = jnp.where(still | done, 0.5, rate), jnp.where(still | done, 1, t)
    below = jnp.log1p(-jnp.where(safe < 1, safe, 0.5))
    above = jnp.log(jnp.where(safe < 1, 1, safe - 1))
    power = jnp.exp(count * jnp.where(safe < 1, below, above))
    power = jnp.where((rate > 1) & (count % 2 == 1), -power, power)
    return jnp.where(still, 1, jnp.where(done, 0, power))


def fitted_share(values: Array, step_size: Array, num_steps: Array) -> Array:
    """Return 1 − (1 − η λ)^t, without cancellation where η λ t is small."""
    rate, t = step_size * values, num_steps[..., None]
    gentle = (rate > 0) & (rate < 1) & (t > 0)
    safe, count = jnp.where(gentle, rate, 0.5), jnp.where(gentle, t, 1)
    exact = -jnp.expm1(count * jnp.log1p(-safe))
    return jnp.where(gentle, exact, 1 - kept_share(values, step_size, num_steps))


def significant(values: Array) -> Array:
    """Return eigenvalues with those that are only rounding set to 0."""
    floor = values.shape[-1] * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    return jnp.where(values > floor, values, 0)


def _eigen(where: str, kernel_matrix: Any, residual: Any) -> tuple[Array, Array, Array]:
    """Return eigenvalues >= 0, eigenvectors, and the residual's coefficients."""
    matrix = require_symmetric(where, "kernel_matrix", kernel_matrix)
    residual = checks.array(where, "residual", residual)
    checks.finite(where, "residual", residual)
    hint = "Use jax.vmap for a batch of residuals."
    checks.shape_is(where, "residual", residual, matrix.shape[:1], hint)
    values, vectors, weights = _decompose(matrix, residual)
    if checks.is_concrete(values):
        least, most = float(jnp.min(values)), float(jnp.max(jnp.abs(values)))
        if least < -_LIMIT * most:
            got = f"an eigenvalue of {least:.4g}"
            checks.fail(where, "kernel_matrix", "be positive semidefinite", got)
    return significant(values), vectors, weights


@jax.jit
def _decompose(matrix: Array, residual: Array) -> tuple[Array, Array, Array]:
    dtype = jnp.result_type(matrix, residual)
    values, vectors = jnp.linalg.eigh(matrix.astype(dtype))
    weights = numerics.matmul(residual.astype(dtype), jnp.conj(vectors))
    return values, vectors, weights


def require_symmetric(where: str, argument: str, value: Any) -> Array:
    """Return a square matrix that equals its conjugate transpose, up to rounding."""
    matrix = checks.array(where, argument, value, ndim=2)
    checks.shape_is(where, argument, matrix, (matrix.shape[0], matrix.shape[0]))
    checks.finite(where, argument, matrix)
    if checks.is_concrete(matrix):
        seen = np.asarray(matrix)
        defect = float(np.max(np.abs(seen - seen.conj().T), initial=0.0))
        if defect > _LIMIT * float(np.max(np.abs(seen), initial=0.0)):
            got = f"entries that differ by {defect:.2g}"
            checks.fail(where, argument, "equal its (conjugate) transpose", got)
    return matrix


def steps_taken(where: str, step_size: Any, num_steps: Any, values: Array) -> tuple[Array, Array]:
    """Return η and t in the type of the eigenvalues; t = ∞ needs a step that converges."""
    step_size = checks.positive(where, "step_size", step_size, single=True)
    step = jnp.asarray(step_size).astype(values.dtype)
    count = step_counts(where, num_steps, values.dtype)
    if checks.is_concrete((step, count, values)) and np.any(np.isinf(np.asarray(count))):
        largest = float(np.max(np.asarray(values), initial=0.0))
        if np.max(np.asarray(step)) * largest >= 2:
            expected = f"be below 2/λ_1 = {2 / largest:.4g} for a limit to exist"
            checks.fail(where, "step_size", expected, step_size)
    return step, count


def step_counts(where: str, num_steps: Any, dtype: Any) -> Array:
    """Return numbers of steps as floating numbers; they may be infinite, but not negative."""
    if checks.is_concrete(num_steps):
        try:
            kind = np.asarray(num_steps).dtype.kind
            if kind not in "iufO":  # O: integers of Python's that no other type holds
                raise TypeError
            seen = np.asarray(num_steps, np.float64)
        except (TypeError, ValueError):
            checks.fail_type(where, "num_steps", "be a number of steps or an array", num_steps)
        if not np.all((seen >= 0) & ((seen == np.floor(seen)) | np.isinf(seen))):
            expected = "be whole numbers >= 0, or inf"
            checks.fail(where, "num_steps", expected, num_steps)
        return jnp.asarray(seen, dtype)
    return jnp.asarray(num_steps).astype(dtype)
