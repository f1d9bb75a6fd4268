"""Student's misfit: outliers are forgotten."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.misfits._base import Misfit, number


@pytree
class StudentT(Misfit):
    """See ``student_t``."""

    noise_std: Any
    degrees: Any

    units = units.table(noise_std=units.DATA)
    smoothness = 1.0

    def _value(self, prediction: Array, y: Array) -> Array:
        ratio, spread = self._ratio(prediction, y)
        return 0.5 * spread * spread * jnp.sum(jnp.log1p(ratio * ratio))

    def gradient(self, prediction: Array, y: Array) -> Array:
        return self._weights(prediction, y) * (prediction - y)

    def _weights(self, prediction: Array, y: Array) -> Array:
        ratio, _ = self._ratio(prediction, y)
        return 1 / (1 + ratio * ratio)

    def _ratio(self, prediction: Array, y: Array) -> tuple[Array, Array]:
        degrees = jnp.sqrt(number(self.degrees, prediction))
        spread = number(self.noise_std, prediction) * degrees
        return numerics.magnitude(prediction - y) / spread, spread


def student_t(noise_std: Any, degrees: Any = 1.0) -> StudentT:
    r"""Student's t: heavy tails, outliers whose pull goes to 0 with their size.

    .. math:: \tfrac12 \nu \sigma^2 \sum_i \log\Bigl(1 + \frac{|p_i - y_i|^2}{\nu \sigma^2}\Bigr)

    The negative log-density of Student's t times νσ²/(ν + 1), so that it is ½|r|² for small r.
    Not convex: start from the estimate of ``huber``.

    Args:
        noise_std: σ > 0, in the unit of y.
        degrees: ν > 0; 1 is Cauchy's, infinity would be squares.

    Returns:
        A misfit; its curvature is diag(1/(1 + |r_i|²/(νσ²))), the weights of iteratively
        reweighted least squares, which majorize it.

    Raises:
        ValueError: a number that is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(student_t(1.0)(jnp.array([1.0]), jnp.zeros(1))), 4)
        0.3466

    Source: Lange, Little, Taylor (1989), "Robust statistical modeling using the t distribution".
    """
    noise_std = checks.positive("student_t", "noise_std", noise_std)
    return StudentT(noise_std, checks.positive("student_t", "degrees", degrees))
