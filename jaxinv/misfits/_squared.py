"""Half the sum of squares."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics, pytree
from jaxinv.misfits._base import Misfit


@pytree
class Squared(Misfit):
    """See ``squared``."""

    smoothness = 1.0

    def _value(self, prediction: Array, y: Array) -> Array:
        return 0.5 * numerics.sum_squares(prediction - y)

    def gradient(self, prediction: Array, y: Array) -> Array:
        return prediction - y

    def _weights(self, prediction: Array, y: Array) -> Array:
        return jnp.ones(prediction.shape, numerics.real_dtype(prediction.dtype))


def squared() -> Squared:
    r"""Half the sum of squares: Gaussian noise. What a problem without a misfit has.

    .. math:: \tfrac12 \|p - y\|^2

    Returns:
        A misfit; its curvature is the identity. Every solver takes it.

    Example:
        >>> import jax.numpy as jnp
        >>> float(squared()(jnp.array([1.0, 2.0]), jnp.zeros(2)))
        2.5
    """
    return Squared()
