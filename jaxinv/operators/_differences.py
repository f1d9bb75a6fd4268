"""Finite differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._dct import dct
from jaxinv.operators._require import signal_shape
from jaxinv.operators._spectrum import Diagonalization


@pytree
class FiniteDifference(LinearOperator):
    """Forward differences along every axis; see ``finite_difference``."""

    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (len(self.shape), *self.shape)

    def _apply(self, x: Array) -> Array:
        parts = []
        for axis in range(x.ndim):
            last = [(0, int(a == axis)) for a in range(x.ndim)]
            parts.append(jnp.pad(jnp.diff(x, axis=axis), last))
        return jnp.stack(parts)

    def _adjoint(self, y: Array) -> Array:
        total = jnp.zeros(self.shape, y.dtype)
        for axis in range(len(self.shape)):
            inner = jax.lax.slice_in_dim(y[axis], 0, self.shape[axis] - 1, axis=axis)
            ends = [(int(a == axis), int(a == axis)) for a in range(len(self.shape))]
            total = total - jnp.diff(jnp.pad(inner, ends), axis=axis)
        return total

    def _diagonalization(self) -> Diagonalization | None:
        # D^T D is the Laplacian of a grid of paths, whose eigenvectors are cosines
        squares = jnp.zeros(self.shape, self.in_dtype)
        for axis, size in enumerate(self.shape):
            values = 4 * np.sin(np.pi * np.arange(size) / (2 * size)) ** 2
            others = [a for a in range(len(self.shape)) if a != axis]
            squares = squares + jnp.expand_dims(jnp.asarray(values, self.in_dtype), others)
        return Diagonalization(dct(self.shape), jnp.sqrt(squares))


def finite_difference(shape: Any) -> FiniteDifference:
    r"""Take forward differences along every axis: the gradient inside total variation.

    .. math:: (D x)_{a,i} = x_{i + e_a} - x_i, \quad 0 \text{ at the last index of axis } a

    The adjoint is minus the divergence (Neumann boundary).

    Args:
        shape: shape of x, a positive int or a tuple of them.

    Returns:
        An operator from ``shape`` to ``(ndim, *shape)`` without leaves. Its norm is
        2 √(Σ_a cos²(π / 2 n_a)), exactly, which is at most 2 √ndim.

    Raises:
        ValueError: a size below 1.

    Cost: one subtraction per entry and axis.

    Example:
        >>> import jax.numpy as jnp
        >>> finite_difference(3) @ jnp.array([1.0, 4.0, 9.0])
        Array([[3., 5., 0.]], dtype=float32)

    Source: Chambolle (2004), section 2.
    """
    return FiniteDifference(signal_shape("finite_difference", shape))
