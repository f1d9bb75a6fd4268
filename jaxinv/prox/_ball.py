"""Projection onto an ℓ1 ball."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.prox._base import Prox


@pytree
class L1Ball(Prox):
    """See ``l1_ball``."""

    radius: Any

    units = units.table(radius=units.UNKNOWN)

    def value(self, w: Any) -> Array:
        w = checks.array("l1_ball", "w", w)
        return jnp.zeros((), numerics.real_dtype(w.dtype))

    def _apply(self, v: Array, step_size: Any) -> Array:
        sizes = numerics.magnitude(v)
        radius = jnp.asarray(self.radius).astype(sizes.dtype)
        if radius.ndim:
            hint = "For one value per trial use jax.vmap over the operator."
            checks.fail("l1_ball", "radius", "be a scalar", radius, hint)
        ordered = jnp.sort(sizes.reshape(-1))[::-1]
        counts = jnp.arange(1, ordered.size + 1, dtype=sizes.dtype)
        # with j entries above it, the threshold is their excess over the radius, shared
        threshold = jnp.max((jnp.cumsum(ordered) - radius) / counts)
        return numerics.soft_threshold(v, jnp.maximum(threshold, 0))


def l1_ball(radius: Any) -> L1Ball:
    r"""Project onto the ℓ1 ball around 0.

    .. math:: \mathrm{prox}(v) = \arg\min_{\|w\|_1 \le r} \tfrac12 \|w - v\|^2
        = S_\theta(v), \qquad
        \theta = \max_j \tfrac1j \Bigl(\textstyle\sum_{i \le j} |v|_{(i)} - r\Bigr)_+

    The soft threshold S_θ whose level meets the radius; |v|_(i) are the sizes in descending order.

    Args:
        radius: r >= 0, scalar.

    Returns:
        A ``Prox`` of value 0 everywhere, also outside the ball: iterates are inside from the first
        step on.

    Raises:
        ValueError: a radius that is negative or no scalar.

    Cost: one sort.

    Example:
        >>> import jax.numpy as jnp
        >>> l1_ball(2.0)(jnp.array([3.0, -2.0, 0.5]))
        Array([ 1.5, -0.5,  0. ], dtype=float32)

    Source: Duchi, Shalev-Shwartz, Singer, Chandra (2008).
    """
    return L1Ball(checks.nonnegative("l1_ball", "radius", radius, single=True))
