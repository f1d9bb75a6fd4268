"""Errors of an estimate. The order is always (estimate, truth)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks, numerics

Array = jax.Array


def _pair(where: str, estimate: Any, truth: Any) -> tuple[Array, Array]:
    estimate = checks.array(where, "estimate", estimate)
    truth = checks.array(where, "truth", truth)
    checks.shape_is(where, "estimate", estimate, truth.shape, "Arguments are (estimate, truth).")
    return estimate, truth


def relative_error(estimate: Any, truth: Any) -> Array:
    """Return ‖x̂ − x‖ / ‖x‖; infinite when only the truth is 0, and 0 when both are.

    Example:
        >>> import jax.numpy as jnp
        >>> float(relative_error(jnp.array([3.0, 0.0]), jnp.array([2.0, 0.0])))
        0.5
    """
    estimate, truth = _pair("relative_error", estimate, truth)
    error, size = numerics.safe_norm(estimate - truth), numerics.safe_norm(truth)
    return jnp.where(error == 0, 0, error / size)


def nmse(estimate: Any, truth: Any) -> Array:
    """Return the normalized squared error ‖x̂ − x‖² / ‖x‖².

    Example:
        >>> import jax.numpy as jnp
        >>> float(nmse(jnp.array([3.0, 0.0]), jnp.array([2.0, 0.0])))
        0.25
    """
    return relative_error(*_pair("nmse", estimate, truth)) ** 2


def nmse_db(estimate: Any, truth: Any) -> Array:
    """Return the normalized squared error in decibels, 10 log₁₀ of ``nmse``.

    Example:
        >>> import jax.numpy as jnp
        >>> float(nmse_db(jnp.array([1.1]), jnp.array([1.0])).round(2))
        -20.0
    """
    return 20 * jnp.log10(relative_error(*_pair("nmse_db", estimate, truth)))


def psnr(estimate: Any, truth: Any, *, data_range: Any = 1.0) -> Array:
    """Return the peak signal-to-noise ratio 10 log₁₀(range² / mean squared error) in decibels.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape.
        data_range: distance between the smallest and the largest possible value.

    Example:
        >>> import jax.numpy as jnp
        >>> float(psnr(jnp.full(4, 0.1), jnp.zeros(4)).round(2))
        20.0
    """
    estimate, truth = _pair("psnr", estimate, truth)
    data_range = checks.positive("psnr", "data_range", data_range)
    error = numerics.sum_squares(estimate - truth) / truth.size
    return 10 * jnp.log10(data_range**2 / error)


def support_recall(estimate: Any, truth: Any, *, threshold: Any = 0.0) -> Array:
    """Return the share of the true support that the estimate has: 1 for an empty support.

    Args:
        estimate: x̂, any shape.
        truth: x, of the same shape; its support is where it is not 0.
        threshold: entries with ``|x̂| > threshold`` count as found.

    Example:
        >>> import jax.numpy as jnp
        >>> float(support_recall(jnp.array([1.0, 0.0, 2.0]), jnp.array([1.0, 1.0, 0.0])))
        0.5
    """
    estimate, truth = _pair("support_recall", estimate, truth)
    support = truth != 0
    threshold = checks.nonnegative("support_recall", "threshold", threshold)
    found = support & (jnp.abs(estimate) > threshold)
    return numerics.safe_divide(jnp.sum(found, dtype=estimate.dtype), jnp.sum(support), default=1.0)
