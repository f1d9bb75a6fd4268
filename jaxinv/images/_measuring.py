"""The measurement operators that ``simulate`` offers by name."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import operators
from jaxinv._core import checks
from jaxinv.operators import LinearOperator
from jaxinv.operators._pixels import Real

OPERATORS = (
    "hadamard",
    "fourier",
    "gaussian",
    "mask",
    "blur",
    "downsample",
    "identity",
    "mri",
    "multicoil",
)
_NUM_COILS = 8
_CENTER = 0.08  # share of the columns of k-space about frequency 0, down to a ratio of 1/4
_CENTER_OF_KEPT = 0.32  # below: 0.04 at 1/8, as published
_LARGEST_GAUSSIAN = 2 * 2**30  # bytes; larger ones take minutes, where they fit at all
_WHERE = "simulate"


class Measuring(NamedTuple):
    """A measurement operator for an image.

    Attributes:
        operator: the operator, of the image or of its flattened pixels.
        shape: the part of the image that it sees, from the top left.
        ratio: measurements per pixel.
        text: what it is, in words.
        shows_image: whether the measurements look like the image.
        is_scan: whether they come in units of their own, as those of a scanner.
    """

    operator: LinearOperator
    shape: tuple[int, int]
    ratio: float
    text: str
    shows_image: bool = False
    is_scan: bool = False


def make_operator(name: str, shape: tuple[int, int], ratio: float, key: Array) -> Measuring:
    """Return the named operator with about ``ratio`` measurements per pixel."""
    if name == "downsample":
        return _downsampling(shape, ratio)
    if name == "blur":
        width = 1 / math.sqrt(ratio)
        operator = operators.convolution(_gaussian_kernel(width, min(shape)), shape)
        text = f"a Gaussian blur of {width:.3g} pixels"
        return Measuring(operator, shape, 1.0, text, shows_image=True)
    if name == "identity":
        return Measuring(operators.identity(shape), shape, 1.0, "every pixel", shows_image=True)
    if name in ("mri", "multicoil"):
        return _scan(name, shape, ratio, key)
    num_pixels = math.prod(shape)
    count = max(1, round(ratio * num_pixels))
    if name == "hadamard":
        operator = operators.subsampled_hadamard(key, count, shape)
        text = f"{count} random Hadamard rows"
    elif name == "fourier":
        mask = operators.variable_density_mask(key, shape, ratio)
        operator = operators.subsampled_fourier(mask, real=True)
        text = f"{count} Fourier coefficients, low frequencies more densely"
    elif name == "mask":
        operator = operators.mask(operators.random_mask(key, shape, ratio))
        text = f"{count} random pixels"
    else:
        _require_room(count, num_pixels)
        operator = operators.gaussian(key, count, num_pixels)
        text = f"a {count} x {num_pixels} Gaussian matrix"
    return Measuring(operator, shape, count / num_pixels, text)


def _scan(name: str, shape: tuple[int, int], ratio: float, key: Array) -> Measuring:
    """Return columns of the k-space of a real image, seen by one coil or by several."""
    width = shape[1]
    center = max(min(_CENTER, _CENTER_OF_KEPT * ratio), 1 / width)
    mask = operators.fourier_lines(key, shape, 1 / ratio, center, "bernoulli")
    kept = int(jnp.sum(mask[0]))
    text = f"{kept} of {width} columns of k-space"
    if name == "mri":
        return Measuring(operators.mri(mask, real=True), shape, kept / width, text, is_scan=True)
    maps = operators.coil_maps(shape, _NUM_COILS, dtype=jnp.complex64)
    operator = Real(operators.multicoil_mri(mask, maps))
    return Measuring(operator, shape, kept / width, f"{text}, {_NUM_COILS} coils", is_scan=True)


def _downsampling(shape: tuple[int, int], ratio: float) -> Measuring:
    factor = min(max(1, round(1 / math.sqrt(ratio))), *shape)
    seen = (shape[0] // factor * factor, shape[1] // factor * factor)
    operator = operators.downsample(factor, seen)
    return Measuring(operator, seen, 1 / factor**2, f"averages over {factor} x {factor} pixels")


def _require_room(count: int, num_pixels: int) -> None:
    size = 4 * count * num_pixels
    if size > _LARGEST_GAUSSIAN:
        expected = f"take at most {_LARGEST_GAUSSIAN / 2**30:.0f} GiB"
        got = f"{size / 2**30:.1f} GiB for {count} x {num_pixels}"
        hint = 'Use operator="hadamard", which stores no matrix, or shrink the image (size=64).'
        checks.fail(_WHERE, "the Gaussian matrix", expected, got, hint)


def _gaussian_kernel(width: float, largest: int) -> Array:
    reach = min(math.ceil(3 * width), (largest - 1) // 2)
    offsets = np.arange(-reach, reach + 1)
    profile = np.exp(-(offsets**2) / (2 * width**2))
    kernel = np.outer(profile, profile)
    return jnp.asarray(kernel / kernel.sum(), jnp.float32)
