"""Soft thresholding with support selection, and the schedules that networks start from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv._core import checks, numerics
from jaxinv._core.selection import kth_largest

Array = jax.Array

_ROUNDING = 1e-3  # of an entry: 0.012 * 500 is 6, also in float32


def soft(v: Array, threshold: Any) -> Array:
    """Return sign(v) max(|v| − threshold, 0); a negative threshold counts as 0."""
    threshold = jnp.maximum(jnp.asarray(threshold), 0)
    return numerics.soft_threshold(v, threshold.astype(numerics.real_dtype(v.dtype)))


def soft_with_bypass(v: Array, threshold: Any, bypass: Any) -> Array:
    """Soft threshold all entries but the largest, which pass unchanged: support selection.

    Args:
        v: shape (n,).
        threshold: θ, a scalar or (n,).
        bypass: share of the n entries, in [0, 1], that may pass: those among the
            ⌊bypass n⌋ largest whose magnitude is above θ. None: none.
    """
    if bypass is None:
        return soft(v, threshold)
    sizes = lax.stop_gradient(jnp.abs(v))
    count = bypass_count(bypass, v.size)
    passes = (sizes >= kth_largest(sizes, count)) & (sizes > lax.stop_gradient(threshold))
    return jnp.where(passes, v, soft(v, threshold))


def bypass_count(bypass: Any, size: int) -> Array:
    """Return how many entries a share stands for, rounded down."""
    share = jnp.clip(jnp.asarray(bypass), 0, 1)
    return jnp.floor(share * size + _ROUNDING).astype(jnp.int32)


def bypass_schedule(where: str, num_layers: int, rate: Any, limit: Any) -> Array:
    """Return min(rate (t + 1), limit) for each layer; both are shares of the entries."""
    num_layers = checks.count(where, "num_layers", num_layers)
    rate = checks.scalar(where, "bypass_rate", rate, low=0.0, high=1.0, single=True)
    limit = checks.scalar(where, "bypass_limit", limit, low=0.0, high=1.0, single=True)
    return jnp.minimum(rate * jnp.arange(1, num_layers + 1), limit)


def threshold_schedule(num_layers: int, first: float, last: float) -> np.ndarray:
    """Return a geometric ladder from ``first`` to ``last``; one layer has ``first``."""
    return np.geomspace(first, last, num_layers) if num_layers > 1 else np.full(1, first)
