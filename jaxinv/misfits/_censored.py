"""Squares of what is above a threshold; the rest is only known to be below."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.misfits._base import Misfit, number


@pytree
class Censored(Misfit):
    """See ``censored``."""

    threshold: Any

    units = units.table(threshold=units.DATA)
    takes_complex = False
    smoothness = 1.0

    def _value(self, prediction: Array, y: Array) -> Array:
        counts = self._weights(prediction, y) > 0
        return 0.5 * numerics.sum_squares(jnp.where(counts, prediction - y, 0))

    def gradient(self, prediction: Array, y: Array) -> Array:
        return self._weights(prediction, y) * (prediction - y)

    def _weights(self, prediction: Array, y: Array) -> Array:
        counts = (y > number(self.threshold, prediction)) | ~(prediction <= y)
        return jnp.where(counts, 1, 0).astype(prediction.dtype)


def censored(threshold: Any = 0.0) -> Censored:
    r"""Squares for measurements that are cut off from below, as by a ReLU or a dead zone.

    .. math:: \sum_i \rho_i(p_i - y_i), \qquad
        \rho_i(r) = \begin{cases} \tfrac12 r^2 & y_i > \tau \\
        \tfrac12 \max(r, 0)^2 & y_i \le \tau \end{cases}

    A measurement above the threshold is a number; one at or below it says that the prediction is no
    larger. Convex and smooth, so that a layer y = relu(W h) is inverted by least squares.

    Args:
        threshold: τ, scalar, in the unit of y.

    Returns:
        A misfit of curvature at most 1, for real measurements.

    Raises:
        ValueError: a threshold that is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> float(censored()(jnp.array([-5.0, 2.0, 1.0]), jnp.array([0.0, 0.0, 3.0])))
        4.0

    Source: Lei, Jalal, Dhillon, Dimakis (2019), the constraints of equation (2), in squares; the
        model is that of Tobin (1958).
    """
    return Censored(checks.scalar("censored", "threshold", threshold))
