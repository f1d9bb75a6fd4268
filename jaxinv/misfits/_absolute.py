"""The sum of absolute values."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.misfits._base import Misfit, number


@pytree
class Absolute(Misfit):
    """See ``absolute``."""

    weight: Any

    units = units.table(weight=units.DATA)

    def _value(self, prediction: Array, y: Array) -> Array:
        return number(self.weight, prediction) * jnp.sum(numerics.magnitude(prediction - y))

    def gradient(self, prediction: Array, y: Array) -> Array:
        residual = prediction - y
        return number(self.weight, prediction) * numerics.safe_divide(
            residual, numerics.magnitude(residual)
        )

    def _weights(self, prediction: Array, y: Array) -> Array:
        size = numerics.magnitude(prediction - y)
        floor = jnp.sqrt(jnp.finfo(size.dtype).eps) * numerics.largest(y)
        floor = jnp.where(floor > 0, floor, 1)
        return number(self.weight, prediction) / jnp.maximum(size, floor)


def absolute(weight: Any = 1.0) -> Absolute:
    r"""The sum of absolute values: Laplacian noise, gross outliers.

    .. math:: c \sum_i |p_i - y_i|

    Exact wherever a majority of the measurements can be met. It has a kink there, so that
    the gradient does not tend to 0: descent needs decreasing steps, and ``solve`` ends
    STALLED. ``huber`` with a small δ is the smooth neighbor.

    Args:
        weight: c > 0, in the unit of y.

    Returns:
        A misfit; its curvature is diag(c/|r_i|), of iteratively reweighted least squares, with
        |r_i| kept above √ε max|y|. Its gradient at a residual of 0 is 0.

    Raises:
        ValueError: a weight that is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> float(absolute()(jnp.array([1.0, -3.0]), jnp.zeros(2)))
        4.0
    """
    return Absolute(checks.positive("absolute", "weight", weight))
