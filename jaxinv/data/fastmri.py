"""One slice of a fastMRI file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv._core import checks
from jaxinv.data._catalog import missing

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


def fastmri(path: Any, index: int | None = None) -> FastMRI:
    """Read one slice of an HDF5 file of the fastMRI data set.

    Only that slice is read from the disk. The data set itself is not shipped: its owners give
    it for research on request.

    Args:
        path: an HDF5 file with the field ``kspace``, of shape (slices, coils, h, w) or
            (slices, h, w); ``mask`` and ``reconstruction_rss`` or ``reconstruction_esc`` are
            read where the file has them.
        index: the slice, from 0, or from −1 backwards; None: the middle one.

    Returns:
        A ``FastMRI``. ``operators.mri`` and ``multicoil_mri`` have the same convention:
        ``kspace`` is what they return for a full mask.

    Raises:
        ValueError: no such file, not an HDF5 file, a truncated one, no field ``kspace`` (the
            message lists the fields there are), k-space that is not complex or has another
            number of axes, NaN, no such slice.
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
    if not isinstance(path, str | Path):
        checks.fail_type(_WHERE, "path", "be a path", path)
    path = Path(path).expanduser()
    if not path.exists():
        checks.fail(_WHERE, "path", "exist", f"{path}", "Check the path.")
    if path.is_dir():
        checks.fail(_WHERE, "the file", "be an HDF5 file", f"the folder {path}")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, index, path)
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        checks.fail(_WHERE, "the file", "be a complete HDF5 file", f"{path} ({reason})")


def _read(file: Any, index: Any, path: Path) -> FastMRI:
    kspace = _kspace(file, path)
    index = _slice(index, kspace.shape[0])
    values = np.asarray(kspace[index]).astype(np.complex64)
    checks.finite(_WHERE, "kspace", values, f"Slice {index} of {path} is damaged.")
    targets = [name for name in _TARGETS if name in file]
    target = _target(file[targets[0]], kspace.shape[0], index) if targets else None
    mask = _mask(file["mask"], values.shape[-1]) if "mask" in file else None
    return FastMRI(values, mask, target, index, kspace.shape[0], dict(file.attrs))


def _kspace(file: Any, path: Path) -> Any:
    if "kspace" not in file:
        fields = ", ".join(file) or "nothing"
        checks.fail(_WHERE, "the file", "have the field kspace", f"{path} with {fields}")
    kspace = file["kspace"]
    shape = getattr(kspace, "shape", None)
    if shape is None or len(shape) not in (3, 4) or 0 in shape:
        expected = "have shape (slices, coils, h, w) or (slices, h, w)"
        checks.fail(_WHERE, "kspace", expected, "a group" if shape is None else f"{shape}")
    if not np.issubdtype(kspace.dtype, np.complexfloating):
        hint = "Store real and imaginary parts as one complex array."
        checks.fail(_WHERE, "kspace", "be complex", f"{kspace.dtype}", hint)
    return kspace


def _slice(index: Any, num_slices: int) -> int:
    if index is None:
        return num_slices // 2
    index = checks.count(_WHERE, "index", index, minimum=-num_slices)
    if index >= num_slices:
        checks.fail(_WHERE, "index", f"be below the number of slices {num_slices}", index)
    return index % num_slices


def _target(field: Any, num_slices: int, index: int) -> np.ndarray:
    name, shape = field.name.lstrip("/"), getattr(field, "shape", None)
    if shape is None or len(shape) != 3 or shape[0] != num_slices:
        expected = f"have shape ({num_slices}, height, width)"
        checks.fail(_WHERE, name, expected, "a group" if shape is None else f"{shape}")
    target = np.asarray(field[index]).astype(np.float32)
    checks.finite(_WHERE, name, target, "The reference image is damaged.")
    return target


def _mask(field: Any, width: int) -> np.ndarray:
    shape = getattr(field, "shape", None)
    mask = np.zeros(0) if shape is None else np.asarray(field).reshape(-1)
    if mask.size != width:
        expected = f"have one entry per column, {width}"
        checks.fail(_WHERE, "mask", expected, "a group" if shape is None else f"{tuple(shape)}")
    if not np.isin(mask, (0, 1)).all() or not mask.any():
        expected = "hold 0 and 1, and 1 somewhere"
        checks.fail(_WHERE, "mask", expected, f"{np.unique(mask)[:5]}")
    return mask.astype(bool)
