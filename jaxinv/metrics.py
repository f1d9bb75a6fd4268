"""Errors of an estimate. The order is always (estimate, truth); NaN in one gives NaN."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Shaped

from jaxinv._core import checks, numerics, outside

_WINDOW = 7  # side of the windows of ``ssim``
_RANGES = {"float": 1.0, "bool": 1.0, "uint8": 255.0, "uint16": 65535.0}
_COUNTS = 100  # floats that span more count something; they do not lie in [0, 1]


def _pair(where: str, estimate: Any, truth: Any) -> tuple[Array, Array]:
    estimate = checks.array(where, "estimate", estimate)
    truth = checks.array(where, "truth", truth)
    checks.shape_is(where, "estimate", estimate, truth.shape, "Arguments are (estimate, truth).")
    return estimate, truth


def relative_error(
    estimate: Shaped[ArrayLike, "*shape"], truth: Shaped[ArrayLike, "*shape"]
) -> Float[Array, ""]:
    """Return ‖x̂ − x‖ / ‖x‖; infinite when only the truth is 0, and 0 when both are.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape.

    Returns:
        The error >= 0, shape ().

    Raises:
        ValueError: other shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> float(relative_error(jnp.array([3.0, 0.0]), jnp.array([2.0, 0.0])))
        0.5
    """
    estimate, truth = _pair("relative_error", estimate, truth)
    return _relative_error(estimate, truth)


@partial(jax.jit, inline=True)  # outside jit too, one program
def _relative_error(estimate: Array, truth: Array) -> Array:
    error, size = numerics.safe_norm(estimate - truth), numerics.safe_norm(truth)
    share = numerics.safe_divide(error, size, default=jnp.inf)
    return jnp.where((error == 0) | jnp.isnan(error), error, share)


def outer_error(
    estimate: Shaped[ArrayLike, "*shape"], truth: Shaped[ArrayLike, "*shape"]
) -> Float[Array, ""]:
    r"""Return ‖Σ x̂_j x̂_jᵀ − Σ x_j x_jᵀ‖ / ‖Σ x_j x_jᵀ‖, Frobenius norms, of rows x_j.

    The error of what a spiked matrix tells of its spikes: it does not depend on their signs, nor
    on the order or an orthogonal mixture of rows. Of one vector it is near 0 from √2 to 2 times the
    relative error.

    Args:
        estimate: x̂, one vector (n,), or rows (r, n).
        truth: x, of the same shape.

    Returns:
        The error >= 0, shape (); infinite when only the truth is 0, and 0 when both are.

    Raises:
        ValueError: other shapes; more than two axes.

    Cost: 2 r n² multiplications, 2 n numbers of memory.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
        >>> float(outer_error(-x[::-1], x))
        0.0
    """
    where = "outer_error"
    estimate, truth = _pair(where, estimate, truth)
    if truth.ndim not in (1, 2):
        checks.fail(where, "truth", "have shape (n,) or (r, n)", truth)
    if jnp.iscomplexobj(estimate) or jnp.iscomplexobj(truth):
        checks.fail(where, "estimate and truth", "be real", "complex numbers")
    n = truth.shape[-1]
    return _outer_error(estimate.reshape(-1, n), truth.reshape(-1, n))


@partial(jax.jit, inline=True)
def _outer_error(estimate: Array, truth: Array) -> Array:
    unit = numerics.order(estimate, truth)
    estimate, truth = estimate / unit, truth / unit

    def one(columns: tuple[Array, Array]) -> tuple[Array, Array]:  # of the two matrices
        found, held = (
            numerics.matmul(column, rows)
            for column, rows in zip(columns, (estimate, truth), strict=True)
        )
        return numerics.safe_norm(found - held), numerics.safe_norm(held)

    errors, sizes = jax.lax.map(one, (estimate.T, truth.T))
    error, size = numerics.safe_norm(errors), numerics.safe_norm(sizes)
    share = numerics.safe_divide(error, size, default=jnp.inf)
    return jnp.where((error == 0) | jnp.isnan(error), error, share)


def _decibels(size: Array) -> Array:
    """Return 20 log₁₀ of a size >= 0; −∞ for 0, with derivative 0 there."""
    zero = size == 0
    return jnp.where(zero, -jnp.inf, 20 * jnp.log10(jnp.where(zero, 1, size)))


def nmse(
    estimate: Shaped[ArrayLike, "*shape"], truth: Shaped[ArrayLike, "*shape"]
) -> Float[Array, ""]:
    """Return the normalized squared error ‖x̂ − x‖² / ‖x‖².

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape.

    Returns:
        The error >= 0; infinite when only the truth is 0, shape ().

    Raises:
        ValueError: other shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> float(nmse(jnp.array([3.0, 0.0]), jnp.array([2.0, 0.0])))
        0.25
    """
    return relative_error(*_pair("nmse", estimate, truth)) ** 2


def nmse_db(
    estimate: Shaped[ArrayLike, "*shape"], truth: Shaped[ArrayLike, "*shape"]
) -> Float[Array, ""]:
    """Return the normalized squared error in decibels, 10 log₁₀ of ``nmse``.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape.

    Returns:
        Decibels; −∞ for an exact estimate, shape ().

    Raises:
        ValueError: other shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> float(nmse_db(jnp.array([1.1]), jnp.array([1.0])).round(2))
        -20.0
    """
    return _decibels(relative_error(*_pair("nmse_db", estimate, truth)))


def psnr(
    estimate: Shaped[ArrayLike, "*shape"],
    truth: Shaped[ArrayLike, "*shape"],
    *,
    data_range: Any = None,
) -> Float[Array, ""]:
    """Return the peak signal-to-noise ratio 10 log₁₀(range² / mean squared error) in decibels.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape.
        data_range: distance between the smallest and the largest possible value; default 1 for
            floating-point and Boolean images, 255 and 65535 where both are uint8 or uint16.

    Returns:
        Decibels, shape (); ∞ for an exact estimate.

    Raises:
        ValueError: other shapes; no ``data_range`` for other integers, for images of two
            types, and for a truth that spans over 100 (which [0, 1] it is not).

    Example:
        >>> import jax.numpy as jnp
        >>> float(psnr(jnp.full(4, 0.1), jnp.zeros(4)).round(2))
        20.0
    """
    data_range = _data_range("psnr", estimate, truth, data_range)
    estimate, truth = _pair("psnr", estimate, truth)
    if truth.size == 0:
        checks.fail("psnr", "truth", "have at least one entry", truth)
    error = numerics.safe_norm((estimate - truth) / data_range)
    return -_decibels(error / math.sqrt(truth.size))


def _data_range(where: str, estimate: Any, truth: Any, data_range: Any) -> Any:
    """Return the range of two images; None is that of their type."""
    if data_range is not None:
        return checks.positive(where, "data_range", data_range, single=True)
    first, second = (
        outside.entries(where, "estimate", estimate),
        outside.entries(where, "truth", truth),
    )
    kinds = sorted({_kind(first), _kind(second)})
    if len(kinds) > 1 or kinds[0] not in _RANGES:
        hint = "It is the distance of the smallest and the largest possible value."
        got = f"images of {' and '.join(kinds)}"
        checks.fail(where, "data_range", "be given for these types", got, hint)
    if kinds[0] == "float" and checks.is_concrete(second) and second.size:
        span = np.ptp(np.real(second))
        if span > _COUNTS:
            hint = "Pass data_range=255 for images of 8 bits."
            got = f"a truth that spans {span:g}"
            checks.fail(where, "data_range", "be given for floats beyond [0, 1]", got, hint)
    return _RANGES[kinds[0]]


def _kind(image: Any) -> str:
    return "float" if jnp.issubdtype(image.dtype, jnp.inexact) else str(image.dtype)


def ssim(
    estimate: Shaped[ArrayLike, "*shape"],
    truth: Shaped[ArrayLike, "*shape"],
    *,
    data_range: Any = None,
) -> Float[Array, ""]:
    r"""Return the mean structural similarity of two images, 1 for equal ones.

    .. math::
        \frac{(2 \mu_a \mu_b + c_1)(2 s_{ab} + c_2)}
        {(\mu_a^2 + \mu_b^2 + c_1)(s_a^2 + s_b^2 + c_2)}, \qquad
        c_1 = (0.01 R)^2, \quad c_2 = (0.03 R)^2

    averaged over all windows of 7 x 7 pixels that lie inside the image, with sample means μ and
    sample (co)variances s of each window. It agrees with scikit-image's
    ``structural_similarity`` at its defaults.

    Args:
        estimate: x̂, shape (h, w), or (h, w, channels) for the mean over channels.
        truth: x, of the same shape, at least 7 pixels a side.
        data_range: R, distance between the smallest and the largest possible value; default as
            for ``psnr``.

    Returns:
        A number of at most 1, shape ().

    Raises:
        ValueError: other shapes, complex images; no ``data_range`` where ``psnr`` asks for it.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.linspace(0, 1, 64).reshape(8, 8)
        >>> float(ssim(x, x)), float(ssim(1 - x, x)) < 0.5
        (1.0, True)

    Source: Wang, Bovik, Sheikh, Simoncelli (2004), equation 13.
    """
    data_range = _data_range("ssim", estimate, truth, data_range)
    estimate, truth = _pair("ssim", estimate, truth)
    if truth.ndim not in (2, 3) or min(truth.shape[:2]) < _WINDOW:
        expected = f"have shape (h, w) or (h, w, channels) with h, w >= {_WINDOW}"
        checks.fail("ssim", "truth", expected, truth)
    if jnp.iscomplexobj(estimate) or jnp.iscomplexobj(truth):
        checks.fail("ssim", "estimate and truth", "be real", "complex images", "Pass jnp.abs(x).")
    estimate, truth = estimate / data_range, truth / data_range
    c1, c2 = 0.01**2, 0.03**2
    # variances do not depend on the offset; a small one keeps their digits
    offset = jnp.mean(truth)
    a, b = jnp.subtract(estimate, offset), jnp.subtract(truth, offset)
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    var_a = unbiased * (_window_mean(a * a) - mean_a**2)
    var_b = unbiased * (_window_mean(b * b) - mean_b**2)
    covariance = unbiased * (_window_mean(a * b) - mean_a * mean_b)
    mean_a, mean_b = mean_a + offset, mean_b + offset
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return jnp.mean(similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))


def _window_mean(x: Array) -> Array:
    """Average over each window that lies inside the image, along the first two axes."""
    for axis in (0, 1):
        size = x.shape[axis] - _WINDOW + 1
        shifted = [jax.lax.slice_in_dim(x, i, i + size, axis=axis) for i in range(_WINDOW)]
        x = sum(shifted[1:], shifted[0]) / _WINDOW
    return x


def support_recall(
    estimate: Shaped[ArrayLike, "*shape"],
    truth: Shaped[ArrayLike, "*shape"],
    *,
    threshold: Any = 0.0,
) -> Float[Array, ""]:
    """Return the share of the true support that the estimate has: 1 for an empty support.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape; its support is where it is not 0.
        threshold: entries with ``|x̂| > threshold`` count as found.

    Returns:
        A share in [0, 1], shape ().

    Raises:
        ValueError: other shapes, a negative threshold.

    Example:
        >>> import jax.numpy as jnp
        >>> float(support_recall(jnp.array([1.0, 0.0, 2.0]), jnp.array([1.0, 1.0, 0.0])))
        0.5
    """
    estimate, truth = _pair("support_recall", estimate, truth)
    support = truth != 0
    threshold = checks.nonnegative("support_recall", "threshold", threshold, single=True)
    found = support & (jnp.abs(estimate) > threshold)
    return numerics.safe_divide(jnp.sum(found, dtype=estimate.dtype), jnp.sum(support), default=1.0)
