"""The sum of the smallest squares: the largest residuals are left out."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree
from jaxinv.misfits._base import Misfit


@pytree
class Trimmed(Misfit):
    """See ``trimmed``."""

    share: Any

    smoothness = 1.0

    def outliers(self, prediction: Array, y: Array) -> Array:
        """Return which measurements are left out: those of the largest residuals."""
        sizes = lax.stop_gradient(numerics.magnitude(prediction - y)).reshape(-1)
        count = jnp.round(jnp.asarray(self.share).astype(sizes.dtype) * sizes.size)
        ranks = jnp.argsort(jnp.argsort(-sizes))
        return (ranks < count).reshape(y.shape)

    def _value(self, prediction: Array, y: Array) -> Array:
        left_out = self.outliers(prediction, y)
        return 0.5 * numerics.sum_squares(jnp.where(left_out, 0, prediction - y))

    def _weights(self, prediction: Array, y: Array) -> Array:
        real = numerics.real_dtype(prediction.dtype)
        return jnp.where(self.outliers(prediction, y), 0, 1).astype(real)


def trimmed(share: Any) -> Trimmed:
    r"""Squares of all but the largest residuals: finds outliers and fits the rest.

    .. math:: \min_{|O| = \epsilon m} \tfrac12 \sum_{i \notin O} |p_i - y_i|^2
        = \min_{\|e\|_0 \le \epsilon m} \tfrac12 \|p + e - y\|^2

    The joint estimate of a prediction and of outliers e, of which ε m may be anything. With as many
    as there are, what is left is least squares on the good measurements: no loss of efficiency,
    where ``huber`` and ``absolute`` lose some. Not convex: use restarts.

    Args:
        share: ε in [0, ½], at least the share of outliers; round(ε m) are left out.

    Returns:
        A misfit of curvature 1 on what is kept and 0 elsewhere. ``outliers(prediction, y)`` says
        what is left out.

    Raises:
        ValueError: a share outside [0, ½].

    Example:
        >>> import jax.numpy as jnp
        >>> misfit, zero = trimmed(0.25), jnp.zeros(4)
        >>> y = jnp.array([1.0, 2.0, 99.0, 0.0])
        >>> float(misfit(zero, y)), misfit.outliers(zero, y).tolist()
        (2.5, [False, False, True, False])

    Source: Rousseeuw (1984), least trimmed squares; for generative models Yi, Le, Wang, Wu, Xu
        (2018), who minimize ‖A G(z) − y‖₁, which is ``misfits.absolute``.
    """
    return Trimmed(checks.scalar("trimmed", "share", share, low=0.0, high=0.5))
