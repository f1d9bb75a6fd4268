"""A part of an image."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from jaxinv._core import pytree, static
from jaxinv.operators._base import LinearOperator


@pytree
class Window(LinearOperator):
    """The top left part of a canvas, in any shape of the same size.

    As the prior of a problem it lets the unknown be larger than the image, up to a size that a
    transform accepts; the pixels outside are free.
    """

    canvas: tuple[int, ...] = static()
    shape: tuple[int, ...] = static()
    signal_shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.canvas

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.signal_shape

    def _apply(self, x: Array) -> Array:
        return x[: self.shape[0], : self.shape[1]].reshape(self.signal_shape)

    def _adjoint(self, y: Array) -> Array:
        widths = [(0, size - n) for size, n in zip(self.canvas, self.shape, strict=True)]
        return jnp.pad(y.reshape(self.shape), widths)

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Array:
        return jnp.ones((), self.in_dtype)
