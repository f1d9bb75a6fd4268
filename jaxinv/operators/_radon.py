"""Parallel-beam tomography."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike
from jaxtyping import Inexact, Num

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator, require_single
from jaxinv.operators._require import signal_shape


@pytree
class Radon(LinearOperator):
    """Line integrals of an image; see ``radon``."""

    angles: Array
    shape: tuple[int, int] = static()
    num_bins: int = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.angles.shape[-1], self.num_bins)

    def _ndims(self) -> dict[str, int]:
        return {"angles": 1}

    def _project(self, angle: Array, x: Array) -> Array:
        """Sum the image along the lines of one angle, between pixels by bilinear interpolation."""
        length = 2 * math.ceil(0.5 * math.hypot(*self.shape)) + 3
        real = angle.dtype
        t = (jnp.arange(self.num_bins) - self.num_bins // 2).astype(real)
        s = (jnp.arange(length) - length // 2).astype(real)[:, None]
        theta = angle * (np.pi / 180)
        cosine, sine = jnp.cos(theta), jnp.sin(theta)
        rows = self.shape[0] // 2 - sine * t + cosine * s
        columns = self.shape[1] // 2 + cosine * t + sine * s
        return jnp.sum(map_coordinates(x, [rows, columns], order=1), axis=0).astype(x.dtype)

    def _apply(self, x: Array) -> Array:
        # checkpoint: reverse mode would else keep the weights of all angles
        return lax.map(jax.checkpoint(partial(self._project, x=x)), self.angles)

    def _adjoint(self, y: Array) -> Array:
        signal = jax.ShapeDtypeStruct(self.shape, y.dtype)

        @jax.checkpoint
        def add(total: Array, view: tuple[Array, Array]) -> tuple[Array, None]:
            angle, values = view
            (back,) = jax.linear_transpose(partial(self._project, angle), signal)(values)
            return total + back, None

        return lax.scan(add, jnp.zeros(self.shape, y.dtype), (self.angles, y))[0]

    def filtered_back_projection(self, y: Num[ArrayLike, "angles bins"]) -> Inexact[Array, "h w"]:
        """Return the classical reconstruction: a ramp filter, then sums over all lines of a pixel.

        For many angles, evenly spread over 180 degrees, and little noise; it is no inverse.
        """
        where = "Radon.filtered_back_projection"
        require_single(self)
        y = checks.array(where, "y", y)
        checks.shape_is(where, "y", y, self.out_shape, "Use jax.vmap for a batch of measurements.")
        size = max(64, 2 ** math.ceil(math.log2(2 * self.num_bins)))
        lags = np.minimum(np.arange(size), size - np.arange(size))
        ramp = np.where(lags % 2 == 1, -1 / (np.pi * np.maximum(lags, 1)) ** 2, 0.0)
        ramp[0] = 0.25
        response = jnp.asarray(2 * np.real(np.fft.fft(ramp)), self.angles.dtype)
        filtered = jnp.fft.ifft(jnp.fft.fft(y, size) * response)[:, : self.num_bins]
        filtered = filtered if jnp.iscomplexobj(y) else jnp.real(filtered)
        rows, columns = (np.arange(n) - n // 2 for n in self.shape)

        def add(total: Array, view: tuple[Array, Array]) -> tuple[Array, None]:
            theta = view[0] * (np.pi / 180)
            t = jnp.cos(theta) * columns - jnp.sin(theta) * rows[:, None] + self.num_bins // 2
            return total + map_coordinates(view[1], [t], order=1).astype(y.dtype), None

        start = jnp.zeros(self.shape, y.dtype)
        total, _ = lax.scan(add, start, (self.angles, filtered.astype(y.dtype)))
        return total * (np.pi / (2 * len(self.angles)))


def radon(shape: Any, angles: Num[ArrayLike, "angles"], *, num_bins: int | None = None) -> Radon:
    r"""Measure the integrals of an image along parallel lines: tomography.

    .. math:: y_{\theta, t} = \sum_s x(r_0 - t \sin\theta + s \cos\theta,\;
        c_0 + t \cos\theta + s \sin\theta)

    x between pixels is interpolated bilinearly, 0 outside; (r₀, c₀) is the pixel
    (h // 2, w // 2), and t = 0 the bin num_bins // 2. It is ``skimage.transform.radon`` with its
    axes the other way round: y is (angles, bins). The adjoint is exact.

    Args:
        shape: (h, w) of the image.
        angles: θ in degrees, any number of them: a leaf, which can be differentiated and batched.
        num_bins: positions t of lines, one pixel apart; None: enough for the diagonal. For an
            image that is 0 outside the largest circle its side is enough.

    Returns:
        An operator from ``shape`` to ``(len(angles), num_bins)``;
        ``A.filtered_back_projection(y)`` is the classical reconstruction.

    Raises:
        ValueError: a shape that is not (h, w), angles that are no vector or not finite.

    Cost: four multiplications per angle, bin and pixel of the diagonal; memory of one angle.

    Example:
        >>> import jax.numpy as jnp
        >>> A = radon((3, 3), jnp.array([0.0, 90.0]), num_bins=3)
        >>> jnp.round(A @ jnp.arange(9.0).reshape(3, 3)).astype(int)
        Array([[ 9, 12, 15],
               [21, 12,  3]], dtype=int32)

    Source: Radon (1917); van der Walt et al. (2014), scikit-image.
    """
    where = "radon"
    sides = signal_shape(where, shape)
    if len(sides) != 2:
        checks.fail(where, "shape", "be (h, w)", f"{sides}")
    angles = checks.array(where, "angles", angles, ndim=1)
    if jnp.iscomplexobj(angles) or not angles.size:
        checks.fail(where, "angles", "be real numbers in degrees, at least one", angles)
    checks.finite(where, "angles", angles)
    if num_bins is None:
        num_bins = 2 * math.ceil(0.5 * math.hypot(*sides)) + 1
    num_bins = checks.count(where, "num_bins", num_bins)
    checks.shape(where, "num_bins", (angles.size, num_bins))
    return Radon(angles, (sides[0], sides[1]), num_bins)
