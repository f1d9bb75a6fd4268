"""The deep decoder: 1x1 convolutions, fixed upsampling, ReLU and channel normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.generators import _layers, _starts
from jaxinv.generators._resampling import doubling_sizes, growing_sizes
from jaxinv.generators._starts import Start
from jaxinv.generators._untrained import (
    Layout,
    UntrainedPrior,
    layout,
    squashing,
    start_key,
    start_size,
)


@pytree
class DeepDecoder(UntrainedPrior):
    """The deep decoder; see ``deep_decoder``. ``params`` is a tuple of layers (dicts)."""

    params: Any
    z: Any
    layout: Layout = static()
    num_channels: int = static()
    input_size: tuple[int, ...] = static()
    sizes: tuple[tuple[int, ...], ...] = static()
    upsampling: str | tuple[float, ...] = static(default="bilinear")
    norm_first: bool = static(default=False)
    squash: bool = static(default=True)
    initial_weights: str = static(default="uniform")
    initial_scales: str = static(default="ones")
    dtype: Any = static(default=jnp.float32)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (*self.input_size, self.num_channels)

    @property
    def _filters(self) -> bool:
        """Whether layers that keep the size apply the fixed kernel."""
        return not isinstance(self.upsampling, str) and self.input_size == self.layout.size

    def _input(self, key: Array) -> Array:
        return jax.random.uniform(key, self.input_shape, self.dtype, 0.0, 0.1)

    def _parameters(self, key: Array) -> tuple[dict[str, Array], ...]:
        k = self.num_channels
        scales = Start((k,), "constant", 1.0)
        if self.initial_scales == "uniform":
            scales = Start((k,), "unit", 1.0)
        hidden = {**_starts.norm(k), "scale": scales, "weight": self._weight((k, k))}
        output = {"weight": self._weight((k, self.layout.num_outputs))}
        return _starts.draw(key, (*[hidden] * len(self.sizes), output), self.dtype)

    def _weight(self, shape: tuple[int, int]) -> Start:
        if self.initial_weights == "uniform":
            return _starts.uniform(shape, shape[0])
        return Start(shape, "normal", math.sqrt(2 / (shape[0] + shape[1])))

    def _forward(self, params: Any, z: Array) -> Array:
        # Channels come first inside: sums over pixels and the upsampling of rows then run along
        # memory. A channel norm is affine, so it goes into the next product, not over the image.
        x = jnp.moveaxis(z, -1, 0)
        weight, shift = params[0]["weight"], None
        for index, size in enumerate(self.sizes):
            # Interpolation and mixing commute, so the product runs at low resolution.
            x = _mixed(x, weight, shift)
            if size != x.shape[1:] or self._filters:
                x = _layers.resample(x, size, self.upsampling, 1)
            layer, weight = params[index], params[index + 1]["weight"]
            if self.norm_first:
                gain, shift = _layers.normalizer(x, layer["scale"], layer["offset"])
                x, shift = _layers.relu(_per_channel(gain, x) * x + _per_channel(shift, x)), None
            else:
                x = _layers.relu(x)
                gain, shift = _layers.normalizer(x, layer["scale"], layer["offset"])
                shift, weight = numerics.matmul(shift, weight), gain[:, None] * weight
        x = jnp.moveaxis(_mixed(x, weight, shift), 0, -1)
        return self.layout.assemble(x, squash=self.squash)


def _mixed(x: Array, weight: Array, shift: Array | None) -> Array:
    """Mix the channels of (c, *size) and add a number to each."""
    mixed = _product(weight, x.reshape(x.shape[0], -1))
    mixed = mixed if shift is None else mixed + shift[:, None]
    return mixed.reshape(-1, *x.shape[1:])


@jax.custom_jvp
def _product(weight: Array, x: Array) -> Array:
    """Return Wᵀ x. A transpose inside a product halves its speed on CPU: it is made first."""
    return numerics.matmul(jax.lax.optimization_barrier(weight.T), x)


@_product.defjvp
def _product_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Differentiate; reverse mode multiplies by W as it lies."""
    (weight, x), (dweight, dx) = primals, tangents
    change = numerics.matmul(weight.T, dx) + numerics.matmul(dweight.T, x)
    return _product(weight, x), change


def _per_channel(values: Array, x: Array) -> Array:
    return values.reshape(-1, *[1] * (x.ndim - 1))


def deep_decoder(
    shape: Any,
    num_channels: int = 128,
    num_layers: int = 5,
    *,
    key: Any = None,
    input_size: Any = None,
    extra_layer: str = "last",
    upsampling: str | Sequence[float | int] = "bilinear",
    norm_first: bool = False,
    squash: bool | None = None,
    initial_weights: str = "uniform",
    initial_scales: str = "ones",
    channels_first: bool = False,
    dtype: Any = jnp.float32,
) -> DeepDecoder:
    r"""Build a deep decoder: an image model without filters to learn.

    .. math::
        B_{i+1} = \mathrm{cn}(\mathrm{relu}(U_i B_i C_i)), \qquad
        x = \mathrm{sigmoid}(B_d C_d)

    C_i mixes the channels of every pixel, U_i is a fixed upsampling, and cn normalizes each
    channel over space, with a trained scale and offset. With fewer parameters than pixels it
    cannot fit noise; with more of them, it denoises when descent is stopped early.

    Args:
        shape: (h, w) or (h, w, channels), any size; (n,) in 1-D.
        num_channels: k of every layer.
        num_layers: d, the number of upsampling layers.
        key: PRNG key of input and parameters; ``jax.random.key(0)`` by default.
        input_size: spatial size of the input: ``ceil(shape / 2^d)`` but at least 4 by default. The
            layers grow by equal factors, rounded up: 16 -> 28 -> 49 -> 85 -> 148 -> 256.
        extra_layer: one layer without upsampling, at the ``"last"`` or ``"first"`` resolution,
            or ``"none"``.
        upsampling: ``"bilinear"``, ``"nearest"``, or the taps of a fixed kernel, applied to rows
            and columns: layers then double the size (zeros inserted, then the taps), or, with
            an input of full size, keep it and filter. Published: (1, 3, 3, 1) / 4.
        norm_first: normalize before the ReLU, as the over-parameterized variant does.
        squash: end in a sigmoid, for images in [0, 1]; complex ones in a tanh, real and imaginary
            parts in [-1, 1]. By default real networks do, and complex ones have no bounds.
        initial_weights: ``"uniform"``, U(±1/√k), or ``"xavier"``, N(0, 2/(rows + columns)).
        initial_scales: ``"ones"``, or ``"uniform"`` for U(0, 1) as PyTorch drew before 1.2.
        channels_first: read a shape of three numbers as (coils, h, w).
        dtype: real, or complex for complex images (two output channels for each).

    Returns:
        ``DeepDecoder``; ``params`` is a tuple of d + 1 dicts ``weight``, ``scale``, ``offset``
        and one with the output ``weight``.

    Raises:
        ValueError: a shape that is not an image, sizes below one, an unknown name.

    Cost: k² multiplications per pixel of every layer before its upsampling, and about ten passes
    over an array of k numbers per pixel; a gradient takes three times that.

    Example:
        >>> prior = deep_decoder((64, 64), 32, 3)
        >>> prior(prior.params).shape, prior.num_parameters
        ((64, 64), 4384)

    Source: Heckel, Hand, "Deep decoder" (2019), equation 1; Heckel, Soltanolkotabi (2020).
    """
    where = "deep_decoder"
    arranged, real = layout(where, shape, dtype, channels_first=channels_first, signals=True)
    num_channels = checks.count(where, "num_channels", num_channels)
    num_layers = checks.count(where, "num_layers", num_layers)
    method = _method(where, upsampling)
    start, sizes = _sizes(where, arranged.size, num_layers, input_size, method)
    extra = checks.choice(where, "extra_layer", extra_layer, ("last", "first", "none"))
    if extra != "none":
        sizes = (*sizes, arranged.size) if extra == "last" else (start, *sizes)
    prior = DeepDecoder(
        None,
        None,
        arranged,
        num_channels,
        start,
        sizes,
        method,
        checks.boolean(where, "norm_first", norm_first),
        squashing(where, squash, arranged),
        checks.choice(where, "initial_weights", initial_weights, ("uniform", "xavier")),
        checks.choice(where, "initial_scales", initial_scales, ("ones", "uniform")),
        real,
    )
    return prior.draw(start_key(where, key))


def _method(where: str, given: Any) -> str | tuple[float, ...]:
    if isinstance(given, str):
        return checks.choice(where, "upsampling", given, ("bilinear", "nearest"))
    taps = checks.array(where, "upsampling", given, ndim=1)
    checks.finite(where, "upsampling", taps)
    return tuple(checks.scalar(where, "upsampling", tap) for tap in given)


def _sizes(
    where: str, size: tuple[int, ...], num_layers: int, given: Any, method: str | tuple[float, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Return the input's size and the size after each of the d layers."""
    if isinstance(method, str):
        start = start_size(where, size, num_layers, given)
        return start, growing_sizes(size, start, num_layers)
    halves = doubling_sizes(size, num_layers)
    start = halves[0] if given is None else start_size(where, size, num_layers, given)
    if start == size:
        return start, (size,) * num_layers
    if start != halves[0]:
        hint = "A fixed kernel doubles the size, or keeps it."
        checks.fail(where, "input_size", f"be {halves[0]} or {size}", f"{start}", hint)
    return start, halves[1:]
