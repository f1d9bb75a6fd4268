"""Files in the idx format of MNIST: sizes are looked at before memory is taken."""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from jaxinv._core import checks, files

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_GZIP = b"\x1f\x8b"
_MOST_AXES = 8


def idx(path: Any, *, max_bytes: int = files.BUDGET) -> np.ndarray:
    """Read a file in the idx format, such as MNIST's own, as it is or packed by gzip.

    Args:
        path: such as "train-images-idx3-ubyte" or "t10k-labels-idx1-ubyte.gz".
        max_bytes: most memory that the array may take up, by the sizes that the file declares;
            looked at first.

    Returns:
        The numbers as they are stored: uint8, shape (N, 28, 28) for the images of MNIST.

    Raises:
        ValueError: no file, another format, one that is cut short, longer than it says or over
            ``max_bytes``.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> idx(path).tolist()
        [7, 2, 1]

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", file formats.
    """
    max_bytes = checks.count("idx", "max_bytes", max_bytes, maximum=2**62)
    path = files.as_path("idx", "path", path)
    with files.reading("idx", "path", path) as stream:
        packed = stream.read(2) == _GZIP
        stream.seek(0)
        if not packed:
            return _read(stream, path, max_bytes, os.fstat(stream.fileno()).st_size)
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return _read(unpacked, path, max_bytes, None)  # pyright: ignore[reportArgumentType]
        except (OSError, EOFError, gzip.zlib.error) as error:  # pyright: ignore[reportAttributeAccessIssue]
            _damaged(path, f"gzip says {' '.join(str(error).split())[:100]}")


def is_idx(path: Path) -> bool:
    """Whether a file's name is one of the idx format."""
    return "idx" in path.name and path.name.removesuffix(".gz").endswith(("ubyte", ".idx"))


def _read(stream: IO[bytes], path: Path, max_bytes: int, size: int | None) -> np.ndarray:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        _damaged(path, "it does not begin as one")
    dtype, num_axes = np.dtype(_TYPES[start[2]]), start[3]
    if not 1 <= num_axes <= _MOST_AXES:
        _damaged(path, f"it has {num_axes} axes")
    sides = stream.read(4 * num_axes)
    if len(sides) < 4 * num_axes:
        _damaged(path, "it is cut short")
    shape = struct.unpack(f">{num_axes}I", sides)
    needed = math.prod(shape) * dtype.itemsize
    files.within("idx", "path", needed, max_bytes, f"{path}, of shape {shape}")
    if size is not None and size != 4 + 4 * num_axes + needed:
        _damaged(path, f"it has {size} bytes, and {4 + 4 * num_axes + needed} by its sizes")
    content = stream.read(needed + 1)  # a packed one does not say its size
    if len(content) != needed:
        longer = len(content) > needed
        _damaged(path, "it is longer than it says" if longer else "it is cut short")
    array = np.frombuffer(content, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _damaged(path: Path, reason: str) -> NoReturn:
    hint = "Fetch it again."
    checks.fail("idx", "path", "be an idx file in order", f"{path}: {reason}", hint)
