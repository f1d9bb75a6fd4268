"""The median of the mean squares of blocks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.misfits._base import Misfit


@pytree
class MedianOfMeans(Misfit):
    """See ``median_of_means``."""

    block_size: int = static()

    def check(self, where: str, argument: str, y: Any) -> None:
        super().check(where, argument, y)
        if jnp.size(y) % self.block_size:
            expected = f"have a number of entries that block_size = {self.block_size} divides"
            checks.fail(where, argument, expected, y, "Leave the last entries out.")

    def _value(self, prediction: Array, y: Array) -> Array:
        means = self._means(prediction, y)
        return 0.5 * prediction.size * means[self._median(means)]

    def gradient(self, prediction: Array, y: Array) -> Array:
        return self._weights(prediction, y) * (prediction - y)

    def _weights(self, prediction: Array, y: Array) -> Array:
        means = self._means(prediction, y)
        chosen = jnp.arange(means.size) == self._median(means)
        weights = jnp.where(chosen, jnp.asarray(means.size, means.dtype), 0)
        return jnp.repeat(weights, self.block_size).reshape(prediction.shape)

    def _means(self, prediction: Array, y: Array) -> Array:
        blocks = (prediction - y).reshape(-1, self.block_size)
        return jax.vmap(numerics.sum_squares)(blocks) / self.block_size

    def _median(self, means: Array) -> Array:
        return jnp.argsort(means)[(means.size - 1) // 2]


def median_of_means(block_size: int) -> MedianOfMeans:
    r"""The median over blocks of the mean square: a fraction of the measurements is arbitrary.

    .. math:: \frac{m}{2} \operatorname{median}_j \frac{1}{|B_j|} \sum_{i \in B_j} |p_i - y_i|^2

    Blocks are of consecutive measurements, in the order of y (shuffle the rows first where
    outliers come in bursts). With fewer outliers than half the number of blocks they cannot
    move it far. Not convex, and not smooth where the median block changes.

    Args:
        block_size: measurements in a block; it divides their number. Blocks that are larger than
            the latent, and more than twice as many as outliers, work best.

    Returns:
        A misfit; its curvature is that of the median block (the lower one of two): m/|B_j| on
        its entries and 0 elsewhere.

    Raises:
        ValueError: a block size below 1; one that does not divide, when a problem is solved.

    Example:
        >>> import jax.numpy as jnp
        >>> float(median_of_means(1)(jnp.array([1.0, 2.0, 99.0]), jnp.zeros(3)))
        6.0

    Source: Jalal, Liu, Dimakis, Caramanis (2020), "Robust compressed sensing using generative
        models", whose tournament of two latents this is without the opponent.
    """
    return MedianOfMeans(checks.count("median_of_means", "block_size", block_size))
