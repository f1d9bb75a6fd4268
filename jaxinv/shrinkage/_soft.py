"""The soft threshold, proportional to the noise."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree
from jaxinv.shrinkage._base import Shrinkage, parameter

MINIMAX_AT_TENTH = 1.140171  # the minimax multiplier when one entry in ten is not zero


@pytree
class Soft(Shrinkage):
    """See ``soft``."""

    multiplier: Any

    def _apply(self, v: Array, noise_std: Array) -> Array:
        threshold = parameter(self.multiplier, v) * noise_std
        return numerics.soft_threshold(v, threshold)

    def _derivative(self, v: Array, noise_std: Array) -> Array:
        threshold = parameter(self.multiplier, v) * noise_std
        return (jnp.abs(v) > threshold).astype(v.dtype)


def soft(multiplier: Any = MINIMAX_AT_TENTH) -> Soft:
    r"""Make the soft threshold at a multiple of the noise's standard deviation.

    It needs no knowledge of the signal beyond how sparse it is; where the distribution is
    known, ``posterior_mean`` loses less.

    .. math:: \eta(v, \tau) = \operatorname{sign}(v) \max(|v| - \alpha \tau, 0), \qquad
        \eta' = [\,|v| > \alpha \tau\,]

    Args:
        multiplier: α >= 0, a scalar, or one per entry. The default has the smallest error in
            the worst case over signals of which one entry in ten is not zero;
            ``theory.minimax_multiplier`` gives it for other sizes of A.

    Returns:
        A ``Shrinkage`` whose leaf is α.

    Raises:
        ValueError: a negative or non-finite multiplier.

    Example:
        >>> import jax.numpy as jnp
        >>> shrink = soft(1.5)
        >>> shrink(jnp.array([3.0, 0.5, -2.0]), 1.0)
        Array([ 1.5,  0. , -0.5], dtype=float32)
        >>> shrink.derivative(jnp.array([3.0, 0.5, -2.0]), 1.0)
        Array([1., 0., 1.], dtype=float32)

    Source: Donoho, Johnstone (1994); Donoho, Maleki, Montanari (2009).
    """
    return Soft(checks.nonnegative("shrinkage.soft", "multiplier", multiplier))
