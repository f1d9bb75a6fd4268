"""Accelerated descent for ½ uᵀ H u − bᵀ u + λ‖u‖₁, given products with H."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv._core import numerics

Array = jax.Array

_POWER_STEPS = 6
_MARGIN = 1.05  # on the curvature, which power iteration gives from below


class _Carry(NamedTuple):
    u: Array
    image: Array
    previous: Array
    previous_image: Array
    momentum: Array
    curvature: Array


def minimize_quadratic(
    product: Callable[[Array], Array], b: Array, u: Array, penalty: Any, num_steps: Any
) -> Array:
    """Return u after ``num_steps`` steps (may be traced) of restarted FISTA.

    The step is the inverse of a curvature that starts at an estimate from below and grows
    whenever a step met a larger one; momentum is then dropped.
    """
    curvature = _MARGIN * _largest_curvature(product, b, num_steps)

    def body(_: Any, carry: _Carry) -> _Carry:
        u, image, previous, previous_image, momentum, curvature = carry
        following_momentum = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        weight = jnp.maximum(momentum - 1, 0) / following_momentum
        ahead = u + weight * (u - previous)
        image_ahead = image + weight * (image - previous_image)
        following = _shrink(ahead - (image_ahead - b) / curvature, penalty / curvature)
        following_image = product(following)
        move = following - ahead
        met = jnp.sum(move * (following_image - image_ahead))
        squares = jnp.sum(jnp.square(move))
        too_long = met > curvature * squares
        curvature = jnp.where(too_long, _MARGIN * met / jnp.where(squares > 0, squares, 1), curvature)
        against = jnp.sum(move * (following - u)) < 0
        momentum = jnp.where(too_long | against, 0, following_momentum)
        return _Carry(following, following_image, u, image, momentum, curvature)

    image = product(u)
    first = _Carry(u, image, u, image, jnp.zeros((), u.dtype), curvature)
    return lax.fori_loop(0, num_steps, body, first).u


def _largest_curvature(product: Callable[[Array], Array], start: Array, num_steps: Any) -> Array:
    """Estimate λ_max(H) from below; 1 where the start or H is 0."""

    def body(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        vector, _ = carry
        image = product(vector)
        size = jnp.sqrt(jnp.sum(jnp.square(image)))
        return jnp.where(size > 0, image / jnp.where(size > 0, size, 1), vector), size

    size = numerics.safe_norm(start)
    vector = numerics.safe_divide(start, size)
    steps = jnp.minimum(num_steps, _POWER_STEPS)
    _, value = lax.fori_loop(0, steps, body, (vector, jnp.ones((), start.dtype)))
    return jnp.where(value > 0, value, 1)


def _shrink(v: Array, threshold: Array) -> Array:
    return v - jnp.clip(v, -threshold, threshold)
