"""Pixels of image files: a fixed list of formats, all their bits, sizes looked at first."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from jaxinv._core import checks, files
from jaxinv.data._catalog import missing

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")  # Pillow's others start programs, too
_ACCEPTED = "PNG, JPEG, TIFF, BMP, GIF, WebP, or a NumPy .npy array"
_NATIVE = "B" if sys.byteorder == "little" else "L"
_LOW_BYTES = {"B": "L", "L": "B", "N": _NATIVE}
_GRAY_STEPS = {"L;2": 85, "L;4": 17}  # what Pillow multiplies few bits by
_INVERTED, _BITS = 262, 258  # tags of TIFF
RESIZING = 8  # bytes a pixel that resizing takes: one channel, twice


def read(stream: IO[bytes], name: str, *, shrinks: bool, max_bytes: int) -> np.ndarray:
    """Return (h, w) or (h, w, channels), unsigned integers, Booleans or floats; alpha is last."""
    with _open(stream, name) as opened:
        _check_size(opened, name, shrinks, max_bytes)
        with _one_line(name):
            return _oriented(_transparent(_pixels(stream, opened), opened), opened)


def _check_size(opened: Any, name: str, shrinks: bool, max_bytes: int) -> None:
    gray = opened.mode in ("1", "L", "F") or opened.mode.startswith("I")
    clear = opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info
    channels = (1 if gray else 3) + clear
    each = 4 + (6 if ";16" in _rawmode(opened) else 1)  # as a float, and as what Pillow decodes
    pixel = 4 + 4 * (opened.mode == "P") + channels * each + 24 * clear + RESIZING * shrinks
    size = opened.width * opened.height * pixel
    files.within("image", "the file", size, max_bytes, f"{opened.height} x {opened.width} {name}")


@contextlib.contextmanager
def _open(stream: IO[bytes], name: str) -> Iterator[Any]:
    try:
        from PIL import Image
    except ImportError:
        missing("pillow")
    stream.seek(0)
    with _one_line(name):
        opened = Image.open(stream, formats=_FORMATS)
    with opened:
        yield opened


@contextlib.contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises on bytes of any origin into one line."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at here, and of metadata
            yield
    except Image.DecompressionBombError:
        hint = "Shrink the file first."
        checks.fail("image", "the file", "have fewer pixels", f"{name} of over 178 million", hint)
    except UnidentifiedImageError:
        checks.fail("image", "the file", "be an image", name, f"Accepted: {_ACCEPTED}.")
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        checks.fail("image", "the file", "be a complete image", f"{name} ({reason})")


def _rawmode(opened: Any) -> str:
    """Return how the file itself stores a pixel, which Pillow's mode does not tell."""
    if not opened.tile:
        return ""
    arguments = opened.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _pixels(stream: IO[bytes], opened: Any) -> np.ndarray:
    mode, rawmode = opened.mode, _rawmode(opened)
    if rawmode == "LA;16B":
        return _gray_and_alpha(stream)
    if mode in ("RGB", "RGBA") and ";16" in rawmode:
        return _sixteen_bits(stream, opened, rawmode)
    if mode not in ("F", "I") and ";16" not in rawmode and max(_bits(opened)) > 8:
        raise ValueError("color planes of over 8 bits: convert them to interleaved pixels")
    if mode.startswith("I;16") or (
        mode == "I" and rawmode.startswith("I;16") and "S" not in rawmode
    ):
        return _gray_of_sixteen(opened)
    if mode in ("1", "L", "F", "RGB", "RGBA", "LA"):
        return np.asarray(opened)
    if mode.startswith("I"):
        raise ValueError("integers of 32 bits or with a sign: convert them to 16 bits or floats")
    if ";16" in rawmode or mode in ("LAB", "HSV"):
        raise ValueError(f"pixels stored as {rawmode or mode}: convert them to RGB first")
    transparent = mode in ("PA", "La", "RGBa") or "transparency" in opened.info
    return np.asarray(opened.convert("RGBA" if transparent else "RGB"))


def _bits(opened: Any) -> tuple[int, ...]:
    """Return the bits of each channel in a TIFF; Pillow tells those of other formats."""
    return tuple(getattr(opened, "tag_v2", {}).get(_BITS, (8,)))


def _gray_of_sixteen(opened: Any) -> np.ndarray:
    values = np.asarray(opened).astype(np.uint16)
    if _bits(opened)[0] == 12:
        values = np.round(values * (65535 / 4095)).astype(np.uint16)
    return 65535 - values if getattr(opened, "tag_v2", {}).get(_INVERTED) == 0 else values


def _sixteen_bits(stream: IO[bytes], opened: Any, rawmode: str) -> np.ndarray:
    """Decode twice: Pillow keeps the byte of each number that it takes for the higher one."""
    head, _, order = rawmode.partition(";16")
    if head != opened.mode or order not in _LOW_BYTES:
        raise ValueError(f"pixels stored as {rawmode}: convert them to 8 bits first")
    high = np.asarray(opened)
    low = _with_rawmode(stream, f"{head};16{_LOW_BYTES[order]}")
    result = high.astype(np.uint16)
    result <<= 8
    result |= low
    return result


def _gray_and_alpha(stream: IO[bytes]) -> np.ndarray:
    """Decode a PNG of gray and alpha of 16 bits as one of four channels of 8 bits."""
    stream.seek(0)
    content = bytearray(stream.read())
    content[24:26] = 8, 6  # depth and type of color
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    with _open(io.BytesIO(content), "its bytes") as again:
        halves = np.asarray(again)
    return halves.view(">u2").astype(np.uint16)


def _with_rawmode(stream: IO[bytes], rawmode: str) -> np.ndarray:
    """Decode a file again, its pixels taken as stored in another way."""
    with _open(stream, "its low bytes") as again:
        again.tile = [
            tile._replace(
                args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode
            )
            for tile in again.tile
        ]
        return np.asarray(again)


def _transparent(pixels: np.ndarray, opened: Any) -> np.ndarray:
    """Add alpha where a file names one value as the transparent one, outside of palettes."""
    key = opened.info.get("transparency")
    if key is None or opened.mode not in ("1", "L", "RGB", "I;16"):
        return pixels
    step = _GRAY_STEPS.get(_rawmode(opened), 1)
    clear = pixels.astype(int) == np.asarray(key, int) * step
    opaque = ~(clear.all(axis=-1) if pixels.ndim == 3 else clear)
    top = True if pixels.dtype == bool else np.iinfo(pixels.dtype).max
    alpha = (opaque * top).astype(pixels.dtype)[..., None]
    return np.concatenate([pixels[..., None] if pixels.ndim == 2 else pixels, alpha], axis=-1)


def _oriented(pixels: np.ndarray, opened: Any) -> np.ndarray:
    """Turn and flip as the camera noted."""
    try:
        orientation = opened.getexif().get(0x0112, 1)
    except Exception:  # metadata of any origin; the pixels are whole without it
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
