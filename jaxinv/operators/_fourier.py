"""Masked discrete Fourier transforms."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Shaped

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import weights
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators._transforms import Fourier, Hartley, fft_ready, real_pairs
from jaxinv.operators._weights import conjugate, sizes, weigh


@pytree
class SubsampledFourier(LinearOperator):
    """A masked orthonormal Fourier transform; see ``subsampled_fourier``."""

    mask: Array
    real: bool = static(default=False)
    ndim: int | None = static(default=None)

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.mask.shape if self.ndim is None else self.mask.shape[-self.ndim :]

    def _ndims(self) -> dict[str, int]:
        return {} if self.ndim is None else {"mask": self.ndim}

    @property
    def in_dtype(self) -> Any:
        inexact = jnp.issubdtype(self.mask.dtype, jnp.inexact)
        dtype = self.mask.dtype if inexact else jnp.result_type(float)
        return numerics.real_dtype(dtype) if self.real else jnp.result_type(dtype, jnp.complex64)

    def __call__(self, x: Any) -> Array:
        x = checks.array("SubsampledFourier", "x", x)
        if self.real and jnp.iscomplexobj(x):
            hint = "Use subsampled_fourier(mask) for complex signals."
            checks.fail("SubsampledFourier", "x", "be real, as real=True says", x, hint)
        return super().__call__(x)

    def _apply(self, x: Array) -> Array:
        signal = jnp.real(x) if self.real else x
        return weigh(self.mask, jnp.fft.fftn(fft_ready(signal), norm="ortho"))

    def _adjoint(self, y: Array) -> Array:
        x = jnp.fft.ifftn(fft_ready(weigh(conjugate(self.mask), y)), norm="ortho")
        return jnp.real(x) if self.real else x

    def _diagonalization(self) -> Diagonalization | None:
        axes, weight = tuple(range(len(self.in_shape))), fft_ready(sizes(self.mask))
        if self.real:
            return Diagonalization(Hartley(self.in_shape, axes), real_pairs(weight))
        return Diagonalization(Fourier(self.in_shape, axes), weight)

    def _outer_diagonalization(self) -> Diagonalization | None:
        return None if self.real else Diagonalization(None, sizes(self.mask))


def subsampled_fourier(
    mask: Shaped[ArrayLike, "*shape"], *, real: bool = False
) -> SubsampledFourier:
    r"""Measure some Fourier coefficients of a signal of any dimension.

    .. math:: y = w \odot F x, \qquad F^* F = I

    F is the orthonormal discrete Fourier transform over all axes of the mask, with frequency 0
    at index 0 (``jnp.fft.ifftshift`` moves a centered mask there). The output keeps the full
    shape, with zeros at the frequencies that were not measured: see ``operators.mask``.

    Args:
        mask: w, of the signal's shape: boolean (true = measured), integer, real or complex
            weights; finite. Where a weight is 0 the adjoint ignores y, also NaN.
            ``operators.random_mask`` and ``variable_density_mask`` draw one;
            ``fourier_lines`` and ``radial_lines`` draw centered ones, for ``operators.mri``.
        real: the signal is real. The adjoint then ends with the real part, so that
            Re⟨A x, y⟩ = ⟨x, A* y⟩, and ``norm`` is the supremum over real signals,
            max_k √((|w_k|² + |w_{-k}|²)/2); complex signals are refused.

    Returns:
        An operator from ``mask.shape`` to ``mask.shape`` with complex output.

    Raises:
        ValueError: a mask without entries, or not finite.

    Cost: one FFT, O(n log n), for each product, two for ``gram``.

    Example:
        >>> import jax.numpy as jnp
        >>> A = subsampled_fourier(jnp.array([True, False, False, True]))
        >>> jnp.abs(A @ jnp.ones(4))
        Array([2., 0., 0., 0.], dtype=float32)

    Source: Candès, Romberg, Tao (2006), section 1.
    """
    mask = weights("subsampled_fourier", "mask", mask)
    return SubsampledFourier(mask, checks.boolean("subsampled_fourier", "real", real), mask.ndim)
