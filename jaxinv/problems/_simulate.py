"""Measurements of a given signal with noise where the operator measures."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.operators import Operator

_PROBE = 0  # any fixed seed: a random signal excites every row of the operator


def measured_entries(operator: Operator, signal: Array) -> Array:
    """Return which entries of ``y`` measure: a random signal leaves the rest at exactly zero."""
    probe = jax.random.normal(jax.random.key(_PROBE), signal.shape, signal.dtype)
    return operator(probe) != 0


def simulate(
    operator: Operator, signal: Array, key: Array, measured: Array, noise: tuple[Any, Any]
) -> tuple[Array, Array]:
    """Return the measurements and their noise, of ``(noise_std, snr_db)``."""
    noise_std, snr_db = noise
    clean = operator(signal)
    drawn = jax.random.normal(key, clean.shape, clean.dtype)
    real = numerics.real_dtype(clean.dtype)
    if snr_db is not None:
        count = jnp.maximum(jnp.sum(measured), 1).astype(real)
        level = numerics.safe_norm(jnp.where(measured, clean, 0)) / jnp.sqrt(count)
        noise_std = level * 10 ** (-jnp.asarray(snr_db).astype(real) / 20)
    drawn = jnp.where(measured, jnp.asarray(noise_std).astype(real) * drawn, 0)
    return clean + drawn, drawn


def checked_noise(where: str, noise_std: Any, snr_db: Any) -> tuple[Any, Any]:
    """Return the two kinds of noise; 0 where none is given."""
    if snr_db is not None and noise_std is not None:
        checks.fail(where, "snr_db and noise_std", "not both be set", f"{snr_db}, {noise_std}")
    if snr_db is not None:
        return None, checks.decibels(where, "snr_db", snr_db)
    return 0.0 if noise_std is None else checks.nonnegative(where, "noise_std", noise_std), None
