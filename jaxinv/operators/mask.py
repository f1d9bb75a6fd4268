"""The identity and entrywise weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import pytree, static
from jaxinv.operators._base import LinearOperator, require_single
from jaxinv.operators._require import signal_shape, weights

Array = jax.Array


@pytree
class Identity(LinearOperator):
    """The identity on one shape; see ``identity``."""

    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    def _apply(self, x: Array) -> Array:
        return x

    def _adjoint(self, y: Array) -> Array:
        return y

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return jnp.ones((), self.in_dtype)


def identity(shape: Any) -> Identity:
    r"""Build the identity, the operator of denoising problems.

    .. math:: y = x

    Args:
        shape: shape of x, a positive int or a tuple of them.

    Returns:
        An operator from ``shape`` to ``shape`` without leaves.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> identity((2, 3)).out_shape
        (2, 3)
    """
    return Identity(signal_shape("identity", shape))


@pytree
class Mask(LinearOperator):
    """Entrywise weights, a diagonal operator; see ``mask``."""

    mask: Array
    ndim: int | None = static(default=None)

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.mask.shape

    def _ndims(self) -> dict[str, int]:
        return {} if self.ndim is None else {"mask": self.ndim}

    def _apply(self, x: Array) -> Array:
        return self.mask * x

    def _adjoint(self, y: Array) -> Array:
        return jnp.conj(self.mask) * y if jnp.iscomplexobj(self.mask) else self.mask * y

    def _gram(self, x: Array) -> Array:
        return squared_weights(self.mask) * x

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        require_single(self)
        return largest_weight(self.mask)


def mask(mask: Any) -> Mask:
    r"""Multiply every entry of the signal by a weight: inpainting and diagonal operators.

    .. math:: y = w \odot x

    The output keeps the full shape, with zeros where the mask is false: the number of observed
    entries is then not part of any shape, so masks can be drawn inside ``jit`` and batched by
    ``vmap``. The unobserved zeros add nothing to ‖A x − y‖.

    Args:
        mask: w, of the signal's shape: boolean (true = observed), integer, real or complex;
            finite.

    Returns:
        An operator from ``mask.shape`` to ``mask.shape``, the mask its one leaf. Its norm is
        max |w|, exactly.

    Raises:
        ValueError: a mask without entries, or not finite.

    Cost: one multiplication per entry.

    Example:
        >>> import jax.numpy as jnp
        >>> mask([True, False, True]) @ jnp.array([1.0, 2.0, 3.0])
        Array([1., 0., 3.], dtype=float32)
    """
    mask = weights("mask", "mask", mask)
    return Mask(mask, mask.ndim)


def squared_weights(mask: Array) -> Array:
    """Return |w|², in the mask's own type where that is boolean."""
    return mask if mask.dtype == bool else jnp.real(mask * jnp.conj(mask))


def largest_weight(mask: Array) -> Array:
    """Return max |w| as a floating number."""
    largest = jnp.max(mask if mask.dtype == bool else jnp.abs(mask))
    return largest if jnp.issubdtype(largest.dtype, jnp.inexact) else largest.astype(float)
