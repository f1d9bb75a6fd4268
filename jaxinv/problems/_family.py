"""The contract of a family, a distribution over problems, and what families share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.problems._problem import Problem


class Family:
    """A distribution over problems: a pytree whose arrays are arguments, never constants.

    A subclass gives ``sample(key) -> Problem``, all random parts from the one key, and usually
    ``initial(key) -> u0``. Where trials share a part, ``axes`` says so.
    """

    @property
    def axes(self) -> Problem:
        """Problem prefix of 0 and None: which parts differ between trials; here all of them.

        For the ``in_axes`` and ``out_axes`` of ``jax.vmap``: a shared operator is not copied.
        """
        return Problem(operator=0, y=0, prior=0, truth=0)

    def sample(self, key: Any) -> Problem:
        """Draw one problem."""
        raise NotImplementedError

    def initial(self, key: Any) -> Any:
        """Draw a start for the unknown."""
        raise NotImplementedError

    def batch(self, keys: Any) -> Problem:
        """Draw one problem per key: ``vmap`` of ``sample`` with the right ``out_axes``."""
        return jax.vmap(self.sample, out_axes=self.axes)(key_batch("batch", keys))


def require_family(where: str, family: Any) -> Family:
    """Return a family that can draw problems; refuse anything else in one line."""
    if not isinstance(family, Family):
        hint = "Make one with jaxinv.problems, or subclass problems.Family."
        checks.fail_type(where, "family", "be a family of problems", family, hint)
    if type(family).sample is Family.sample:
        hint = "Give it a method sample(key) that returns a Problem."
        checks.fail_type(where, "family", "have a method sample of its own", family, hint)
    return family


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


def gaussian_matrix(key: Array, shape: tuple[int, int], active: Any, dtype: Any) -> Array:
    """Return entries N(0, 1/m) in the m rows that are in use, and 0 in the others."""
    mask = active_mask(active, shape[0])
    rows = shape[0] if mask is None else active
    matrix = jax.random.normal(key, shape, dtype)
    matrix = matrix / jnp.sqrt(jnp.asarray(rows, dtype))
    return matrix if mask is None else jnp.where(mask[:, None], matrix, 0)


def gaussian_noise(
    key: Array, shape: tuple[int, ...], dtype: Any, levels: tuple[Any, Any], mask: Array | None
) -> Array:
    """Return noise of ``(norm, standard deviation)``, one of which is 0."""
    noise_norm, noise_std = levels
    noise = masked(jax.random.normal(key, shape, dtype), mask)
    unit = noise / numerics.safe_norm(noise)
    return (noise_norm * unit + noise_std * noise).astype(dtype)
