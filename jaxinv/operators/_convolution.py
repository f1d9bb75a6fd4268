"""Convolution with a kernel, at any boundary."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._padding import crop, pad
from jaxinv.operators._require import signal_shape
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators._transforms import Fourier, Hartley, fft_ready

_BOUNDARIES = ("wrap", "reflect", "zero", "valid")
_ROUNDING = 1e-2  # of a sum: kernels are written with two or three digits


@pytree
class Convolution(LinearOperator):
    """Circular convolution with a small kernel; see ``convolution``."""

    kernel: Array
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    def _ndims(self) -> dict[str, int]:
        return {"kernel": len(self.shape)}

    def _apply(self, x: Array) -> Array:
        return self._filter(x, lambda transfer, spectrum: transfer * spectrum)

    def _adjoint(self, y: Array) -> Array:
        return self._filter(y, lambda transfer, spectrum: jnp.conj(transfer) * spectrum)

    def _gram(self, x: Array) -> Array:
        # one factor after the other: their product may leave the range of the type
        return self._filter(
            x, lambda transfer, spectrum: jnp.conj(transfer) * (transfer * spectrum)
        )

    def _basis(self) -> LinearOperator:
        kind = Fourier if jnp.iscomplexobj(self.kernel) else Hartley
        return kind(self.shape, tuple(range(len(self.shape))))

    def _diagonalization(self) -> Diagonalization | None:
        sizes = jnp.abs(jnp.fft.fftn(self._centered()))
        return Diagonalization(self._basis(), sizes.astype(numerics.real_dtype(self.kernel.dtype)))

    def _outer_diagonalization(self) -> Diagonalization | None:
        return self._diagonalization()

    def _is_diagonal_in(self, basis: Any) -> bool:
        return jax.tree.structure(basis) == jax.tree.structure(self._basis())

    def _filter(self, x: Array, respond: Any) -> Array:
        dtype = jnp.result_type(x, self.kernel)
        kernel, signal = self._centered(), fft_ready(x)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            result = jnp.fft.ifftn(respond(jnp.fft.fftn(kernel), jnp.fft.fftn(signal)))
        else:
            spectrum = respond(jnp.fft.rfftn(kernel), jnp.fft.rfftn(signal))
            result = jnp.fft.irfftn(spectrum, self.shape)
        return result.astype(dtype)

    def _centered(self) -> Array:
        """Return the kernel on the signal's grid with its center at index 0."""
        kernel = fft_ready(self.kernel)
        widths = [(0, n - k) for n, k in zip(self.shape, kernel.shape, strict=True)]
        shifts = [-(k // 2) for k in kernel.shape]
        return jnp.roll(jnp.pad(kernel, widths), shifts, axis=tuple(range(kernel.ndim)))


def convolution(
    kernel: Num[ArrayLike, "*kernel"],
    shape: Any,
    *,
    boundary: str = "wrap",
    normalize: bool | None = None,
) -> LinearOperator:
    r"""Convolve with a kernel: blur and deblurring.

    .. math:: y_i = \sum_j h_j\, x_{i + c - j}, \qquad c = \lfloor k / 2 \rfloor

    The origin of the kernel is its entry c: the middle one of an odd size, the one right of the
    middle of an even size, as in ``scipy.ndimage.convolve``. What x is beyond its ends is the
    boundary's. Real kernels keep real signals real. The kernel is a leaf: it can be
    differentiated (blind deconvolution) and batched.

    Args:
        kernel: h, with as many axes as ``shape`` (1, 2 or more), no longer than it along any;
            finite.
        shape: shape of x.
        boundary: wrap (circular; x_{i + n} = x_i), reflect (c b a | a b c | c b a), zero (none
            outside): ``scipy.ndimage.convolve`` with mode wrap, reflect, constant; or valid: only
            the n − k + 1 outputs that lie inside, as ``scipy.signal.convolve`` has them. A photo
            is blurred by what lies beyond its ends: use valid for it, or reflect.
        normalize: True divides the kernel by its sum, as a blur that keeps the brightness has
            it. By default the kernel stays as it is, and one with two or more axes and no
            negative entry, whose sum is not 1 (an image of a kernel, read from a file), is
            warned of, as is one without a positive entry; False says that it is meant.

    Returns:
        An operator from ``shape`` to ``shape`` (valid: shape − kernel's + 1). At the boundary wrap
        the Fourier transform diagonalizes it, and its norm is max |ĥ|, exactly; at the others it
        is a circular one between ``pad`` and ``crop``.

    Raises:
        ValueError: a kernel with another number of axes, larger than the signal, or not finite;
            one of sum 0 with ``normalize``; an unknown boundary.

    Cost: three FFTs a product (the kernel's, the signal's, the inverse), also for ``gram`` at
    the boundary wrap.

    Example:
        >>> import jax.numpy as jnp
        >>> A = convolution(jnp.array([0.5, 0.25, 0.25]), 4)
        >>> jnp.round(A @ jnp.array([4.0, 0.0, 0.0, 0.0]), 4)
        Array([1., 1., 0., 2.], dtype=float32)
        >>> B = convolution(jnp.array([0.5, 0.25, 0.25]), 4, boundary="zero")
        >>> jnp.round(B @ jnp.array([4.0, 0.0, 0.0, 0.0]), 4)
        Array([1., 1., 0., 0.], dtype=float32)
    """
    shape = signal_shape("convolution", shape)
    kernel = checks.array("convolution", "kernel", kernel)
    fits = kernel.ndim == len(shape) and all(
        0 < k <= n for k, n in zip(kernel.shape, shape, strict=True)
    )
    if not fits:
        expected = f"have {len(shape)} axis (axes), each from 1 to the size in shape {shape}"
        checks.fail("convolution", "kernel", expected, f"shape {kernel.shape}")
    checks.finite("convolution", "kernel", kernel)
    boundary = checks.choice("convolution", "boundary", boundary, _BOUNDARIES)
    if normalize is None:
        _warn_of_gain(kernel)
    elif checks.boolean("convolution", "normalize", normalize):
        kernel = _normalized(kernel)
    return _at_boundary(kernel, shape, boundary)


def _at_boundary(kernel: Array, shape: tuple[int, ...], boundary: str) -> LinearOperator:
    """Return a circular convolution of what the boundary makes of the signal, cut to what it is."""
    # output i takes the entries from i - (k - 1 - c) to i + c
    reach = [(k - 1 - k // 2, k // 2) for k in kernel.shape]
    if boundary == "wrap":
        return Convolution(kernel, shape)
    if boundary == "valid":
        return crop(reach, shape) @ Convolution(kernel, shape)
    from scipy.fft import next_fast_len

    # a little longer, where the transform of that length is fast; all that is cut off again
    sizes = [next_fast_len(n + a + b) or n + a + b for n, (a, b) in zip(shape, reach, strict=True)]
    width = [(a, size - n - a) for size, n, (a, _) in zip(sizes, shape, reach, strict=True)]
    extended = pad(width, shape, boundary=boundary)
    return crop(width, extended.out_shape) @ (Convolution(kernel, extended.out_shape) @ extended)


def _normalized(kernel: Array) -> Array:
    kernel = kernel / numerics.order(kernel)  # the sum of large entries would overflow
    total = jnp.sum(kernel)
    if checks.is_concrete(total) and total == 0:
        checks.fail(
            "convolution", "kernel", "have a sum that is not 0", "0", "Pass normalize=False."
        )
    return kernel / total


def _warn_of_gain(kernel: Array) -> None:
    """Say that a kernel that looks like a blur changes the brightness, or its sign."""
    if kernel.ndim < 2 or not checks.is_concrete(kernel) or jnp.iscomplexobj(kernel):
        return
    total = float(jnp.sum(kernel))
    one_sign = bool(jnp.all(kernel >= 0) | jnp.all(kernel <= 0))
    if one_sign and abs(total - 1) > _ROUNDING:
        text = f"convolution: kernel has sum {total:.4g}, by which it multiplies the brightness."
        hint = "Pass normalize=True to divide by it, or normalize=False if it is meant."
        warnings.warn(f"{text} {hint}", stacklevel=3)
