"""Windows of images or series at random places: all pixels in a row, and where images begin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, static

_LARGEST = np.iinfo(np.int32).max


@pytree
class Crops:
    """Images of any sizes, to be cropped to one shape.

    Attributes:
        pixels: all images one after the other, each row by row; with a last axis for channels.
        first: where each image begins.
        widths: of the images.
        columns: places of a crop along a row.
        ends: number of places up to the end of each image.
        shape: of a crop: (height, width), or with the channels as well; (n,) of a series.
        num_places: where crops can lie, in all images.
    """

    pixels: Array
    first: Array
    widths: Array
    columns: Array
    ends: Array
    shape: tuple[int, ...] = static()
    num_places: int = static()

    def draw(self, key: Any) -> Array:
        """Draw a crop; every place is equally likely."""
        if self.num_places == 1:
            return self.pixels.reshape(self.shape)
        return _drawn(self, key)


@partial(jax.jit, inline=True)  # outside jit too, it is one program
def _drawn(crops: Crops, key: Array) -> Array:
    place = jax.random.randint(key, (), 0, crops.ends[-1])
    image = jnp.searchsorted(crops.ends, place, side="right")
    before = jnp.where(image > 0, crops.ends[image - 1], 0)
    row, column = jnp.divmod(place - before, crops.columns[image])
    rows, columns = (jnp.arange(side) for side in _sides(crops.shape))
    places = (row + rows)[:, None] * crops.widths[image] + column + columns
    return crops.pixels[crops.first[image] + places].reshape(crops.shape)


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width; a series (n,) is an image of width 1."""
    return (*shape, 1)[0], (*shape, 1)[1]


def packed(where: str, images: Any, shape: tuple[int, ...], *, real: bool) -> Crops:
    """Return images to be cropped to ``shape``; refuse what cannot be, by its name.

    Args:
        where: the function that asks.
        images: one image, an array of equal ones, or a sequence of any.
        shape: of a crop.
        real: refuse complex images.
    """
    wanted = f"({', '.join(['h', 'w'][: len(shape)] + [str(size) for size in shape[2:]])})"
    if isinstance(getattr(images, "shape", None), tuple):
        images = checks.array(where, "images", images)
        if images.ndim not in (len(shape), len(shape) + 1):
            checks.fail(where, "images", f"have shape {wanted} or (N, {wanted[1:]}", images)
        images = [images] if images.ndim == len(shape) else images
    elif not isinstance(images, Sequence) or isinstance(images, str):
        checks.fail_type(where, "images", "be an array or a sequence of arrays", images)
    if len(images) == 0:
        checks.fail(where, "images", "hold at least one image", "none")
    named = [(f"images[{index}]", image) for index, image in enumerate(images)]
    given = [_image(where, name, image, shape, wanted, real) for name, image in named]
    height, width = _sides(shape)
    heights, widths = np.asarray([_sides(image.shape) for image in given], np.int64).T
    columns = widths - width + 1
    ends = np.cumsum((heights - height + 1) * columns)
    first = np.cumsum(heights * widths) - heights * widths
    total = int((heights * widths).sum()) * math.prod(shape[2:])
    if total > _LARGEST:
        checks.fail(where, "images", f"have at most {_LARGEST} pixels", f"{total}")
    places = (jnp.asarray(value, jnp.int32) for value in (first, widths, columns, ends))
    flat = [image.reshape(-1, *shape[2:]) for image in given]
    return Crops(jnp.concatenate(flat), *places, shape=shape, num_places=int(ends[-1]))


def _image(
    where: str, name: str, image: Any, shape: tuple[int, ...], wanted: str, real: bool
) -> Array:
    image = checks.array(where, name, image)
    if image.ndim != len(shape) or image.shape[2:] != shape[2:]:
        hint = "Use data.image(..., gray=True), or one channel at a time."
        checks.fail(where, name, f"have shape {wanted}", image, hint if len(shape) == 2 else "")
    if any(size < side for size, side in zip(image.shape, shape, strict=True)):
        checks.fail(where, name, f"be at least as large as a crop, {shape}", image)
    if real and jnp.iscomplexobj(image):
        checks.fail(where, name, "be real", image)
    checks.finite(where, name, image)
    return image
