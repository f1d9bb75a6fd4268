"""Block averages."""

from __future__ import annotations

import math
import numbers
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import signal_shape
from jaxinv.operators._spectrum import Diagonalization


@pytree
class Downsample(LinearOperator):
    """Averages over blocks; see ``downsample``."""

    factors: tuple[int, ...] = static()
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return tuple(n // f for n, f in zip(self.shape, self.factors, strict=True))

    def _apply(self, x: Array) -> Array:
        split = [size for pair in zip(self.out_shape, self.factors, strict=True) for size in pair]
        return jnp.mean(x.reshape(split), axis=tuple(range(1, len(split), 2)))

    def _adjoint(self, y: Array) -> Array:
        split = [size for n in self.out_shape for size in (n, 1)]
        full = [size for pair in zip(self.out_shape, self.factors, strict=True) for size in pair]
        return jnp.broadcast_to(y.reshape(split), full).reshape(self.shape) / math.prod(
            self.factors
        )

    def _outer_diagonalization(self) -> Diagonalization | None:
        return Diagonalization(None, jnp.full((), math.prod(self.factors) ** -0.5))


def downsample(factor: Any, shape: Any) -> Downsample:
    r"""Average over blocks of ``factor`` entries along each axis: super-resolution.

    .. math:: y_i = \frac{1}{f^d} \sum_{0 \le j < f} x_{f i + j}, \qquad A A^T = f^{-d} I

    Args:
        factor: f >= 1, an int for all axes or one for each (1 leaves an axis as it is).
        shape: shape of x; every size a multiple of its factor.

    Returns:
        An operator from ``shape`` to ``shape / factor`` without leaves. Its norm is f^(-d/2),
        exactly.

    Raises:
        ValueError: a factor below 1, or a size that its factor does not divide.

    Cost: one addition per entry of x.

    Example:
        >>> import jax.numpy as jnp
        >>> downsample(2, 6) @ jnp.arange(6.0)
        Array([0.5, 2.5, 4.5], dtype=float32)
    """
    shape = signal_shape("downsample", shape)
    if isinstance(factor, numbers.Integral) and not isinstance(factor, bool):
        factor = (factor,) * len(shape)
    factors = checks.sizes("downsample", "factor", factor)
    if len(factors) != len(shape):
        checks.fail(
            "downsample", "factor", f"have {len(shape)} entries, as shape has", f"{factors}"
        )
    if any(n % f for n, f in zip(shape, factors, strict=True)):
        sizes = tuple(n - n % f for n, f in zip(shape, factors, strict=True))
        hint = f"Crop the signal to {sizes}." if all(sizes) else ""
        checks.fail(
            "downsample", "shape", f"be divisible by the factor {factors}", f"{shape}", hint
        )
    return Downsample(factors, shape)
