"""The ConvDecoder: upsampling and learned 3x3 convolutions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators import _layers, _starts
from jaxinv.generators._resampling import growing_sizes
from jaxinv.generators._untrained import Layout, UntrainedPrior, layout, start_key, start_size


@pytree
class ConvDecoder(UntrainedPrior):
    """The ConvDecoder; see ``convdecoder``. ``params`` is a tuple of layers (dicts)."""

    params: Any
    z: Any
    layout: Layout = static()
    num_channels: int = static()
    start: tuple[int, ...] = static()
    sizes: tuple[tuple[int, ...], ...] = static()
    kernel_size: int = static(default=3)
    upsampling: str = static(default="nearest")
    squash: bool = static(default=False)
    dtype: Any = static(default=jnp.float32)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (*self.start, self.num_channels)

    def _input(self, key: Array) -> Array:
        return jax.random.uniform(key, self.input_shape, self.dtype, 0.0, 0.1)

    def _parameters(self, key: Array) -> tuple[dict[str, Array], ...]:
        k, side = self.num_channels, self.kernel_size
        hidden = _starts.convolution((side, side, k, k)) | _starts.norm(k)
        output = _starts.convolution((1, 1, k, self.layout.num_outputs))
        return _starts.draw(key, (*[hidden] * len(self.sizes), output), self.dtype)

    def _forward(self, params: Any, z: Array) -> Array:
        x = z
        for layer, size in zip(params[:-1], self.sizes, strict=True):
            x = _layers.convolve(_layers.resample(x, size, self.upsampling), layer["weight"])
            x = _layers.channel_norm(jax.nn.relu(x), layer["scale"], layer["offset"])
        x = _layers.convolve(x, params[-1]["weight"])
        return self.layout.assemble(x, squash=self.squash)


def convdecoder(
    shape: Any,
    num_channels: int = 160,
    num_layers: int = 7,
    *,
    key: Any = None,
    input_size: Any = None,
    extra_layer: bool = True,
    kernel_size: int = 3,
    upsampling: str = "nearest",
    squash: bool = False,
    channels_first: bool = False,
    dtype: Any = jnp.float32,
) -> ConvDecoder:
    r"""Build a ConvDecoder, the untrained prior with the best published MRI scores.

    .. math:: B_{i+1} = \mathrm{cn}(\mathrm{relu}(c_i * U_i B_i)), \qquad x = B_d C_d

    c_i are learned convolutions with zero padding, U_i upsamples first, and cn normalizes each
    channel over space, with a trained scale and offset.

    Args:
        shape: (h, w) or (h, w, channels), any size from 16 pixels a side.
        num_channels: k of every layer; published 160 and 256.
        num_layers: d upsampling layers (the source counts d + 1).
        key: PRNG key of input and parameters; ``jax.random.key(0)`` by default.
        input_size: spatial size of the input; published (8, 4) for (640, 368). By default
            ``ceil(shape / 2^d)``, at least 4. The layers grow by equal factors, rounded up.
        extra_layer: one more convolution at full size before the output.
        kernel_size: side of the learned convolutions, odd.
        upsampling: ``"nearest"`` or ``"bilinear"``.
        squash: end in a sigmoid, for images in [0, 1]; complex ones in a tanh, for real and
            imaginary parts in [-1, 1].
        channels_first: read a shape of three numbers as (coils, h, w).
        dtype: real, or complex for complex images (two output channels for each).

    Returns:
        ``ConvDecoder``; ``params`` is a tuple of dicts ``weight`` (3, 3, k, k), ``scale`` and
        ``offset``, and one with the output ``weight`` (1, 1, k, channels).

    Raises:
        ValueError: a shape that is not an image, an even kernel, an unknown name.

    Cost: 9 k² multiplications per pixel of every layer; memory 9 k numbers per pixel.

    Example:
        >>> prior = convdecoder((2, 32, 24), 8, 2, channels_first=True, dtype=jnp.complex64)
        >>> prior(prior.params).shape, prior.num_parameters
        ((2, 32, 24), 1808)

    Source: Zalbagi Darestani, Heckel, "Accelerated MRI with un-trained neural networks" (2021).
    """
    where = "convdecoder"
    arranged, real = layout(where, shape, dtype, channels_first=channels_first)
    num_layers = checks.count(where, "num_layers", num_layers)
    kernel_size = checks.count(where, "kernel_size", kernel_size)
    if kernel_size % 2 == 0:
        checks.fail(where, "kernel_size", "be odd", kernel_size)
    start = start_size(where, arranged.size, num_layers, input_size)
    sizes = growing_sizes(arranged.size, start, num_layers)
    if checks.boolean(where, "extra_layer", extra_layer):
        sizes = (*sizes, arranged.size)
    prior = ConvDecoder(
        None,
        None,
        arranged,
        checks.count(where, "num_channels", num_channels),
        start,
        sizes,
        kernel_size,
        checks.choice(where, "upsampling", upsampling, ("nearest", "bilinear")),
        checks.boolean(where, "squash", squash),
        real,
    )
    return prior.draw(start_key(where, key))
