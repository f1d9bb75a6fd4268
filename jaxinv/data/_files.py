"""Read image files: pictures by Pillow, arrays of NumPy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxinv._core import checks, files, npy
from jaxinv.data import _pillow


def read(path: Any, *, shrinks: bool, max_bytes: int) -> np.ndarray:
    """Return the pixels of a file: any integer or floating type, gray or in color."""
    path = files.as_path("image", "name_or_path", path)
    with files.reading("image", "the file", path) as stream:
        if path.suffix.lower() == ".npy":
            return _read_npy(stream, path, max_bytes, 4 + 8 * shrinks)  # as floats, and resized
        return _pillow.read(stream, str(path), shrinks=shrinks, max_bytes=max_bytes)


def _read_npy(stream: IO[bytes], path: Path, max_bytes: int, copies: int) -> np.ndarray:
    try:
        return npy.read(stream, os.fstat(stream.fileno()).st_size, max_bytes, copies=copies)
    except ValueError as error:
        checks.fail("image", "the file", "hold one NumPy array", f"{path} ({error})")
