"""The posterior mean of a Bernoulli-Gauss signal."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree
from jaxinv.shrinkage._base import Shrinkage, parameter

_MOST_LOG_ODDS = 40.0  # stands for a sparsity of 1, whose log-odds are infinite
_LARGEST_RATIO = 1e8  # of |v| to the noise; the posterior is certain long before


@pytree
class PosteriorMean(Shrinkage):
    """See ``posterior_mean``; the leaves are free of constraints, so that they can be trained."""

    log_odds: Any
    log_variance: Any

    @property
    def sparsity(self) -> Array:
        """The probability that an entry is not zero."""
        return jax.nn.sigmoid(jnp.asarray(self.log_odds))

    @property
    def variance(self) -> Array:
        """The variance of an entry that is not zero."""
        return jnp.exp(jnp.asarray(self.log_variance))

    def _apply(self, v: Array, noise_std: Array) -> Array:
        gain, odds, _ = self._posterior(v, noise_std)
        return gain * v * jax.nn.sigmoid(odds)

    def _derivative(self, v: Array, noise_std: Array) -> Array:
        gain, odds, ratio = self._posterior(v, noise_std)
        active = jax.nn.sigmoid(odds)
        return gain * active + jnp.square(gain * ratio) * active * jax.nn.sigmoid(-odds)

    def _posterior(self, v: Array, noise_std: Array) -> tuple[Array, Array, Array]:
        """Return the gain of a nonzero entry, the log-odds that it is one, and v over the noise."""
        log_odds, log_variance = parameter(self.log_odds, v), parameter(self.log_variance, v)
        deviation = jnp.exp(0.5 * log_variance)
        # below the floor nothing changes any more, and 1 / noise² would overflow
        floor = jax.lax.stop_gradient(deviation) * jnp.finfo(v.dtype).eps ** 2
        noise_std = jnp.maximum(noise_std, floor)
        relative = noise_std / deviation
        spread = 1 + jnp.square(relative)
        ratio = jnp.clip(v / noise_std, -_LARGEST_RATIO, _LARGEST_RATIO)
        evidence = jnp.log(relative) - 0.5 * jnp.log(spread) + 0.5 * jnp.square(ratio) / spread
        return 1 / spread, log_odds + evidence, ratio


def posterior_mean(sparsity: Any, variance: Any = 1.0) -> PosteriorMean:
    r"""Make the mean of a Bernoulli-Gauss signal given its noisy value.

    No estimator has a smaller mean squared error for that signal.

    .. math::
        x = b g, \quad b \sim \mathrm{Bernoulli}(p), \quad g \sim N(0, s^2), \qquad
        \eta(v, \tau) = \frac{s^2}{s^2 + \tau^2} \, \pi(v) \, v,
    .. math::
        \log \frac{\pi}{1 - \pi} = \log \frac{p}{1 - p}
        + \frac12 \log \frac{\tau^2}{s^2 + \tau^2}
        + \frac{v^2}{2 \tau^2} \, \frac{s^2}{s^2 + \tau^2}

    π is the probability that the entry is not zero. Everything goes through the log-odds, so
    that neither values nor gradients are NaN, down to τ = 0, where η(v) = v.

    Args:
        sparsity: p in (0, 1], scalar, or one per entry.
        variance: s² > 0 of the nonzero entries, scalar, or one per entry.

    Returns:
        A ``Shrinkage`` whose leaves are log p/(1 − p) and log s²: training cannot leave their
        domain. The properties ``sparsity`` and ``variance`` give p and s² back.

    Raises:
        ValueError: sparsity outside (0, 1], variance not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> shrink = posterior_mean(0.1)
        >>> shrink(jnp.array([3.0, 0.3]), 0.1).round(3)
        Array([2.97      , 0.14500001], dtype=float32)

    Source: Vila, Schniter (2013), for Gaussian mixtures of any number of parts.
    """
    where = "shrinkage.posterior_mean"
    sparsity = checks.scalar(where, "sparsity", sparsity, low=0.0, high=1.0, open_low=True)
    variance = checks.positive(where, "variance", variance)
    if isinstance(sparsity, float):
        odds = math.inf if sparsity == 1 else math.log(sparsity) - math.log1p(-sparsity)
        log_odds: Any = min(odds, _MOST_LOG_ODDS)
    else:
        log_odds = jnp.minimum(jnp.log(sparsity) - jnp.log1p(-sparsity), _MOST_LOG_ODDS)
    log_variance = math.log(variance) if isinstance(variance, float) else jnp.log(variance)
    return PosteriorMean(log_odds, log_variance)
