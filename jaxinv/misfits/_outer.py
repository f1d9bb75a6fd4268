"""The misfit of outer products, by the vector: no n x n array but the measurements."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree
from jaxinv.misfits._base import Misfit, number

_PROBES = 8


@pytree
class Outer(Misfit):
    """¼‖x xᵀ − M‖² of a signal x; what squares are for the operator ``outer``.

    Signals that are rows, shape (r, n), count by the sum of their outer products.

    ``squared_norm`` is ‖M‖², or None: of an array its own, of an operator estimated by probes,
    which moves the value by a constant.
    """

    squared_norm: Any = None

    takes_complex = False

    @property
    def label(self) -> str:
        return "operators.outer"

    def check(self, where: str, argument: str, y: Any) -> None:
        super().check(where, argument, y)
        if checks.is_concrete(y) and isinstance(y, jax.Array):
            with jax.ensure_compile_time_eval():
                gap, size = numerics.largest(y - y.T), numerics.largest(y)
                self._refuse(where, argument, y, gap, size, "(M + M.T) / 2")
        elif checks.is_concrete(y):
            with jax.ensure_compile_time_eval():
                probe = jax.random.normal(jax.random.key(1), y.in_shape, y.in_dtype)
                image = y(probe)
                gap, size = numerics.safe_norm(image - y.adjoint(probe)), numerics.safe_norm(image)
                self._refuse(where, argument, y, gap, size, "0.5 * (M + M.T)")

    def _refuse(self, where: str, argument: str, y: Any, gap: Array, size: Array, to: str) -> None:
        if bool(gap > 1e-3 * size):
            hint = f"Only the symmetric part counts: {to}."
            checks.fail(where, argument, "be symmetric for operators.outer", y, hint)

    def _value(self, prediction: Array, y: Any) -> Array:
        x = prediction
        square = numerics.sum_squares(_between(x, x))
        return 0.25 * (square - 2 * jnp.vdot(x, product(y, x)) + self._total(x, y))

    def gradient(self, prediction: Array, y: Any) -> Array:
        x = prediction
        return _combined(_between(x, x), x) - product(y, x)

    def curvature(self, prediction: Array, y: Any, direction: Array) -> Array:
        x = prediction
        return _combined(_between(x, x), direction) + _combined(_between(x, direction), x)

    def size(self, prediction: Array, y: Any) -> Array:
        total = self._total(prediction, y)
        return jnp.where(total > 0, numerics.safe_sqrt(total / 2), 1)

    def typical_gradient(self, prediction: Array, y: Any) -> Array:
        direction = prediction / jnp.maximum(numerics.safe_norm(prediction), 1e-30)
        pulled = product(y, direction)
        return pulled * numerics.safe_sqrt(numerics.safe_norm(pulled))

    def _total(self, x: Array, y: Any) -> Array:
        if self.squared_norm is not None:
            return number(self.squared_norm, x)
        if isinstance(y, jax.Array):
            return numerics.sum_squares(y)
        probes = jax.random.rademacher(jax.random.key(0), (_PROBES, x.shape[-1]), x.dtype)
        return numerics.sum_squares(jax.vmap(lambda v: y(v))(probes)) / _PROBES


def product(y: Any, x: Array) -> Array:
    """Return M x of measurements that are an array or an operator; of rows, of each."""
    if x.ndim > 1:
        return jax.vmap(lambda row: product(y, row))(x)
    return numerics.matmul(y, x) if isinstance(y, jax.Array) else y(x)


def _between(a: Array, b: Array) -> Array:
    """Return aᵀb of two vectors, the matrix of them for rows a_i and b_j."""
    if a.ndim > 1:
        return numerics.matmul(a, b.T)
    return numerics.sum_squares(a) if a is b else jnp.vdot(a, b)


def _combined(weights: Array, x: Array) -> Array:
    """Return a multiple of a vector, or the rows that a matrix combines."""
    return numerics.matmul(weights, x) if x.ndim > 1 else weights * x
