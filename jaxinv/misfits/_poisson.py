"""The Poisson misfit of counts."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.misfits._base import Misfit, number


@pytree
class Poisson(Misfit):
    """See ``poisson``."""

    background: Any
    weight: Any

    units = units.table(background=units.DATA, weight=units.DATA)
    takes_complex = False
    domain = "hold counts >= 0"

    def in_domain(self, y: Array) -> Array:
        return jnp.all(y >= 0)

    def _value(self, prediction: Array, y: Array) -> Array:
        rate = prediction + number(self.background, prediction)
        counted, possible = y > 0, rate > 0
        ratio = jnp.where(counted & possible, y, 1) / jnp.where(counted & possible, rate, 1)
        terms = rate - y + jnp.where(counted, y, 0) * jnp.log(ratio)
        impossible = (rate < 0) | (counted & ~possible)
        return number(self.weight, prediction) * jnp.sum(jnp.where(impossible, jnp.inf, terms))

    def gradient(self, prediction: Array, y: Array) -> Array:
        rate = prediction + number(self.background, prediction)
        return number(self.weight, prediction) * (1 - numerics.safe_divide(y, rate))

    def _weights(self, prediction: Array, y: Array) -> Array:
        rate = prediction + number(self.background, prediction)
        return number(self.weight, prediction) * numerics.safe_divide(y, rate * rate)

    def size(self, prediction: Array, y: Array) -> Array:
        total = number(self.weight, prediction) * jnp.sum(y)
        return jnp.where(total > 0, numerics.safe_sqrt(2 * total), 1)

    def typical_gradient(self, prediction: Array, y: Array) -> Array:
        return jnp.broadcast_to(number(self.weight, prediction), prediction.shape)


def poisson(background: Any = 0.0, weight: Any = 1.0) -> Poisson:
    r"""Poisson's misfit of counts y_i with the rates p_i + b: few photons.

    .. math:: c \sum_i \Bigl(p_i + b - y_i + y_i \log\frac{y_i}{p_i + b}\Bigr)

    The Kullback-Leibler divergence, 0 where the rates are the counts. Infinite where a rate is
    negative, or 0 with a count: start where they are positive.

    Args:
        background: b >= 0, known counts that come with every measurement.
        weight: c > 0, 1 for counts; of counts in another unit, that unit.

    Returns:
        A misfit; its curvature is the second derivative diag(c y_i/(p_i + b)²).

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(poisson()(jnp.array([2.0, 1.0]), jnp.array([2.0, 0.0]))), 4)
        1.0
    """
    background = checks.nonnegative("poisson", "background", background)
    return Poisson(background, checks.positive("poisson", "weight", weight))
