"""Penalties on the signal, for ``fit(penalty=...)``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.tree_util import Partial

from jaxinv._core import checks, numerics


def total_variation(weight: Any, *, isotropic: bool = False, first_axis: int = 0) -> Partial:
    r"""Make the total variation of an image a penalty.

    .. math:: \lambda \sum_{i,j} |x_{i+1,j} - x_{i,j}| + |x_{i,j+1} - x_{i,j}|

    Args:
        weight: λ >= 0.
        isotropic: sum the Euclidean length of the two differences at a pixel instead.
        first_axis: 0 for (h, w) and (h, w, channels), 1 for (coils, h, w); the channels add up.

    Returns:
        A function of the signal; λ is an argument, so that a new one compiles nothing.

    Raises:
        ValueError: a negative weight, a negative axis.

    Example:
        >>> float(total_variation(2.0)(jnp.asarray([[0.0, 1.0], [0.0, 1.0]])))
        4.0

    Source: Rudin, Osher, Fatemi (1992); the sum of magnitudes as in Van Veen et al. (2018).
    """
    where = "total_variation"
    weight = checks.nonnegative(where, "weight", weight)
    isotropic = checks.boolean(where, "isotropic", isotropic)
    first_axis = checks.count(where, "first_axis", first_axis, minimum=0)
    function = _isotropic if isotropic else _anisotropic
    return Partial(_FUNCTIONS[function, first_axis > 0], weight)


def _differences(x: Array) -> tuple[Array, Array]:
    if x.ndim < 2:
        checks.fail("total_variation", "the signal", "be an image", x)
    return jnp.diff(x, axis=0), jnp.diff(x, axis=1)


def _anisotropic(weight: Any, x: Array) -> Array:
    down, right = _differences(x)
    total = jnp.sum(jnp.abs(down)) + jnp.sum(jnp.abs(right))
    return jnp.asarray(weight).astype(total.dtype) * total


def _isotropic(weight: Any, x: Array) -> Array:
    down, right = _differences(x)
    down = jnp.concatenate([down, jnp.zeros_like(x[:1])], axis=0)
    right = jnp.concatenate([right, jnp.zeros_like(x[:, :1])], axis=1)
    total = jnp.sum(numerics.safe_sqrt(jnp.square(jnp.abs(down)) + jnp.square(jnp.abs(right))))
    return jnp.asarray(weight).astype(total.dtype) * total


def _anisotropic_first(weight: Any, x: Array) -> Array:
    return _anisotropic(weight, _channels_last(x))


def _isotropic_first(weight: Any, x: Array) -> Array:
    return _isotropic(weight, _channels_last(x))


def _channels_last(x: Array) -> Array:
    if x.ndim != 3:
        hint = "Leave first_axis out for a plane."
        checks.fail("total_variation", "the signal", "have shape (coils, h, w)", x, hint)
    return jnp.moveaxis(x, 0, -1)


_FUNCTIONS = {
    (_anisotropic, False): _anisotropic,
    (_anisotropic, True): _anisotropic_first,
    (_isotropic, False): _isotropic,
    (_isotropic, True): _isotropic_first,
}
