"""The U-net of the deep image prior: an hourglass with thin skip connections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators import _layers, _starts
from jaxinv.generators._starts import Start
from jaxinv.generators._untrained import (
    Layout,
    UntrainedPrior,
    layout,
    squashing,
    start_key,
)

Layer = dict[str, Array]


@pytree
class Unet(UntrainedPrior):
    """The deep image prior's network; see ``unet``.

    ``params`` is a dict: ``scales`` is a tuple, from full size down, of dicts of layers
    (``skip``, ``down``, ``deep``, ``join``, ``up``, ``mix``), and ``output`` one layer.
    """

    params: Any
    z: Any
    layout: Layout = static()
    num_channels: tuple[int, ...] = static()
    skip_channels: tuple[int, ...] = static()
    input_channels: int = static()
    kernel_sizes: tuple[int, int] = static(default=(3, 3))
    upsampling: str = static(default="bilinear")
    padding: str = static(default="reflect")
    mixing: bool = static(default=True)
    squash: bool = static(default=True)
    dtype: Any = static(default=jnp.float32)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (*self.layout.size, self.input_channels)

    @property
    def zero_is_fixed(self) -> bool:
        """False: the output bias can leave zero."""
        return False

    def _input(self, key: Array) -> Array:
        return jax.random.uniform(key, self.input_shape, self.dtype, 0.0, 0.1)

    def _parameters(self, key: Array) -> dict[str, Any]:
        shape = (1, 1, self.num_channels[0], self.layout.num_outputs)
        tree = {
            "scales": tuple(self._scale(index) for index in range(len(self.num_channels))),
            "output": _starts.convolution(shape, bias=True),
        }
        return _starts.draw(key, tree, self.dtype)

    def _scale(self, index: int) -> dict[str, dict[str, Start]]:
        width, skip = self.num_channels[index], self.skip_channels[index]
        before = self.num_channels[index - 1] if index else self.input_channels
        below = self.num_channels[min(index + 1, len(self.num_channels) - 1)]
        down, up = self.kernel_sizes
        layers = {
            "down": (down, down, before, width),
            "deep": (down, down, width, width),
            "up": (up, up, skip + below, width),
        }
        if skip:
            layers["skip"] = (1, 1, before, skip)
        if self.mixing:
            layers["mix"] = (1, 1, width, width)
        scale = {
            name: _starts.convolution(shape, bias=True) | _starts.norm(shape[-1])
            for name, shape in layers.items()
        }
        return scale | {"join": _starts.norm(skip + below)}

    def _layer(self, x: Array, layer: Layer, stride: int = 1) -> Array:
        x = _layers.convolve(x, layer["weight"], stride=stride, padding=self.padding)
        x = _layers.channel_norm(x + layer["bias"], layer["scale"], layer["offset"])
        return _layers.leaky_relu(x)

    def _hourglass(self, scales: tuple[dict[str, Layer], ...], x: Array) -> Array:
        layers = scales[0]
        deep = self._layer(self._layer(x, layers["down"], 2), layers["deep"])
        if scales[1:]:
            deep = self._hourglass(scales[1:], deep)
        deep = _layers.resample(deep, (x.shape[0], x.shape[1]), self.upsampling)
        if "skip" in layers:
            deep = jnp.concatenate([self._layer(x, layers["skip"]), deep], -1)
        joined = _layers.channel_norm(deep, layers["join"]["scale"], layers["join"]["offset"])
        up = self._layer(joined, layers["up"])
        return self._layer(up, layers["mix"]) if self.mixing else up

    def _forward(self, params: Any, z: Array) -> Array:
        x = self._hourglass(params["scales"], z)
        x = _layers.convolve(x, params["output"]["weight"]) + params["output"]["bias"]
        return self.layout.assemble(x, squash=self.squash)


def unet(
    shape: Any,
    num_channels: int | Sequence[int] = 128,
    num_scales: int | None = None,
    *,
    skip_channels: int | Sequence[int] = 4,
    input_channels: int = 32,
    kernel_sizes: Sequence[int] = (3, 3),
    upsampling: str = "bilinear",
    padding: str = "reflect",
    mixing: bool = True,
    squash: bool | None = None,
    key: Any = None,
    channels_first: bool = False,
    dtype: Any = jnp.float32,
) -> Unet:
    """Build the deep image prior's U-net.

    Each scale halves the image by a convolution of stride two, convolves, goes deeper, upsamples,
    joins a thin skip connection, convolves and mixes channels; every convolution has a bias,
    a channel norm and a leaky ReLU of slope 0.2.

    Args:
        shape: (h, w) or (h, w, channels), any size from 16 pixels a side; halves are rounded up.
        num_channels: width of every scale, or one number for each.
        num_scales: 5 by default, as far as the smallest image keeps two pixels a side.
        skip_channels: channels of the skip connections, or one number for each scale; 0 for none.
        input_channels: channels of the input, which has the image's size.
        kernel_sizes: sides of the convolutions on the way down and up, odd.
        upsampling: ``"bilinear"`` or ``"nearest"``.
        padding: ``"reflect"`` or ``"zero"``.
        mixing: end every scale in a 1 x 1 convolution.
        squash: end in a sigmoid, for images in [0, 1]; complex ones in a tanh, real and imaginary
            parts in [-1, 1]. By default real networks do, and complex ones have no bounds.
        key: PRNG key of input and parameters; ``jax.random.key(0)`` by default.
        channels_first: read a shape of three numbers as (coils, h, w).
        dtype: real, or complex for complex images (two output channels for each).

    Returns:
        ``Unet``; ``params`` is a dict with ``scales`` and ``output``.

    Raises:
        ValueError: a shape that is not an image, lists of another length than the scales, too
            many scales for the image, an even kernel.

    Cost: about 27 k² multiplications per pixel; memory 9 k numbers per pixel of each convolution.

    Example:
        >>> prior = unet((512, 512, 3))
        >>> prior.num_parameters
        2217831

    Source: Ulyanov, Vedaldi, Lempitsky, "Deep image prior" (2018), supplementary material.
    """
    where = "unet"
    arranged, real = layout(where, shape, dtype, channels_first=channels_first)
    scales = _num_scales(where, arranged.size, num_channels, num_scales)
    prior = Unet(
        None,
        None,
        arranged,
        _per_scale(where, "num_channels", num_channels, scales, 1),
        _per_scale(where, "skip_channels", skip_channels, scales, 0),
        checks.count(where, "input_channels", input_channels),
        _kernel_sizes(where, kernel_sizes),
        checks.choice(where, "upsampling", upsampling, ("bilinear", "nearest")),
        checks.choice(where, "padding", padding, ("reflect", "zero")),
        checks.boolean(where, "mixing", mixing),
        squashing(where, squash, arranged),
        real,
    )
    return prior.draw(start_key(where, key))


def _num_scales(where: str, size: tuple[int, ...], num_channels: Any, given: int | None) -> int:
    most = max(math.ceil(math.log2(min(size))) - 1, 0) if min(size) > 1 else 0
    if most < 1:
        checks.fail(where, "shape", "have at least 3 pixels a side", f"{size}")
    if given is None:
        listed = isinstance(num_channels, Sequence)
        given = len(num_channels) if listed else min(5, most)
    given = checks.count(where, "num_scales", given)
    if given > most:
        checks.fail(where, "num_scales", f"be at most {most} for an image of {size}", given)
    return given


def _per_scale(where: str, argument: str, value: Any, scales: int, minimum: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * scales
    if len(values) != scales:
        checks.fail(where, argument, f"be one number or {scales}, one a scale", f"{values}")
    return tuple(checks.count(where, argument, entry, minimum=minimum) for entry in values)


def _kernel_sizes(where: str, given: Any) -> tuple[int, int]:
    sizes = checks.sizes(where, "kernel_sizes", given)
    if len(sizes) != 2 or any(side % 2 == 0 for side in sizes):
        checks.fail(where, "kernel_sizes", "be two odd numbers", f"{sizes}")
    return (sizes[0], sizes[1])
