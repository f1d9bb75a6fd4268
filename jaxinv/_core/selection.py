"""The largest entries of a vector, by bisection: no sort, and the count may be traced."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import numerics

_BITS = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}


def kth_largest(magnitudes: Array, count: Any) -> Array:
    """Return the ``count``-th largest of nonnegative numbers along the last axis.

    Nonnegative floats are ordered as their bit patterns are, so the answer is exact after as
    many comparisons with all entries as a float has bits; a sort on CPU costs several times
    the matrix products around it. Count 0 gives infinity; a count above the size gives 0.

    Args:
        magnitudes: shape (..., n), >= 0, floating. NaN counts as the largest.
        count: integers that broadcast against the leading axes; may be traced.

    Returns:
        Shape (...): the largest number that at least ``count`` entries reach. It is a constant
        for differentiation.
    """
    magnitudes = lax.stop_gradient(magnitudes)
    width = np.dtype(magnitudes.dtype).itemsize
    kind = _BITS[width]
    bits = lax.bitcast_convert_type(magnitudes, kind)
    count = jnp.asarray(count)
    shape = jnp.broadcast_shapes(magnitudes.shape[:-1], count.shape)

    def decide(index: Any, found: Array) -> Array:
        place = jnp.asarray(8 * width - 2 - index, kind)  # without jit the index is an int
        candidate = found | (jnp.ones((), kind) << place)
        reached = jnp.sum(bits >= candidate[..., None], axis=-1) >= count
        return jnp.where(reached, candidate, found)

    # the sign bit of a nonnegative number is 0: one bit less to decide
    found = lax.fori_loop(0, 8 * width - 1, decide, jnp.zeros(shape, kind))
    value = lax.bitcast_convert_type(found, magnitudes.dtype)
    return jnp.where(count > 0, value, jnp.inf)


def largest_mask(v: Array, count: Any) -> Array:
    """Return which entries are among the ``count`` largest in magnitude (ties included).

    Zeros are never among them.
    """
    sizes = jnp.abs(lax.stop_gradient(v)).astype(numerics.real_dtype(v.dtype))
    return (sizes >= kth_largest(sizes, count)[..., None]) & (sizes > 0)
