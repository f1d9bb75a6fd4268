"""Accelerated descent for ½ uᵀ H u − bᵀ u + λ‖u‖₁, given products with H."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics

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
    product: Callable[[Array], Array], b: Array, u: Array, penalty: Any, num_steps: int
) -> Array:
    """Return u after ``num_steps`` steps of FISTA with restart.

    The step is the inverse of a curvature that starts at an estimate from below and grows
    whenever a step met a larger one. It is a constant for differentiation: near the solution it
    is a ratio of roundings. The number of steps is fixed: a test inside the loop, or
    one loop in another, costs more than the steps that it saves.
    """

    def body(_: Any, carry: _Carry) -> _Carry:
        return _step(product, b, penalty, carry)

    image = product(u)
    curvature = lax.stop_gradient(_MARGIN * _largest_curvature(product, b))
    first = _Carry(u, image, u, image, jnp.zeros((), u.dtype), curvature)
    return lax.fori_loop(0, num_steps, body, first).u


def _step(product: Callable[[Array], Array], b: Array, penalty: Any, carry: _Carry) -> _Carry:
    u, image, previous, previous_image, momentum, curvature = carry
    following_momentum = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
    weight = jnp.maximum(momentum - 1, 0) / following_momentum
    ahead = u + weight * (u - previous)
    image_ahead = image + weight * (image - previous_image)
    following = _shrink(ahead - (image_ahead - b) / curvature, penalty / curvature)
    following_image = product(following)
    move = following - ahead
    met = lax.stop_gradient(jnp.sum(move * (following_image - image_ahead)))
    squares = lax.stop_gradient(jnp.sum(jnp.square(move)))
    too_long = met > curvature * squares
    against = jnp.sum(move * (following - u)) < 0
    return _Carry(
        u=following,
        image=following_image,
        previous=u,
        previous_image=image,
        momentum=jnp.where(too_long | against, 0, following_momentum),
        curvature=jnp.where(too_long, _MARGIN * numerics.safe_divide(met, squares), curvature),
    )


def _largest_curvature(product: Callable[[Array], Array], start: Array) -> Array:
    """Estimate λ_max(H) from below; 1 where the start or H is 0."""

    def body(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        vector, _ = carry
        image = product(vector)
        size = jnp.sqrt(jnp.sum(jnp.square(image)))
        return jnp.where(size > 0, image / jnp.where(size > 0, size, 1), vector), size

    size = numerics.safe_norm(start)
    vector = numerics.safe_divide(start, size)
    _, value = lax.fori_loop(0, _POWER_STEPS, body, (vector, jnp.ones((), start.dtype)))
    return jnp.where(value > 0, value, 1)


def _shrink(v: Array, threshold: Array) -> Array:
    return v - jnp.clip(v, -threshold, threshold)
