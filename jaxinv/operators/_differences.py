"""Finite differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._dct import dct
from jaxinv.operators._require import signal_shape
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators._transforms import Hartley

_BOUNDARIES = ("reflect", "wrap", "zero", "valid")


@pytree
class FiniteDifference(LinearOperator):
    """Forward differences along every axis; see ``finite_difference``."""

    shape: tuple[int, ...] = static()
    boundary: str = static(default="reflect")

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (len(self.shape), *(size - (self.boundary == "valid") for size in self.shape))

    def _apply(self, x: Array) -> Array:
        parts = []
        for axis in range(x.ndim):
            last = [(0, int(a == axis)) for a in range(x.ndim)]
            if self.boundary in ("wrap", "zero"):
                mode = "wrap" if self.boundary == "wrap" else "constant"
                parts.append(jnp.diff(jnp.pad(x, last, mode=mode), axis=axis))
            else:
                parts.append(jnp.pad(jnp.diff(x, axis=axis), last))
        kept = tuple(slice(size) for size in self.out_shape[1:])
        return jnp.stack([part[kept] for part in parts])

    def _adjoint(self, y: Array) -> Array:
        total = jnp.zeros(self.shape, y.dtype)
        for axis in range(len(self.shape)):
            difference = y[axis]
            if self.boundary == "valid":
                difference = jnp.pad(difference, [(0, 1)] * len(self.shape))
            elif self.boundary == "reflect":  # the last one is 0, whatever x
                inner = jax.lax.slice_in_dim(difference, 0, self.shape[axis] - 1, axis=axis)
                difference = jnp.pad(inner, [(0, int(a == axis)) for a in range(total.ndim)])
            first = [(int(a == axis), 0) for a in range(total.ndim)]
            mode = "wrap" if self.boundary == "wrap" else "constant"
            total = total - jnp.diff(jnp.pad(difference, first, mode=mode), axis=axis)
        return total

    def _diagonalization(self) -> Diagonalization | None:
        if self.boundary not in ("reflect", "wrap"):
            return None
        # D^T D is the Laplacian of a grid of paths, whose eigenvectors are cosines, or of rings
        half = 2 if self.boundary == "reflect" else 1
        squares = jnp.zeros(self.shape, self.in_dtype)
        for axis, size in enumerate(self.shape):
            values = 4 * np.sin(np.pi * np.arange(size) / (half * size)) ** 2
            others = [a for a in range(len(self.shape)) if a != axis]
            squares = squares + jnp.expand_dims(jnp.asarray(values, self.in_dtype), others)
        every = tuple(range(len(self.shape)))
        basis = dct(self.shape) if self.boundary == "reflect" else Hartley(self.shape, every)
        return Diagonalization(basis, jnp.sqrt(squares))


def finite_difference(shape: Any, *, boundary: str = "reflect") -> FiniteDifference:
    r"""Take forward differences along every axis: the gradient inside total variation.

    .. math:: (D x)_{a,i} = x_{i + e_a} - x_i

    The adjoint is minus the divergence.

    Args:
        shape: shape of x, a positive int or a tuple of them.
        boundary: what follows the last entry of an axis: reflect (itself, so that the difference
            is 0: Neumann's condition, that of total variation), wrap (the first one), zero
            (nothing); or valid: no differences there, nor at the last entries of other axes.

    Returns:
        An operator from ``shape`` to ``(ndim, *shape)`` (valid: sizes less 1) without leaves. Its
        norm is 2 √(Σ_a cos²(π / 2 n_a)) for reflect, exactly (that of wrap also); it is at most
        2 √ndim for all.

    Raises:
        ValueError: a size below 1, or 2 for valid; an unknown boundary.

    Cost: one subtraction per entry and axis.

    Example:
        >>> import jax.numpy as jnp
        >>> finite_difference(3) @ jnp.array([1.0, 4.0, 9.0])
        Array([[3., 5., 0.]], dtype=float32)
        >>> finite_difference(3, boundary="wrap") @ jnp.array([1.0, 4.0, 9.0])
        Array([[ 3.,  5., -8.]], dtype=float32)

    Source: Chambolle (2004), section 2.
    """
    where = "finite_difference"
    shape = signal_shape(where, shape)
    boundary = checks.choice(where, "boundary", boundary, _BOUNDARIES)
    if boundary == "valid" and min(shape) < 2:
        checks.fail(where, "shape", "be at least 2 along every axis for valid", f"{shape}")
    return FiniteDifference(shape, boundary)
