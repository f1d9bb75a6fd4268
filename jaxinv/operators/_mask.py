"""The identity and entrywise weights."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Shaped

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import signal_shape, weights
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators._weights import conjugate, sizes, weigh


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

    @property
    def _is_unitary(self) -> bool:
        return True


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
        return self.mask.shape if self.ndim is None else self.mask.shape[-self.ndim :]

    def _ndims(self) -> dict[str, int]:
        return {} if self.ndim is None else {"mask": self.ndim}

    def _apply(self, x: Array) -> Array:
        return weigh(self.mask, x)

    def _adjoint(self, y: Array) -> Array:
        return weigh(conjugate(self.mask), y)

    def _diagonalization(self) -> Diagonalization | None:
        return Diagonalization(None, sizes(self.mask))

    def _outer_diagonalization(self) -> Diagonalization | None:
        return self._diagonalization()

    def _is_diagonal_in(self, basis: Any) -> bool:
        return basis is None


def mask(mask: Shaped[ArrayLike, "*axes"], shape: Any = None) -> Mask:
    r"""Multiply every entry of the signal by a weight: inpainting and diagonal operators.

    .. math:: y = w \odot x

    The output keeps the full shape, with zeros where the mask is false: the number of observed
    entries is then not part of any shape, so masks can be drawn inside ``jit`` and batched by
    ``vmap``. The unobserved zeros add nothing to ‖A x − y‖. Entries of weight 0 are selected away,
    not multiplied: NaN or infinity there does not pass.

    Args:
        mask: w, of the signal's shape: boolean (true = observed), integer (becomes
            floating), real or complex; finite.
        shape: shape of x, where the mask is that of its first axes, or else of its last: an
            (h, w) mask of images (h, w, 3) or (3, h, w). None: the mask's.

    Returns:
        An operator from ``shape`` to ``shape``, the mask its one leaf. Its norm is
        max |w|, exactly.

    Raises:
        ValueError: a mask without entries, or not finite; a shape that does not begin or end
            with the mask's.

    Cost: one multiplication per entry.

    Example:
        >>> import jax.numpy as jnp
        >>> mask(jnp.array([True, False, True])) @ jnp.array([1.0, 2.0, 3.0])
        Array([1., 0., 3.], dtype=float32)
        >>> mask(jnp.array([[True, False]]), (1, 2, 3)) @ jnp.ones((1, 2, 3))
        Array([[[1., 1., 1.],
                [0., 0., 0.]]], dtype=float32)
    """
    mask = weights("mask", "mask", mask)
    if shape is not None:
        shape = signal_shape("mask", shape)
        extra = len(shape) - mask.ndim
        if extra >= 0 and shape[: mask.ndim] == mask.shape:
            mask = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * extra), shape)
        elif extra >= 0 and shape[extra:] == mask.shape:
            mask = jnp.broadcast_to(mask, shape)
        else:
            expected = f"begin or end with the shape {mask.shape} of the mask"
            checks.fail("mask", "shape", expected, f"{shape}")
    return Mask(mask, mask.ndim)
