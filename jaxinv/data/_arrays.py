"""Numbers from files of any origin: pictures, .npy, .npz, and the k-space of fastMRI files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np

from jaxinv._core import checks, files, npy
from jaxinv.data import _pillow
from jaxinv.data._fastmri import FastMRI, fastmri
from jaxinv.data._images import to_unit

HDF5 = (".h5", ".hdf5")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", "")
_ACCEPTED = "a picture (.png, .jpg, .tif, ...), .npy, .npz, or a fastMRI .h5"
_SAVE = "Save the array with numpy.save, and pass the .npy."
_COPIES = 8  # bytes an entry that becomes float32 or complex64


class Loaded(NamedTuple):
    """What a file holds.

    Attributes:
        values: Booleans, integers, floats or complex numbers; float32 in [0, 1] of pictures.
        path: of the file.
        is_picture: whether the pixels of a picture were divided by their largest value.
        scan: all that a fastMRI file tells, or None.
    """

    values: np.ndarray
    path: Path
    is_picture: bool = False
    scan: FastMRI | None = None


def read_array(
    where: str,
    argument: str,
    path: Any,
    *,
    names: Sequence[str] = (),
    index: int | None = None,
    max_bytes: int = files.BUDGET,
) -> Loaded:
    """Return the array in a file; no pickle, sizes first, one line for any bytes.

    Args:
        where: the function that asks, for the text of an error.
        argument: what it calls the file.
        path: of the file; its suffix says what it is.
        names: which array of an .npz is meant, where it holds several.
        index: slice of a fastMRI file; default the middle one.
        max_bytes: most memory that reading may take up.

    Raises:
        ValueError: no such file, one of another kind, damaged, or over ``max_bytes``.
    """
    path = files.as_path(where, argument, path)
    max_bytes = checks.count(where, "max_bytes", max_bytes, maximum=2**62)
    suffix = path.suffix.lower()
    with files.reading(where, argument, path) as stream:
        if index is not None and suffix not in HDF5:
            checks.fail(where, "--slice", "be left out", f"it for {path.name}", "It is for .h5.")
        if suffix in (".npy", ".npz"):
            size = os.fstat(stream.fileno()).st_size
            try:
                if suffix == ".npy":
                    return Loaded(npy.read(stream, size, max_bytes, copies=_COPIES), path)
                return Loaded(_from_npz(stream, size, max_bytes, names), path)
            except ValueError as error:
                _refuse(where, argument, path, error)
        if suffix in _PICTURES:
            pixels = _pillow.read(stream, str(path), shrinks=False, max_bytes=max_bytes)
            return Loaded(to_unit(pixels, str(path)), path, is_picture=True)
    if suffix not in HDF5:
        checks.fail(where, argument, f"be {_ACCEPTED}", str(path), _SAVE)
    scan = fastmri(path, index, max_bytes=max_bytes)
    return Loaded(scan.kspace, path, scan=scan)


def _refuse(where: str, argument: str, path: Path, error: Exception) -> NoReturn:
    hint = _SAVE if "no numbers" in str(error) else "Check the file, or save it again."
    checks.fail(where, argument, "hold an array of numbers", f"{path} ({error})", hint)


def _from_npz(stream: IO[bytes], size: int, max_bytes: int, names: Sequence[str]) -> np.ndarray:
    """Return the only array of an archive, or the one that goes by one of some names."""
    files.check_end(stream, size)
    try:
        with zipfile.ZipFile(stream) as archive:
            held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = next((name for name in names if name in held), None)
            if chosen is None and len(held) != 1:
                listed = ", ".join(sorted(held)[:8]) or "nothing"
                meant = f" or one named {', '.join(names)}" if names else ""
                raise ValueError(f"it holds {listed}, and must hold one array{meant}")
            info = held[next(iter(held)) if chosen is None else chosen]
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("it is compressed in another way than NumPy does")
            with archive.open(info) as member:  # gives no more bytes than it declares
                return npy.read(member, info.file_size, max_bytes, copies=_COPIES)
    except ValueError:
        raise
    except Exception as error:  # a zip of any origin
        text = " ".join(str(error).split())[:160] or type(error).__name__
        raise ValueError(f"it is a broken archive: {text}") from None
