"""Squares with one weight for each measurement."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics, pytree
from jaxinv.misfits._base import Misfit, number


@pytree
class Weighted(Misfit):
    """See ``weighted``."""

    weights: Any

    @property
    def smoothness(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The largest weight."""
        return jnp.max(jnp.asarray(self.weights))

    def check(self, where: str, argument: str, y: Any) -> None:
        super().check(where, argument, y)
        if jnp.ndim(self.weights):
            expected = f"have shape {jnp.shape(self.weights)}, as the weights of misfits.weighted"
            if jnp.shape(self.weights) != jnp.shape(y):
                checks.fail(where, argument, expected, y)

    def _value(self, prediction: Array, y: Array) -> Array:
        root = jnp.sqrt(self._weights(prediction, y))
        return 0.5 * numerics.sum_squares(root * (prediction - y))

    def gradient(self, prediction: Array, y: Array) -> Array:
        return self._weights(prediction, y) * (prediction - y)

    def _weights(self, prediction: Array, y: Array) -> Array:
        return jnp.broadcast_to(number(self.weights, prediction), prediction.shape)


def weighted(weights: Num[ArrayLike, "*shape"]) -> Weighted:
    r"""Squares with weights: Gaussian noise of known, unequal levels.

    .. math:: \tfrac12 \sum_i w_i |p_i - y_i|^2

    Args:
        weights: w >= 0, of the shape of y, or one number; 1/σ_i² makes it a log-likelihood.

    Returns:
        A misfit; its curvature is diag(w).

    Raises:
        ValueError: negative weights; those of another shape than y, when a problem is solved.

    Example:
        >>> import jax.numpy as jnp
        >>> float(weighted(jnp.array([1.0, 0.0]))(jnp.array([2.0, 9.0]), jnp.zeros(2)))
        2.0
    """
    weights = checks.nonnegative("weighted", "weights", weights)
    if getattr(weights, "ndim", 0):
        weights = checks.array("weighted", "weights", weights)
    return Weighted(weights)
