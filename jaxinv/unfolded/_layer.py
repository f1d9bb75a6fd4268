"""What the layers of several networks share."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxinv._core import numerics

Array = jax.Array


def correlate(weights: Array, residual: Array) -> Array:
    """Return W* r; as r* W, which reads the rows of W and needs no transposed copy."""
    return jnp.conj(numerics.matmul(jnp.conj(residual), weights))


def relative_change(following: Array, u: Array) -> Array:
    """Return ‖following − u‖ / ‖following‖, and 0 where that is 0: the error of a layer."""
    return numerics.safe_divide(numerics.safe_norm(following - u), numerics.safe_norm(following))
