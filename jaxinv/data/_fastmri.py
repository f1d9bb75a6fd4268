"""One slice of a fastMRI file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from jaxinv._core import checks, files
from jaxinv.data._catalog import missing
from jaxinv.data._hdf5 import Fields

_WHERE = "fastmri"
_TARGETS = ("reconstruction_rss", "reconstruction_esc")


class FastMRI(NamedTuple):
    """What ``fastmri`` returns.

    Attributes:
        kspace: complex64, (coils, h, w) of a multi-coil file, (h, w) of a single-coil one;
            frequency 0 in the middle, in the scanner's units (often around 1e-5).
        mask: boolean (w,), the measured columns of a test file; None where all were measured.
        target: the reference image of the slice, float32, usually cropped to 320 x 320; None in
            test files.
        slice_index: the slice.
        num_slices: slices in the file.
        attributes: the file's attributes, such as acquisition, max and norm.
    """

    kspace: np.ndarray
    mask: np.ndarray | None
    target: np.ndarray | None
    slice_index: int
    num_slices: int
    attributes: dict[str, Any]


def fastmri(path: Any, index: int | None = None, *, max_bytes: int = files.BUDGET) -> FastMRI:
    """Read one slice of an HDF5 file of the fastMRI data set.

    Only that slice is read from the disk. The data set itself is not shipped: its owners give
    it for research on request.

    Args:
        path: an HDF5 file with the field ``kspace``, of shape (slices, coils, h, w) or
            (slices, h, w); ``mask`` and ``reconstruction_rss`` or ``reconstruction_esc`` are
            read where the file has them.
        index: the slice, from 0, or from −1 backwards; None: the middle one.
        max_bytes: most memory that a field of the slice may take up, and a compressed piece of
            the file; known before they are read.

    Returns:
        A ``FastMRI``. ``operators.mri`` and ``multicoil_mri`` have the same convention:
        ``kspace`` is what they return for a full mask.

    Raises:
        ValueError: no such file, not an HDF5 file, a truncated one, no field ``kspace`` (the
            message lists the fields there are), k-space that is not complex or has another
            number of axes, NaN, no such slice; fields over ``max_bytes``, in other files (links,
            external storage, virtual data sets) or behind filters that are no part of HDF5.
        ImportError: h5py is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import h5py, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "knee.h5"
        >>> with h5py.File(path, "w") as file:
        ...     file["kspace"] = np.ones((3, 2, 8, 6), np.complex64)
        >>> found = fastmri(path)
        >>> found.kspace.shape, found.slice_index, found.num_slices
        ((2, 8, 6), 1, 3)

    Source: Zbontar et al. (2018), "fastMRI", section 4.
    """
    try:
        import h5py
    except ImportError:
        missing("h5py")
    max_bytes = checks.count(_WHERE, "max_bytes", max_bytes, maximum=2**62)
    path = files.as_path(_WHERE, "path", path)
    files.require_regular(_WHERE, "the file", path)
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # bytes of any origin
        _broken(path, error)
    with file:
        return _read(Fields(_WHERE, file, path, max_bytes), index)


def _broken(path: Path, error: Exception) -> NoReturn:
    reason = " ".join(str(error).split())[:160]
    checks.fail(_WHERE, "the file", "be a complete HDF5 file", f"{path} ({reason})")


def _read(fields: Fields, index: Any) -> FastMRI:
    kspace = _kspace(fields)
    index = _slice(index, kspace.shape[0])
    values = fields.values("kspace", index).astype(np.complex64)
    checks.finite(_WHERE, "kspace", values, f"Slice {index} of {fields.path} is damaged.")
    targets = [name for name in _TARGETS if name in fields]
    target = _target(fields, targets[0], kspace.shape[0], index) if targets else None
    mask = _mask(fields, values.shape[-1]) if "mask" in fields else None
    return FastMRI(values, mask, target, index, kspace.shape[0], fields.attributes())


def _kspace(fields: Fields) -> Any:
    if "kspace" not in fields:
        names = ", ".join(fields.names()) or "nothing"
        checks.fail(_WHERE, "the file", "have the field kspace", f"{fields.path} with {names}")
    kspace = fields["kspace"]
    if len(kspace.shape) not in (3, 4) or 0 in kspace.shape:
        expected = "have shape (slices, coils, h, w) or (slices, h, w)"
        checks.fail(_WHERE, "kspace", expected, f"{kspace.shape}")
    if not np.issubdtype(kspace.dtype, np.complexfloating):
        hint = "Store real and imaginary parts as one complex array."
        checks.fail(_WHERE, "kspace", "be complex", f"{kspace.dtype}", hint)
    return kspace


def _slice(index: Any, num_slices: int) -> int:
    if index is None:
        return num_slices // 2
    index = checks.count(_WHERE, "index", index, minimum=-num_slices)
    if index >= num_slices:
        hint = "Slices are counted from 0; on the command line by --slice."
        checks.fail(_WHERE, "index", f"be below the number of slices {num_slices}", index, hint)
    return index % num_slices


def _target(fields: Fields, name: str, num_slices: int, index: int) -> np.ndarray:
    field = fields[name]
    if len(field.shape) != 3 or field.shape[0] != num_slices:
        checks.fail(_WHERE, name, f"have shape ({num_slices}, height, width)", f"{field.shape}")
    if field.dtype.kind not in "fiu":
        checks.fail(_WHERE, name, "hold real numbers", f"{field.dtype}")
    target = fields.values(name, index).astype(np.float32)
    checks.finite(_WHERE, name, target, "The reference image is damaged.")
    return target


def _mask(fields: Fields, width: int) -> np.ndarray:
    field = fields["mask"]
    if math.prod(field.shape) != width or field.dtype.kind not in "biuf":
        expected = f"have one entry per column, {width}"
        checks.fail(_WHERE, "mask", expected, f"{field.shape} {field.dtype}")
    mask = fields.values("mask").reshape(-1)
    if not np.isin(mask, (0, 1)).all() or not mask.any():
        checks.fail(_WHERE, "mask", "hold 0 and 1, and 1 somewhere", f"{np.unique(mask)[:5]}")
    return mask.astype(bool)
