"""Images as arrays in [0, 1], by name or from a file."""

from __future__ import annotations

import difflib
import math
import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, files, outside
from jaxinv.data import _catalog, _files

_LUMA = (0.2126, 0.7152, 0.0722)
_SMALLEST_SIDE = 2


def image_names() -> tuple[str, ...]:
    """Return the names of the images that ``image`` finds in installed packages.

    Returns:
        Names, sorted.

    Example:
        >>> "camera" in image_names()
        True
    """
    return _catalog.NAMES


def image(
    name_or_path: Any, *, size: Any = None, gray: bool = False, max_bytes: int = files.BUDGET
) -> np.ndarray:
    """Load an image by its name, or from a file.

    Named images come inside scikit-image, scikit-learn and matplotlib and need no network:
    photos (camera, astronaut, chelsea, coffee, rocket, china, flower, ...), textures (brick,
    grass, gravel), medical images (retina, mri_head, cell, ...), shepp_logan, and others;
    ``image_names`` lists them.

    Integers are divided by the largest value of their type (16-bit images by 65535, in color
    too). Transparent parts become white. The orientation that a camera notes in a photo is
    applied. Floating-point images (.npy, TIFF) must lie in [0, 1]. Of several pages or frames
    the first is read.

    Args:
        name_or_path: a name, or the path of a file: PNG, JPEG, TIFF, BMP, GIF or WebP, or a
            .npy array of shape (h, w), (h, w, 3) or (h, w, 4). A name wins over a file of that
            name; write ./name for the file.
        size: (height, width), or one number that the longer side is shrunk to (a smaller image
            stays as it is); resized by averaging.
        gray: return the luminance of a color image (Rec. 709 weights).
        max_bytes: most memory that reading may take up, by the sizes that the file declares;
            looked at first. 1 GiB is enough for about 40 megapixels in color.

    Returns:
        A float32 NumPy array in [0, 1], of shape (h, w) or (h, w, 3).

    Raises:
        ValueError: an unknown name, a file that does not exist or is no image (any bytes), one
            over ``max_bytes``, values that are not finite or outside [0, 1].
        ImportError: the package that ships the image is not installed.

    Example:
        >>> image("camera", size=64).shape, image("astronaut", size=(32, 32)).shape
        ((64, 64), (32, 32, 3))

    Source: Rec. ITU-R BT.709-6 (2015), item 3.2, for the luminance.
    """
    if size is not None:
        size = checks.shape("image", "size", size)
        if len(size) > 2:
            checks.fail("image", "size", "be an int or (height, width)", size)
    gray = checks.boolean("image", "gray", gray)
    max_bytes = checks.count("image", "max_bytes", max_bytes, maximum=2**62)
    pixels = to_unit(_find(name_or_path, size is not None, max_bytes), str(name_or_path))
    if size is not None:
        target = _target(pixels.shape, size)
        needed = 2 * 4 * math.prod(target) * math.prod(pixels.shape[2:]) + pixels.nbytes
        files.within("image", "size", needed, max_bytes, f"{target}")
        pixels = _resize(pixels, target)
    if gray and pixels.ndim == 3:
        pixels = pixels @ np.asarray(_LUMA, np.float32)
    return np.clip(pixels, 0, 1, out=pixels)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the 1797 handwritten digits of 8 x 8 pixels that come with scikit-learn.

    Returns:
        ``(images, labels)``: float32 in [0, 1], shape (1797, 8, 8), and int32, shape (1797,).

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> images, labels = digits()
        >>> images.shape, int(labels[0])
        ((1797, 8, 8), 0)

    Source: Alpaydin, Kaynak (1998), "Optical recognition of handwritten digits", UCI.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        _catalog.missing("scikit-learn")
    found: Any = load_digits()
    return (found.images / 16).astype(np.float32), found.target.astype(np.int32)


def to_unit(values: Any, name: str) -> np.ndarray:
    """Return pixels of any type as float32 in [0, 1], shape (h, w) or (h, w, 3).

    Args:
        values: (h, w), (h, w, 1), (h, w, 2) with transparency, (h, w, 3) or (h, w, 4) with it.
        name: what the error message calls the image.
    """
    values = np.asarray(outside.entries("image", name, values))
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 2, 3, 4)):
        checks.fail("image", name, "have shape (h, w) or (h, w, 3)", values)
    if min(values.shape[:2]) < _SMALLEST_SIDE:
        checks.fail("image", name, f"have at least {_SMALLEST_SIDE} pixels a side", values)
    if values.dtype == bool:
        unit = values.astype(np.float32)
    elif np.issubdtype(values.dtype, np.unsignedinteger):
        unit = values.astype(np.float32)
        unit /= np.float32(np.iinfo(values.dtype).max)
    elif jnp.issubdtype(values.dtype, jnp.floating):
        unit = _checked_floats(values, name)
    else:
        hint = "Convert it to uint8, uint16, or floats in [0, 1]."
        hint = "Pass its magnitude, np.abs(x)." if values.dtype.kind == "c" else hint
        checks.fail("image", name, "hold unsigned integers or floats", values, hint)
    return _opaque(unit)


def _checked_floats(values: np.ndarray, name: str) -> np.ndarray:
    checks.finite("image", name, values, "Replace them first.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        hint = "Rescale it: (x - x.min()) / (x.max() - x.min())."
        checks.fail("image", name, "have values in [0, 1]", f"[{low:g}, {high:g}]", hint)
    return values.astype(np.float32)


def _opaque(values: np.ndarray) -> np.ndarray:
    """Put transparent pixels on white, and drop a channel axis of length 1."""
    if values.ndim == 2:
        return values
    if values.shape[2] in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return values[..., 0] if values.shape[2] == 1 else values


def _find(name_or_path: Any, shrinks: bool, max_bytes: int) -> Any:
    if isinstance(name_or_path, os.PathLike):
        return _files.read(name_or_path, shrinks=shrinks, max_bytes=max_bytes)
    if not isinstance(name_or_path, str):
        checks.fail_type("image", "name_or_path", "be a name or a path", name_or_path)
    if name_or_path in _catalog.NAMES:
        return _catalog.load(name_or_path)
    path = files.as_path("image", "name_or_path", name_or_path)
    if os.path.exists(path) or path.suffix or len(path.parts) > 1:
        return _files.read(path, shrinks=shrinks, max_bytes=max_bytes)
    close = difflib.get_close_matches(name_or_path, _catalog.NAMES, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    names = ", ".join(_catalog.NAMES)
    expected = "be the path of an image or the name of a shipped one"
    checks.fail("image", "name_or_path", expected, repr(name_or_path), f"{hint}Names: {names}.")


def _target(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int]:
    if len(size) == 2:
        return size[0], size[1]
    scale = min(1.0, size[0] / max(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _resize(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Resize by triangle-weighted averages over the area that each new pixel covers."""
    if pixels.shape[:2] == target:
        return pixels
    try:
        from PIL import Image
    except ImportError:
        _catalog.missing("pillow")
    height, width = target
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    resized = [
        np.array(
            Image.fromarray(np.ascontiguousarray(channels[..., i])).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for i in range(channels.shape[2])
    ]
    return resized[0] if pixels.ndim == 2 else np.stack(resized, axis=-1)
