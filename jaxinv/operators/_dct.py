"""The discrete cosine transform."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import signal_shape
from jaxinv.operators._transforms import fft_ready


@pytree
class DCT(LinearOperator):
    """The orthonormal DCT-II over all axes; see ``dct``."""

    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    def _apply(self, x: Array) -> Array:
        return _over_axes(_forward, x)

    def _adjoint(self, y: Array) -> Array:
        return _over_axes(_inverse, y)

    def _gram(self, x: Array) -> Array:
        return x

    @property
    def _is_unitary(self) -> bool:
        return True


def dct(shape: Any) -> DCT:
    r"""Build the orthonormal discrete cosine transform (DCT-II) over all axes.

    .. math:: y_k = s_k \sum_{i<n} x_i \cos\frac{\pi k (2 i + 1)}{2 n}, \qquad
        s_0 = \sqrt{1/n}, \quad s_k = \sqrt{2/n}

    An analysis transform: y holds the coefficients, and since AᵀA = AAᵀ = I the adjoint
    synthesizes a signal from them.

    Args:
        shape: shape of x, a positive int or a tuple of them.

    Returns:
        An operator from ``shape`` to ``shape`` without leaves.

    Raises:
        ValueError: a size below 1.

    Cost: one real FFT of the same length along each axis.

    Example:
        >>> import jax.numpy as jnp
        >>> jnp.abs(dct(4) @ jnp.ones(4))
        Array([2., 0., 0., 0.], dtype=float32)

    Source: Ahmed, Natarajan, Rao (1974); by an FFT of length n: Makhoul (1980).
    """
    return DCT(signal_shape("dct", shape))


def _over_axes(transform: Any, x: Array) -> Array:
    """Apply a transform of the last axis to every axis, and to both parts of complex arrays."""
    if jnp.iscomplexobj(x):
        real, imag = jnp.real(x), jnp.imag(x)
        return jax.lax.complex(_over_axes(transform, real), _over_axes(transform, imag))
    result = fft_ready(x)
    for axis in range(x.ndim):
        result = jnp.swapaxes(transform(jnp.swapaxes(result, axis, -1)), axis, -1)
    return result.astype(x.dtype)


def _forward(x: Array) -> Array:
    size = x.shape[-1]
    # even entries up, odd entries down: a cosine sum over n becomes a Fourier sum over n
    spectrum = jnp.fft.rfft(jnp.concatenate([x[..., ::2], x[..., 1::2][..., ::-1]], axis=-1))
    turned = spectrum * _twiddle(size, x.dtype)
    tail = -jnp.imag(turned)[..., 1 : size - size // 2]
    return jnp.concatenate([jnp.real(turned), tail[..., ::-1]], axis=-1)


def _inverse(y: Array) -> Array:
    size = y.shape[-1]
    half = size // 2
    mirrored = jnp.pad(y[..., : size - half - 1 : -1], [(0, 0)] * (y.ndim - 1) + [(1, 0)])
    spectrum = jax.lax.complex(y[..., : half + 1], -mirrored) / _twiddle(size, y.dtype)
    order = jnp.fft.irfft(spectrum, size)
    # the mirror image supplies the odd entries; of an odd length it has one too many, cut below
    pairs = jnp.stack([order, order[..., ::-1]], axis=-1)[..., : size - half, :]
    return pairs.reshape(*y.shape[:-1], -1)[..., :size]


def _twiddle(size: int, dtype: Any) -> Array:
    """Return s_k exp(-iπk/2n) for k <= n/2."""
    frequencies = np.arange(size // 2 + 1)
    values = np.sqrt(2 / size) * np.exp(-0.5j * np.pi * frequencies / size)
    values[0] = np.sqrt(1 / size)
    return jnp.asarray(values, jnp.result_type(dtype, jnp.complex64))
