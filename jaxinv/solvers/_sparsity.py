"""How many entries stay: counts, fractions, and the threshold that keeps exactly so many."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv._core.numerics import kth_largest
from jaxinv.problems import Problem

_MOST = 2**31 - 1  # counts are int32
_HINT = "An integer is a number of entries; a float in (0, 1] is a fraction of all."


def sparsity_level(where: str, value: Any) -> Any:
    """Return a number of entries (integer, >= 1) or a fraction of them (float, in (0, 1])."""
    if not checks.is_concrete(value):
        return value
    if checks.is_integer(value):
        checks.scalar(where, "num_nonzeros", value, low=1.0, high=_MOST, hint=_HINT)
        return np.asarray(value, np.int32)  # of NumPy: under jit an array of JAX is a tracer
    return checks.scalar(where, "num_nonzeros", value, low=0.0, high=1.0, open_low=True, hint=_HINT)


def most_entries(y: Array, u: Array) -> int:
    """Return min(m, n); a complex measurement of a real signal counts twice in m."""
    return min(u.size, y.size * (2 if jnp.iscomplexobj(y) and not jnp.iscomplexobj(u) else 1))


def require_fit(
    where: str, value: Any, problem: Problem, u0: Array, argument: str = "num_nonzeros"
) -> None:
    """Refuse more entries than there are, or than the measurements can determine."""
    if value is None or not checks.is_concrete(value):
        return
    level, most = np.asarray(value), most_entries(problem.y, u0)
    fraction = np.issubdtype(level.dtype, np.floating)
    entries = int(np.max(np.round(level * u0.size) if fraction else level))
    if entries > most:
        got = f"{np.max(level)}, that is {entries}" if fraction else f"{entries}"
        expected = f"be at most {most} (m = {problem.y.size}, n = {u0.size})"
        checks.fail(where, f"solver.{argument}", expected, got)


def num_entries(value: Any, size: int) -> Array:
    """Return how many of ``size`` entries a count or a fraction means, at least one."""
    value = jnp.asarray(value)
    if jnp.issubdtype(value.dtype, jnp.floating):
        value = jnp.round(value * size)
    return jnp.clip(value.astype(jnp.int32), 1, size)


def largest_entries(v: Array, count: Any) -> Array:
    """Return the mask of the ``count`` entries of largest magnitude; of equal ones the first.

    Zeros are never chosen, so that the mask has fewer entries where ``v`` has.
    """
    sizes = jnp.abs(v).astype(numerics.real_dtype(v.dtype)).reshape(-1)
    return (_exactly(sizes, count) & (sizes > 0)).reshape(v.shape)


def largest_indices(sizes: Array, count: int) -> Array:
    """Return where the ``count`` largest of nonnegative numbers are, in increasing order.

    Of equal ones the first, as ``lax.top_k`` has it, which takes longer on a CPU.
    """
    chosen = _exactly(sizes, count)
    place = jnp.where(chosen, jnp.cumsum(chosen) - 1, count)
    indices = jnp.arange(sizes.size, dtype=jnp.int32)
    return jnp.zeros(count, jnp.int32).at[place].set(indices, mode="drop")


def _exactly(sizes: Array, count: Any) -> Array:
    """Return the mask of the ``count`` largest of nonnegative numbers, of equal ones the first."""
    threshold = kth_largest(sizes, count)
    above, equal = sizes > threshold, sizes == threshold
    room = jnp.asarray(count) - jnp.sum(above)
    return above | (equal & (jnp.cumsum(equal) <= room))


def keep_largest(v: Array, count: Any) -> Array:
    """Return ``v`` with all but its ``count`` largest entries set to zero; NaN stays NaN."""
    kept = jnp.where(largest_entries(v, count), v, 0)
    return jnp.where(jnp.any(jnp.isnan(v)), v, kept)
