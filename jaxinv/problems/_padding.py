"""Checks and masks that families with padded shapes share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks


def active_size(
    where: str, argument: str, value: Any, largest: int, of: str, *, least: int = 1
) -> Any:
    """Return a size in use below a static maximum as int32; None and tracers pass untouched."""
    if value is None or not checks.is_concrete(value):
        return value
    if not checks.is_integer(value):
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


def key_batch(where: str, keys: Any) -> Any:
    """Require an array of PRNG keys, with a first axis for the trials."""
    hint = "Use jax.random.split(key, num_trials), or family.sample(key) for one problem."
    if not isinstance(keys, jax.Array | np.ndarray):
        checks.fail_type(where, "keys", "be an array of PRNG keys", keys, hint)
    typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if keys.ndim != (1 if typed else 2):
        checks.fail(where, "keys", "be an array of PRNG keys with one axis", keys, hint)
    return keys


def require_scalars(family: Any, *names: str) -> None:
    """Refuse arrays where a family documents scalars; under ``vmap`` each trial has its own."""
    for name in names:
        if getattr(getattr(family, name), "ndim", 0):
            hint = "For one value per trial use jax.vmap over the family."
            value = getattr(family, name)
            checks.fail(type(family).__name__, name, "be a scalar", value, hint)


def num_starts(num_restarts: Any) -> int:
    """Require a number of starts of at least 1."""
    return checks.count("initial", "num_restarts", num_restarts)
