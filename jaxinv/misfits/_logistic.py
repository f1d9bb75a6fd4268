"""The logistic misfit of one-bit measurements."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import pytree
from jaxinv.misfits._base import Misfit


@pytree
class Logistic(Misfit):
    """See ``logistic``."""

    takes_complex = False
    smoothness = 0.25
    domain = "hold labels 1 and -1 only"

    def in_domain(self, y: Array) -> Array:
        return jnp.all(jnp.abs(y) == 1)

    def _value(self, prediction: Array, y: Array) -> Array:
        return jnp.sum(jax.nn.softplus(-y * prediction))

    def gradient(self, prediction: Array, y: Array) -> Array:
        return -y * jax.nn.sigmoid(-y * prediction)

    def _weights(self, prediction: Array, y: Array) -> Array:
        return jax.nn.sigmoid(prediction) * jax.nn.sigmoid(-prediction)


def logistic() -> Logistic:
    r"""The logistic loss of one-bit measurements: labels y_i = ±1 with the odds e^{p_i}.

    .. math:: \sum_i \log(1 + e^{-y_i p_i})

    The operator is the linear part (``operators.sign(A).linear``), whose values are log-odds:
    multiply it by how sure the signs are. Labels that can be separated have no finite
    minimizer: add a penalty, or use a prior.

    Returns:
        A misfit; its curvature is the second derivative diag(s_i (1 − s_i)), s = 1/(1 + e^{−p}).

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(logistic()(jnp.array([0.0, 30.0]), jnp.array([1.0, 1.0]))), 4)
        0.6931
    """
    return Logistic()
