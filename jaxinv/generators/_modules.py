"""Flax modules of trained generators: dense and convolutional maps between vectors and images."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

UNITS: dict[str, Any] = {
    "softplus": jax.nn.softplus,
    "relu": jax.nn.relu,
    "leaky": lambda x: jnp.where(x > 0, x, 0.2 * x),
}


class Mlp(nn.Module):
    """Dense layers; the unit follows each but the last, which it follows where ``ends`` says so."""

    widths: tuple[int, ...]
    unit: str
    ends: bool = False
    zero: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        last = len(self.widths) - 1
        for index, width in enumerate(self.widths):
            start = nn.initializers.xavier_uniform()
            if self.zero and index == last:
                start = nn.initializers.zeros
            x = _dense(width, start, self.dtype, f"layer{index}")(x)
            x = UNITS[self.unit](x) if index < last or self.ends else x
        return x


class ImageDecoder(nn.Module):
    """A small image of many channels from a vector, then doubled twice, with 3 x 3 kernels."""

    shape: tuple[int, int, int]
    channels: tuple[int, int]
    unit: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array) -> Array:
        height, width, last = self.shape
        first, second = self.channels
        unit, start = UNITS[self.unit], nn.initializers.xavier_uniform()
        small = math.ceil(height / 4), math.ceil(width / 4)
        x = unit(_dense(math.prod(small) * first, start, self.dtype, "layer0")(z))
        x = x.reshape(*z.shape[:-1], *small, first)
        x = _shuffled(unit(_dense(4 * second, start, self.dtype, "layer1")(neighbors(x))))
        x = _shuffled(unit(_dense(4 * second, start, self.dtype, "layer2")(neighbors(x))))
        x = _dense(last, start, self.dtype, "layer3")(neighbors(x))
        return x[..., :height, :width, :].reshape(*z.shape[:-1], height * width * last)


class ImageEncoder(nn.Module):
    """Halve an image twice, with 3 x 3 kernels, then map it to a vector."""

    shape: tuple[int, int, int]
    channels: tuple[int, int]
    num_outputs: int
    unit: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width, last = self.shape
        first, second = self.channels
        unit, start = UNITS[self.unit], nn.initializers.xavier_uniform()
        batch = x.shape[:-1]
        x = x.reshape(*batch, height, width, last)
        margins = [(0, 0)] * len(batch) + [(0, -height % 4), (0, -width % 4), (0, 0)]
        x = _gathered(jnp.pad(x, margins))
        x = _gathered(unit(_dense(second, start, self.dtype, "layer0")(neighbors(x))))
        x = unit(_dense(first, start, self.dtype, "layer1")(neighbors(x)))
        return _dense(self.num_outputs, start, self.dtype, "layer2")(x.reshape(*batch, -1))


def _dense(width: int, start: Any, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(
        width, kernel_init=start, precision="highest", param_dtype=dtype, dtype=dtype, name=name
    )


def neighbors(x: Array) -> Array:
    """Return the nine channels around every pixel, (..., h, w, 9 c): a kernel is then a matrix.

    XLA's convolutions are slow inside loops on processors; products of matrices are not.
    """
    height, width = x.shape[-3:-1]
    margins = [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)]
    padded = jnp.pad(x, margins)
    moved = [padded[..., i : i + height, j : j + width, :] for i in range(3) for j in range(3)]
    return jnp.concatenate(moved, axis=-1)


def _shuffled(x: Array) -> Array:
    """Turn four channels into four pixels."""
    *batch, height, width, channels = x.shape
    x = x.reshape(*batch, height, width, 2, 2, channels // 4)
    x = jnp.swapaxes(x, -4, -3)
    return x.reshape(*batch, 2 * height, 2 * width, channels // 4)


def _gathered(x: Array) -> Array:
    """Turn four pixels into four channels."""
    *batch, height, width, channels = x.shape
    x = x.reshape(*batch, height // 2, 2, width // 2, 2, channels)
    x = jnp.swapaxes(x, -4, -3)
    return x.reshape(*batch, height // 2, width // 2, 4 * channels)
