"""One NumPy array out of bytes of any origin: sizes are looked at before memory is taken."""

from __future__ import annotations

import math
import warnings
from typing import IO, Any

import numpy as np

_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(
    stream: IO[bytes], available: int, max_bytes: int, *, kinds: str = "biufc", copies: int = 0
) -> np.ndarray:
    """Return the array that a stream holds in the format of ``numpy.save``.

    Args:
        stream: at the first byte of the array.
        available: bytes from there to the end.
        max_bytes: most bytes that the array and its copies may have.
        kinds: kinds of types that are allowed; never objects.
        copies: bytes an entry that the caller will need besides.

    Raises:
        ValueError: anything else; the text says what, in a few words.
    """
    start = stream.tell()
    shape, in_columns, dtype = _header(stream)
    if dtype.kind not in kinds or dtype.hasobject:
        raise ValueError(f"it holds {dtype}, no numbers")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {shape}")
    size = math.prod(shape) * dtype.itemsize
    needed = size + math.prod(shape) * copies
    if needed > max_bytes:
        most = f"{max_bytes / 2**20:.0f} of max_bytes"
        raise ValueError(f"it would take {needed / 2**20:.0f} MiB of memory, over the {most}")
    content = stream.read(size) if size <= available - (stream.tell() - start) else b""
    if len(content) != size:
        raise ValueError("it is cut short")
    flat = np.frombuffer(content, dtype)
    array = flat.reshape(shape[::-1]).T if in_columns else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old headers, and of odd escapes in them
            return _HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # parsing text of any origin may end in anything
        raise ValueError(f"its header is broken ({type(error).__name__})") from None
