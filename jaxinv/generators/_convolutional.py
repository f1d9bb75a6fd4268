"""Random convolutional networks: transposed convolutions that double, or multiply, the size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.generators._piecewise_linear import Layered, unit_scale, unit_slope
from jaxinv.operators import LinearOperator


@pytree
class Spread(LinearOperator):
    """A transposed convolution with wraparound, from vectors to vectors.

    The kernel has shape (*sides, c_in, c_out); pixels lie row by row, channels last.
    """

    kernel: Array
    size: tuple[int, ...] = static()
    stride: int = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (math.prod(self.size) * self.kernel.shape[-2],)

    @property
    def out_shape(self) -> tuple[int, ...]:
        pixels = math.prod(self.size) * self.stride ** len(self.size)
        return (pixels * self.kernel.shape[-1],)

    def _ndims(self) -> dict[str, int]:
        return {"kernel": len(self.size) + 2}

    def _apply(self, x: Array) -> Array:
        ndim, stride = len(self.size), self.stride
        *sides, c_in, c_out = self.kernel.shape
        turns = [-(-side // stride) for side in sides]
        fill = [(0, t * stride - side) for t, side in zip(turns, sides, strict=True)]
        taps = jnp.pad(self.kernel, (*fill, (0, 0), (0, 0)))
        taps = jnp.moveaxis(taps, -2, 0).reshape(c_in, -1)
        sent = numerics.matmul(x.reshape(-1, c_in), taps)
        # tap q s + r of input i reaches output (i + q) s + r
        split = [part for t in turns for part in (t, stride)]
        sent = sent.reshape(*self.size, *split, c_out)
        phases = []
        for turn in itertools.product(*(range(t) for t in turns)):
            index = [part for q in turn for part in (q, slice(None))]
            phases.append(jnp.roll(sent[(slice(None),) * ndim + tuple(index)], turn, range(ndim)))
        y = sum(phases[1:], phases[0])
        order = [axis for i in range(ndim) for axis in (i, ndim + i)]
        return y.transpose(*order, 2 * ndim).reshape(-1)

    def _adjoint(self, y: Array) -> Array:
        signal = jax.ShapeDtypeStruct(self.in_shape, y.dtype)
        return jax.linear_transpose(self._apply, signal)(y)[0]


@pytree
class Convolutional(Layered):
    """See ``convolutional``; ``params`` is the tuple of kernels."""

    params: tuple[Array, ...]
    size: tuple[int, ...] = static()
    stride: int = static()
    negative_slope: float = static(default=0.0)

    @property
    def layers(self) -> tuple[LinearOperator, ...]:
        return tuple(
            Spread(kernel, tuple(side * self.stride**index for side in self.size), self.stride)
            for index, kernel in enumerate(self.params)
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape (*size, channels) that a signal has as an image."""
        factor = self.stride ** len(self.params)
        return (*(side * factor for side in self.size), self.params[-1].shape[-1])


def convolutional(
    key: PRNGKeyArray,
    channels: Sequence[int],
    kernel_size: int,
    *,
    size: int | Sequence[int] = 1,
    stride: int = 2,
    negative_slope: float = 0.0,
    weight_scale: float | None = None,
    dtype: Any = jnp.float32,
) -> Convolutional:
    r"""Draw a random convolutional network: transposed convolutions, each with a ReLU.

    .. math:: h_i = \sigma(K_i \ast_s h_{i-1}), \qquad
        (K_i)_{tjl} \sim N\bigl(0, c / (|K| c_i)\bigr)

    A layer multiplies each side by the stride s and wraps around. It is the linear map of a
    matrix whose rows repeat few numbers, so that the conditions on networks with independent
    weights do not cover it: ``theory.range_restricted_weight_distribution`` measures it.

    Args:
        key: a JAX PRNG key.
        channels: (c_0, c_1, ..., c_d): of the latent, and of every layer.
        kernel_size: the side of the kernels, at least the stride; |K| is their number of pixels.
        size: sides of the latent, one number for 1-D, a pair for images.
        stride: s >= 1, by which every layer multiplies each side.
        negative_slope: α of the units max(t, 0) + α min(t, 0); static.
        weight_scale: c > 0; default 2/(1 + α²), with which E‖G(z)‖² = ‖z‖².
        dtype: real floating type.

    Returns:
        A generator from vectors of size k = c_0 Π size to vectors of size n = c_d Π (size sᵈ);
        ``image_shape`` is the signal's shape as an image, ``layers`` the linear maps.

    Raises:
        ValueError: fewer than two channels, sizes that are not positive, a kernel smaller than
            the stride.

    Cost: a layer takes (pixels in) |K| c_{i-1} c_i multiplications.

    Example:
        >>> import jax
        >>> G = convolutional(jax.random.key(0), (10, 8, 1), 4, size=(2, 2))
        >>> G.in_shape, G.image_shape
        ((40,), (8, 8, 1))

    Source: Ma, Ayaz, Karaman (2018), "Invertibility of convolutional generative networks from
        partial measurements".
    """
    where = "convolutional"
    key = checks.key(where, key)
    counts = checks.sizes(where, "channels", channels)
    if len(counts) < 2:
        checks.fail(where, "channels", "be (c_0, c_1, ...) with at least one layer", counts)
    sides = checks.sizes(where, "size", size)
    if not sides:
        checks.fail(where, "size", "have at least one side", sides)
    stride = checks.count(where, "stride", stride)
    side = checks.count(where, "kernel_size", kernel_size)
    if side < stride:
        hint = "Smaller kernels leave pixels at 0."
        checks.fail(where, "kernel_size", f"be at least the stride, {stride}", side, hint)
    shape = tuple(s * stride ** (len(counts) - 1) for s in sides)
    checks.shape(where, "channels and size", (*shape, max(counts)))
    checks.shape(where, "kernel_size", (*(side,) * len(sides), max(counts), max(counts)))
    slope = unit_slope(where, negative_slope)
    scale = unit_scale(where, weight_scale, slope)
    dtype = checks.float_type(where, dtype, real=True)
    area = side ** len(sides)
    kernels = tuple(
        jax.random.normal(layer_key, (*(side,) * len(sides), c_in, c_out), dtype)
        * jnp.sqrt(jnp.asarray(scale / (area * c_out), dtype))
        for layer_key, c_in, c_out in zip(
            jax.random.split(key, len(counts) - 1), counts[:-1], counts[1:], strict=True
        )
    )
    return Convolutional(kernels, sides, stride, slope)
