"""Read and write image files."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv._core import checks
from jaxinv.data._catalog import missing

LARGEST_MEGAPIXELS = 64
_WRITTEN = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy")
_ACCEPTED = "PNG, JPEG, TIFF, BMP, GIF, WebP and the other formats of Pillow, or a NumPy .npy array"


def read(path: Path, *, shrinks: bool) -> np.ndarray:
    """Return the pixels of a file: any integer or floating type, gray or in color."""
    if not path.exists():
        checks.fail("image", "the file", "exist", f"{path}", "Check the path.")
    if path.is_dir():
        checks.fail("image", "the file", "be an image", f"the folder {path}")
    return _read_npy(path) if path.suffix.lower() == ".npy" else _read_pillow(path, shrinks)


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        checks.fail("image", "the file", "hold one NumPy array", f"{path} ({error})")


def _read_pillow(path: Path, shrinks: bool) -> np.ndarray:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        missing("pillow")
    try:
        with warnings.catch_warnings():
            # our own limit comes before Pillow's warning; beyond twice that it raises
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if not shrinks:
                    check_size(opened.height, opened.width, str(path))
                return _pixels(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError:
        limit = f"have at most {LARGEST_MEGAPIXELS} megapixels"
        checks.fail("image", f"{path}", limit, "several times as many", "Shrink the file first.")
    except UnidentifiedImageError:
        checks.fail("image", "the file", "be an image", f"{path}", f"Accepted: {_ACCEPTED}.")
    except (OSError, SyntaxError) as error:
        checks.fail("image", "the file", "be a complete image", f"{path} ({error})")


def _pixels(opened: Any) -> np.ndarray:
    mode = opened.mode
    if mode == "1" or mode in ("L", "F", "RGB", "RGBA", "LA") or mode.startswith("I;16"):
        return np.asarray(opened)
    if mode == "I":  # 16-bit gray in a 32-bit container
        values = np.asarray(opened)
        fits = values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max
        return values.astype(np.uint16) if fits else values
    transparent = mode in ("PA", "La", "RGBa") or "transparency" in opened.info
    return np.asarray(opened.convert("RGBA" if transparent else "RGB"))


def check_size(height: int, width: int, name: str) -> None:
    """Refuse more pixels than a reconstruction holds in memory."""
    megapixels = height * width / 1e6
    if megapixels > LARGEST_MEGAPIXELS:
        expected = f"have at most {LARGEST_MEGAPIXELS} megapixels"
        got = f"{height} x {width} = {megapixels:.0f}"
        checks.fail("image", name, expected, got, "Pass size=1024 to shrink it while reading.")


def save_image(path: Any, array: Any) -> Path:
    """Write an image to a file, completely or not at all.

    The file appears under its name only when it is whole: it is written beside it first and
    then renamed.

    Args:
        path: where to; the suffix chooses the format: .png, .jpg, .jpeg, .tif, .tiff (8 bits a
            channel) or .npy (the numbers themselves).
        array: (h, w), (h, w, 1) or (h, w, 3), finite; values outside [0, 1] are clipped (not
            for .npy).

    Returns:
        The path.

    Raises:
        ValueError: another suffix, a folder that does not exist, another shape, NaN or infinity.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> save_image(folder / "gray.png", np.full((4, 4), 0.5)).name
        'gray.png'
    """
    path = check_image_path("save_image", "path", path)
    values = np.asarray(array)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3)):
        checks.fail("save_image", "array", "have shape (h, w) or (h, w, 3)", values)
    if not (values.dtype == bool or np.issubdtype(values.dtype, np.number)):
        checks.fail_type("save_image", "array", "be an array of numbers", array)
    checks.finite("save_image", "array", values)
    _write(path, path.suffix.lower(), values)
    return path


def check_image_path(where: str, argument: str, path: Any) -> Path:
    """Return the path of an image to be written; refuse one that ``save_image`` would."""
    path = Path(path)
    if path.suffix.lower() not in _WRITTEN:
        expected = f"end in one of {', '.join(_WRITTEN)}"
        checks.fail(where, argument, expected, f"{path.name!r}")
    if not path.parent.is_dir():
        expected = "lie in a folder that exists"
        checks.fail(where, argument, expected, f"{path}", f"Make {path.parent} first.")
    return path


def _write(path: Path, suffix: str, values: np.ndarray) -> None:
    handle, temporary = tempfile.mkstemp(suffix=suffix, prefix=f".{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            if suffix == ".npy":
                np.save(stream, values)
            else:
                _write_pillow(stream, suffix, values)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_pillow(stream: Any, suffix: str, values: np.ndarray) -> None:
    try:
        from PIL import Image
    except ImportError:
        missing("pillow")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    pixels = np.round(255 * np.clip(np.real(values), 0, 1)).astype(np.uint8)
    names = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
    options = {"quality": 95} if names[suffix] == "JPEG" else {}
    Image.fromarray(pixels).save(stream, format=names[suffix], **options)


def _umask() -> int:
    """Return the process's file mask, which temporary files do not follow."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
