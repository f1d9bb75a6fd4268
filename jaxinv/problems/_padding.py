"""Checks and masks that families with padded shapes share."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks

Array = jax.Array


def active_size(
    where: str, argument: str, value: Any, largest: int, of: str, *, least: int = 1
) -> Any:
    """Return a size in use below a static maximum as int32; None and tracers pass untouched."""
    if value is None or not checks.is_concrete(value):
        return value
    numbers_seen = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not numbers_seen and not jnp.issubdtype(getattr(value, "dtype", bool), jnp.integer):
        checks.fail_type(where, argument, f"be an integer in [{least}, {largest}] ({of})", value)
    seen = np.asarray(value)
    if not np.all((seen >= least) & (seen <= largest)):
        checks.fail(where, argument, f"be in [{least}, {largest}] ({of})", value)
    return jnp.asarray(value, jnp.int32)


def active_mask(active: Any, size: int) -> Array | None:
    """Return which of ``size`` entries are in use; None for all."""
    return None if active is None else jnp.arange(size) < active


def masked(values: Array, mask: Array | None) -> Array:
    """Return ``values`` with 0 where they are not in use."""
    return values if mask is None else jnp.where(mask, values, 0)


def real_type(where: str, dtype: Any) -> Any:
    """Require a real floating type."""
    try:
        result = jnp.dtype(dtype)
    except TypeError:
        checks.fail_type(where, "dtype", "be a real floating type", dtype)
    if not jnp.issubdtype(result, jnp.floating):
        checks.fail(where, "dtype", "be a real floating type", result.name)
    return result
