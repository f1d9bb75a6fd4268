"""Magnetic resonance imaging: masked centered Fourier transforms, of one coil or of several."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Complex, Float, Inexact, Num, Shaped

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import weights
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators._transforms import Fourier, Hartley, fft_ready, real_pairs
from jaxinv.operators._weights import sizes, weigh


@pytree
class MRI(LinearOperator):
    """A masked centered Fourier transform of one image, or of one per coil; see ``mri``."""

    mask: Array
    num_coils: int | None = static(default=None)
    real: bool = static(default=False)

    @property
    def in_shape(self) -> tuple[int, ...]:
        coils = () if self.num_coils is None else (self.num_coils,)
        return (*coils, *self.mask.shape[-2:])

    def _ndims(self) -> dict[str, int]:
        return {"mask": 2}

    @property
    def in_dtype(self) -> Any:
        return jnp.result_type(float) if self.real else jnp.result_type(complex)

    def __call__(self, x: Any) -> Array:
        x = checks.array("MRI", "x", x)
        if self.real and jnp.iscomplexobj(x):
            checks.fail("MRI", "x", "be real, as real=True says", x, "Use mri(mask).")
        return super().__call__(x)

    def _apply(self, x: Array) -> Array:
        return weigh(self.mask, fft2c(jnp.real(x) if self.real else x))

    def _adjoint(self, y: Array) -> Array:
        x = ifft2c(weigh(self.mask, y))
        return jnp.real(x) if self.real else x

    def _diagonalization(self) -> Diagonalization | None:
        # A* A commutes with shifts, so the centered transform and the other diagonalize it alike
        axes = tuple(range(len(self.in_shape)))[-2:]
        kept = sizes(jnp.fft.ifftshift(self.mask))
        if self.real:
            return Diagonalization(Hartley(self.in_shape, axes), real_pairs(kept))
        return Diagonalization(Fourier(self.in_shape, axes), kept)

    def _outer_diagonalization(self) -> Diagonalization | None:
        return None if self.real else Diagonalization(None, sizes(self.mask))


@pytree
class MulticoilMRI(LinearOperator):
    """Several coils that see one image through their maps; see ``multicoil_mri``."""

    mask: Array
    maps: Array

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.maps.shape[-2:]

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.maps.shape[-3:]

    @property
    def in_dtype(self) -> Any:
        return jnp.result_type(self.maps.dtype, jnp.complex64)

    def _ndims(self) -> dict[str, int]:
        return {"mask": 2, "maps": 3}

    def _apply(self, x: Array) -> Array:
        return weigh(self.mask, fft2c(weigh(self.maps, x)))

    def _adjoint(self, y: Array) -> Array:
        return jnp.sum(jnp.conj(self.maps) * ifft2c(weigh(self.mask, y)), axis=0)


def mri(mask: Shaped[ArrayLike, "h w"], *, real: bool = False) -> MRI:
    r"""Measure some coefficients of an image in k-space, with frequency 0 in the middle.

    .. math:: y = M F x, \qquad F = S\, \mathrm{fft2}\, S^{-1}, \qquad F^* F = I

    S moves index 0 to the middle, of the image as well: the convention of scanners and of
    fastMRI. Where frequency 0 belongs at index 0, use ``subsampled_fourier``.

    Args:
        mask: (h, w), boolean (true = measured), or 0 and 1; frequency 0 at (h // 2, w // 2).
            ``fourier_lines`` and ``radial_lines`` make one. A full mask warns.
        real: the image is real, the adjoint ends with a real part, and complex images are
            refused; see ``subsampled_fourier``.

    Returns:
        An operator from (h, w) to (h, w), complex, with zeros where nothing was measured. Its
        norm is 1 (for real images √½ where only halves of mirrored pairs are measured).

    Raises:
        ValueError: a mask that is empty, not two-dimensional, or of other numbers than 0 and 1.

    Cost: one FFT, O(n log n), a product.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxinv.operators import fourier_lines
        >>> A = mri(fourier_lines(jax.random.key(0), (8, 8), 2, 0.25))
        >>> jnp.abs(A @ jnp.ones((8, 8)))[4, 4]
        Array(8., dtype=float32)

    Source: Lustig, Donoho, Pauly (2007), section on image reconstruction.
    """
    return MRI(_measured("mri", mask), None, checks.boolean("mri", "real", real))


def multicoil_mri(
    mask: Shaped[ArrayLike, "h w"],
    maps: Num[ArrayLike, "coils h w"] | None = None,
    *,
    num_coils: int | None = None,
) -> LinearOperator:
    r"""Measure an image with several receiver coils at once.

    .. math:: y_c = M F (s_c \odot x), \qquad c = 1, \dots, C

    Without maps there is one unknown image per coil, y_c = M F x_c: untrained networks fit all
    coils with one network, and ``root_sum_of_squares`` combines them in the end.

    Args:
        mask: (h, w), as for ``mri``; all coils share it.
        maps: s, the coils' sensitivities, (C, h, w), real or complex, such as ``coil_maps``;
            None for one image per coil.
        num_coils: C >= 1, where there are no maps.

    Returns:
        With maps an operator from (h, w) to (C, h, w), whose norm is at most max_p √(Σ|s_c|²);
        without, from (C, h, w) to (C, h, w), of norm 1.

    Raises:
        ValueError: a mask as for ``mri``, maps of another size, not finite or all zero, both or
            neither of maps and ``num_coils``.

    Cost: C FFTs a product.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxinv.operators import fourier_lines
        >>> mask = fourier_lines(jax.random.key(0), (8, 8), 2, 0.25)
        >>> A = multicoil_mri(mask, coil_maps((8, 8), 4))
        >>> A.in_shape, A.out_shape, multicoil_mri(mask, num_coils=4).in_shape
        ((8, 8), (4, 8, 8), (4, 8, 8))

    Source: Pruessmann, Weiger, Scheidegger, Boesiger (1999), SENSE; without maps: Heckel,
        Soltanolkotabi (2020), section 5.
    """
    where = "multicoil_mri"
    mask = _measured(where, mask)
    if (maps is None) == (num_coils is None):
        got = "neither" if maps is None else "both"
        hint = "Without maps every coil has an image of its own."
        checks.fail(where, "maps or num_coils", "be given, one of the two", got, hint)
    if num_coils is not None:
        return MRI(mask, checks.count(where, "num_coils", num_coils))
    maps = checks.array(where, "maps", maps, ndim=3)
    expected = f"have shape (coils, {mask.shape[0]}, {mask.shape[1]}), the last two of the mask"
    if maps.shape[1:] != mask.shape or not maps.shape[0]:
        checks.fail(where, "maps", expected, maps)
    checks.finite(where, "maps", maps)
    if checks.is_concrete(maps) and not np.any(np.asarray(maps)):
        checks.fail(where, "maps", "not be zero everywhere", "all zeros")
    return MulticoilMRI(mask, maps)


def coil_maps(
    shape: Any, num_coils: int, *, radius: float | int = 1.1, dtype: Any = None
) -> Inexact[Array, "coils h w"]:
    r"""Simulate the sensitivities of coils that stand in a ring around the image.

    .. math:: s_c(p) \propto \frac{e^{i \alpha_c}}{r e^{i \alpha_c} - p}, \qquad
        \alpha_c = 2 \pi c / C, \qquad \sum_c |s_c(p)|^2 = 1

    with the pixel p as a complex number, and the image's corners at |p| = 1: the plane field of
    line currents, smooth, with phases of its own, and equal for all coils at the center.

    Args:
        shape: (h, w).
        num_coils: C >= 1; one coil has the sensitivity 1 in magnitude.
        radius: r > 1, the distance of the coils in units of half the image's diagonal.
        dtype: a complex type; default that of the default float.

    Returns:
        Complex maps of shape (C, h, w), Σ|s_c|² = 1 at every pixel.

    Raises:
        ValueError: another number of axes, a radius of at most 1, a real type.

    Example:
        >>> maps = coil_maps((8, 8), 4)
        >>> maps.shape, bool(abs(root_sum_of_squares(maps) - 1).max() < 1e-6)
        ((4, 8, 8), True)

    Source: Biot-Savart law for parallel currents; ring arrays: Roemer et al. (1990).
    """
    where = "coil_maps"
    shape = checks.shape(where, "shape", shape)
    if len(shape) != 2:
        checks.fail(where, "shape", "be (h, w)", f"{shape}")
    num_coils = checks.count(where, "num_coils", num_coils)
    dtype = checks.float_type(where, jnp.result_type(complex) if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        checks.fail(where, "dtype", "be a complex type", dtype.name)
    radius = checks.positive(where, "radius", radius, single=True)
    if radius <= 1:
        checks.fail(where, "radius", "be larger than 1", radius, "The coils stand outside.")
    rows, columns = (2 * (np.arange(n) - (n - 1) / 2) / np.hypot(*shape) for n in shape)
    pixels = columns[None, :] + 1j * rows[:, None]
    directions = np.exp(2j * np.pi * np.arange(num_coils) / num_coils)[:, None, None]
    fields = directions / (radius * directions - pixels)
    return jnp.asarray(fields / np.sqrt(np.sum(np.abs(fields) ** 2, axis=0)), dtype)


def root_sum_of_squares(x: Num[ArrayLike, "*shape"], axis: int = 0) -> Float[Array, "..."]:
    r"""Combine the images of several coils into one magnitude image.

    .. math:: \sqrt{\textstyle\sum_c |x_c|^2}

    Args:
        x: images, real or complex.
        axis: the axis of the coils.

    Returns:
        A real array without that axis; its derivative is 0 where all coils are 0.

    Raises:
        ValueError: no such axis.

    Example:
        >>> import jax.numpy as jnp
        >>> root_sum_of_squares(jnp.array([[3.0, 0.0], [4.0, 1.0]]))
        Array([5., 1.], dtype=float32)

    Source: Roemer, Edelstein, Hayes, Souza, Mueller (1990).
    """
    where = "root_sum_of_squares"
    x = checks.array(where, "x", x)
    if isinstance(axis, bool) or not isinstance(axis, int):
        checks.fail_type(where, "axis", "be an integer", axis)
    if not -x.ndim <= axis < x.ndim:
        checks.fail(where, "x", f"have the axis {axis}", x)
    return jnp.squeeze(numerics.safe_norm(x, axis), axis)


def fft2c(x: Num[ArrayLike, "*batch h w"]) -> Complex[Array, "*batch h w"]:
    r"""Transform the last two axes to k-space: orthonormal, zero in the middle on both sides.

    .. math:: \hat x = S\, \mathrm{fft2}(S^{-1} x) / \sqrt{h w}

    Args:
        x: (..., h, w), real or complex.

    Returns:
        Complex array of the same shape; frequency 0 at (h // 2, w // 2).

    Raises:
        ValueError: fewer than two axes.

    Example:
        >>> import jax.numpy as jnp
        >>> jnp.abs(fft2c(jnp.ones((2, 2))))
        Array([[0., 0.],
               [0., 2.]], dtype=float32)
    """
    return _centered("fft2c", jnp.fft.fft2, x)


def ifft2c(y: Num[ArrayLike, "*batch h w"]) -> Complex[Array, "*batch h w"]:
    r"""Invert ``fft2c``, which is also its adjoint.

    Args:
        y: (..., h, w), k-space with frequency 0 in the middle.

    Returns:
        Complex array of the same shape.

    Raises:
        ValueError: fewer than two axes.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        >>> bool(jnp.allclose(ifft2c(fft2c(x)), x))
        True
    """
    return _centered("ifft2c", jnp.fft.ifft2, y)


def _centered(where: str, transform: Any, x: Any) -> Array:
    x = checks.array(where, "x" if where == "fft2c" else "y", x)
    if x.ndim < 2:
        checks.fail(where, "x" if where == "fft2c" else "y", "have at least two axes", x)
    return _shifted(fft_ready(x), transform)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _shifted(x: Array, transform: Any) -> Array:
    axes = (-2, -1)
    shifted = jnp.fft.ifftshift(x, axes=axes)
    return jnp.fft.fftshift(transform(shifted, norm="ortho"), axes=axes)


def _measured(where: str, mask: Any) -> Array:
    """Return a boolean mask of k-space."""
    mask = weights(where, "mask", mask)
    if mask.ndim != 2:
        hint = (
            "For a mask of columns use jnp.broadcast_to(mask, (h, w)); for one mask per image "
            f"jax.vmap(operators.{where})."
        )
        checks.fail(where, "mask", "have shape (h, w)", mask, hint)
    concrete = checks.is_concrete(mask)
    if mask.dtype != bool:
        if concrete and not bool(np.all((np.asarray(mask) == 0) | (np.asarray(mask) == 1))):
            hint = "For weights compose: operators.mask(w) @ operators.mri(mask)."
            checks.fail(where, "mask", "be boolean, or 0 and 1", "other numbers", hint)
        mask = mask != 0
    if concrete and not bool(np.any(np.asarray(mask))):
        checks.fail(where, "mask", "keep at least one frequency", "an empty mask")
    if concrete and bool(np.all(np.asarray(mask))):
        text = f"{where}: mask keeps every frequency: this measures the whole image"
        warnings.warn(text, stacklevel=3)
    return mask
