"""Operators on images of real pixels, in one channel or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics, pytree, static
from jaxinv.operators._base import LinearOperator


@pytree
class Real(LinearOperator):
    """An operator on complex signals, as one on real signals."""

    operator: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.operator.in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape

    @property
    def in_dtype(self) -> Any:
        return numerics.real_dtype(self.operator.in_dtype)

    def _apply(self, x: Array) -> Array:
        return self.operator._apply(jnp.real(x))

    def _adjoint(self, y: Array) -> Array:
        return jnp.real(self.operator._adjoint(y))


@pytree
class Channelwise(LinearOperator):
    """An operator for one channel, on an image (h, w) or on each channel of (h, w, c) at once."""

    operator: LinearOperator
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (*self.operator.out_shape, *self.shape[2:])

    @property
    def in_dtype(self) -> Any:
        return self.operator.in_dtype

    def _apply(self, x: Array) -> Array:
        x = x.reshape(*self.operator.in_shape, *self.shape[2:])
        return self._each(self.operator._apply)(x)

    def _adjoint(self, y: Array) -> Array:
        return self._each(self.operator._adjoint)(y).reshape(self.shape)

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Array:
        return self.operator.norm(tol=tol, max_steps=max_steps)

    def _each(self, function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return jax.vmap(function, -1, -1) if len(self.shape) == 3 else function
