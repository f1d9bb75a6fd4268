"""Huber's misfit: squares near 0, absolute values beyond."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.misfits._base import Misfit, number


@pytree
class Huber(Misfit):
    """See ``huber``."""

    delta: Any

    units = units.table(delta=units.DATA)
    smoothness = 1.0

    def _value(self, prediction: Array, y: Array) -> Array:
        size = numerics.magnitude(prediction - y)
        inside = jnp.minimum(size, number(self.delta, prediction))
        return jnp.sum(inside * (size - 0.5 * inside))

    def gradient(self, prediction: Array, y: Array) -> Array:
        return self._weights(prediction, y) * (prediction - y)

    def _weights(self, prediction: Array, y: Array) -> Array:
        size, delta = numerics.magnitude(prediction - y), number(self.delta, prediction)
        return delta / jnp.maximum(size, delta)


def huber(delta: Any) -> Huber:
    r"""Squares up to δ, absolute values beyond: noise with outliers.

    .. math::
        \sum_i \rho(|p_i - y_i|), \qquad
        \rho(r) = \tfrac12 r^2 \;(r \le \delta), \quad \delta r - \tfrac12 \delta^2 \;(r > \delta)

    An outlier pulls with the force δ, however far it is. Convex, with curvature at most 1.

    Args:
        delta: δ > 0, in the unit of y; 1.345 times the noise level keeps 95 % of the
            efficiency of squares under Gaussian noise.

    Returns:
        A misfit; its curvature is diag(min(1, δ/|r_i|)), the weights of iteratively reweighted
        least squares, which majorize it.

    Raises:
        ValueError: δ not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> float(huber(1.0)(jnp.array([1.0, 3.0]), jnp.zeros(2)))
        3.0

    Source: Huber (1964), "Robust estimation of a location parameter".
    """
    return Huber(checks.positive("huber", "delta", delta))
