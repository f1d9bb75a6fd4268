"""Products with weights, where a weight of 0 takes an entry away whatever its value."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def weigh(weights: Array, x: Array) -> Array:
    """Return ``weights * x``; where a weight is 0 or false the result is 0, also for NaN in x."""
    return jnp.where(weights, x, 0) if weights.dtype == bool else _multiply(weights, x)


@jax.custom_jvp
def _multiply(weights: Array, x: Array) -> Array:
    return jnp.where(weights == 0, 0, weights * x)


@_multiply.defjvp
def _multiply_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # a weight that happens to be 0 has the derivative x all the same
    weights, x = primals
    by_weights = tangents[0] * jnp.where((weights == 0) & ~jnp.isfinite(x), 0, x)
    by_x = jnp.where(weights == 0, 0, weights * tangents[1])
    return _multiply(weights, x), by_weights + by_x


def conjugate(weights: Array) -> Array:
    """Return the complex conjugate; real and boolean weights as they are."""
    return jnp.conj(weights) if jnp.iscomplexobj(weights) else weights


def sizes(weights: Array) -> Array:
    """Return |w| as floating numbers."""
    return weights.astype(float) if weights.dtype == bool else jnp.abs(weights)
