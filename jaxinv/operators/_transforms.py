"""The orthonormal transforms that diagonalize circular convolutions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import pytree, static
from jaxinv.operators._base import LinearOperator


@pytree
class _OverAxes(LinearOperator):
    """An orthonormal transform over some axes."""

    shape: tuple[int, ...] = static()
    axes: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def _is_unitary(self) -> bool:
        return True


@pytree
class Fourier(_OverAxes):
    """The orthonormal Fourier transform over some axes, frequency 0 at index 0."""

    @property
    def in_dtype(self) -> Any:
        return jnp.result_type(complex)

    def _apply(self, x: Array) -> Array:
        return jnp.fft.fftn(fft_ready(x), axes=self.axes, norm="ortho")

    def _adjoint(self, y: Array) -> Array:
        return jnp.fft.ifftn(fft_ready(y), axes=self.axes, norm="ortho")


@pytree
class Hartley(_OverAxes):
    """The Hartley transform, Re F x − Im F x: real, symmetric and its own inverse.

    It diagonalizes what the Fourier transform does where the eigenvalues of the frequencies k and
    −k agree, as they do for real operators, and keeps real signals real.
    """

    def _apply(self, x: Array) -> Array:
        if jnp.iscomplexobj(x):
            return jax.lax.complex(self._apply(jnp.real(x)), self._apply(jnp.imag(x)))
        spectrum = jnp.fft.fftn(fft_ready(x), axes=self.axes, norm="ortho")
        return (jnp.real(spectrum) - jnp.imag(spectrum)).astype(x.dtype)

    def _adjoint(self, y: Array) -> Array:
        return self._apply(y)


def fft_ready(x: Array) -> Array:
    """Widen half precision to float32: there is no FFT below it."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def real_pairs(magnitudes: Array) -> Array:
    """Return √((|w_k|² + |w_{-k}|²)/2): on real signals k and −k carry the same energy."""
    mirrored = jnp.roll(jnp.flip(magnitudes), 1, axis=tuple(range(magnitudes.ndim)))
    return jnp.abs(jax.lax.complex(magnitudes, mirrored)) * 0.5**0.5
