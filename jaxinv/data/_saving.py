"""Write image files, whole or not at all."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, files, outside
from jaxinv.data._catalog import missing

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
_WRITTEN = (*_FORMATS, ".npy")
_ROUNDING = 0.5 / 255


def save_image(path: Any, array: Any) -> Path:
    """Write an image to a file, completely or not at all.

    The file appears under its name only when it is whole: it is written beside it first and
    then renamed. ``image`` reads the same values back, up to the bits of the file.

    Args:
        path: where to; the suffix chooses the format: .png, .jpg, .jpeg, .tif, .tiff or .npy
            (the numbers themselves).
        array: (h, w), (h, w, 1) or (h, w, 3), finite. Floats must lie in [0, 1] and are written
            with 8 bits a channel; what lies outside is clipped, with a warning. Unsigned
            integers keep their meaning, a share of the largest of their type: uint8 with
            8 bits, wider ones with 16 (8 in .jpg). Booleans are black and white. Of complex
            numbers the magnitude is written (in .npy, they themselves).

    Returns:
        The path.

    Raises:
        ValueError: another suffix, a folder that does not exist, another shape, NaN or infinity,
            signed integers, .tif in color from 16 bits.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> save_image(folder / "gray.png", np.full((4, 4), 0.5)).name
        'gray.png'
    """
    path = check_image_path("save_image", "path", path)
    values = np.asarray(outside.entries("save_image", "array", array))
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3)):
        hint = "Put transparent pixels on a background first." if values.shape[2:] == (4,) else ""
        checks.fail("save_image", "array", "have shape (h, w) or (h, w, 3)", values, hint)
    if 0 in values.shape:
        checks.fail("save_image", "array", "have at least one pixel", values)
    checks.finite("save_image", "array", values)
    suffix = path.suffix.lower()
    content = _npy(values) if suffix == ".npy" else _encoded(_quantized(values, suffix), suffix)
    with files.writing(path) as stream:
        stream.write(content)
    return path


def check_image_path(where: str, argument: str, path: Any) -> Path:
    """Return the path of an image to be written; refuse one that ``save_image`` would."""
    path = files.as_path(where, argument, path)
    if path.suffix.lower() not in _WRITTEN:
        expected = f"end in one of {', '.join(_WRITTEN)}"
        checks.fail(where, argument, expected, f"{path.name!r}")
    files.writable(where, argument, path)
    return path


def _npy(values: np.ndarray) -> bytes:
    if values.dtype.kind == "V":  # of JAX; NumPy's format has no name for it
        values = values.astype(np.float32)
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def _quantized(values: np.ndarray, suffix: str) -> np.ndarray:
    """Return pixels of 8 or 16 bits."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype == bool:
        return values * np.uint8(255)
    if values.dtype.kind == "i":
        hint = "Convert it to uint8, uint16, or floats in [0, 1]."
        checks.fail("save_image", "array", "hold unsigned integers or floats", values, hint)
    if values.dtype.kind == "u":
        if values.dtype == np.uint8 or (
            values.dtype == np.uint16 and suffix in (".png", ".tif", ".tiff")
        ):
            return values
        top = 255 if _FORMATS[suffix] == "JPEG" else 65535
        return _rounded(values / np.iinfo(values.dtype).max, top)
    if jnp.issubdtype(values.dtype, jnp.complexfloating):
        values = np.abs(values)
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        many = np.mean((values < 0) | (values > 1))
        text = (
            f"{many:.1%} of array lies outside [0, 1], in [{low:.4g}, {high:.4g}], and is clipped"
        )
        warnings.warn(f"save_image: {text}. Scale it first, or save .npy.", stacklevel=3)
    return _rounded(np.clip(values, 0, 1), 255)


def _rounded(values: np.ndarray, top: int) -> np.ndarray:
    return np.round(top * values).astype(np.uint8 if top == 255 else np.uint16)


def _encoded(pixels: np.ndarray, suffix: str) -> bytes:
    try:
        from PIL import Image
    except ImportError:
        missing("pillow")
    form = _FORMATS[suffix]
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        if form != "PNG":
            hint = "Write .png or .npy, or pass uint8."
            checks.fail("save_image", "array", f"have 8 bits for {suffix} in color", pixels, hint)
        return _deep_png(pixels)
    stream = io.BytesIO()
    options: dict[str, Any] = {"quality": 95} if form == "JPEG" else {}
    Image.fromarray(pixels).save(stream, format=form, **options)
    return stream.getvalue()


def _deep_png(pixels: np.ndarray) -> bytes:
    """Encode (h, w, 3) of 16 bits, which Pillow cannot write."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 6 * width), np.uint8)  # each after a 0: no filter
    rows[:, 1:] = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
