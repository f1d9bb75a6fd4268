"""Fields of an HDF5 file of any origin: nothing outside of it is opened, sizes come first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from jaxinv._core import checks, files

_FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # those of HDF5 and h5py: others are libraries to be loaded
_MOST_NAMES = 20
_LONGEST_ATTRIBUTE = 2**20


class Fields:
    """The data sets at the top of an open HDF5 file; each is checked before it is touched."""

    def __init__(self, where: str, file: Any, path: Path, max_bytes: int) -> None:
        self.where, self.file, self.path, self.max_bytes = where, file, path, max_bytes

    def __contains__(self, name: str) -> bool:
        with self._one_line():
            return self.file.get(name, getlink=True) is not None

    def __getitem__(self, name: str) -> Any:
        """Return a data set that lies in this file itself, read by nothing but HDF5."""
        import h5py

        with self._one_line():
            link = self.file.get(name, getlink=True)
            field = self.file[name] if isinstance(link, h5py.HardLink) else None
        if field is None:
            self._refuse(name, "a link", "Copy the data into one file.")
        if not isinstance(field, h5py.Dataset):
            self._refuse(name, "a group", "It must be an array.")
        with self._one_line():
            created = field.id.get_create_plist()
            outside = field.is_virtual or created.get_external_count() > 0
            filters = {created.get_filter(i)[0] for i in range(created.get_nfilters())}
            chunk = math.prod(field.chunks or ()) * field.dtype.itemsize
            empty = field.shape is None
        if outside:
            self._refuse(name, "data in other files", "Copy the data into one file.")
        if empty:
            self._refuse(name, "nothing", "It must be an array.")
        if filters - _FILTERS:
            hint = "Write it with gzip, or without compression."
            self._refuse(name, f"data behind filter {min(filters - _FILTERS)}", hint)
        files.within(self.where, name, chunk, self.max_bytes, f"a piece of {self.path}")
        return field

    def values(self, name: str, index: int | None = None) -> np.ndarray:
        """Return a field, or a part of it along its first axis, as an array."""
        field = self[name]
        shape = field.shape if index is None else field.shape[1:]
        size = math.prod(shape) * field.dtype.itemsize
        files.within(self.where, name, 3 * size, self.max_bytes, f"{shape} of {self.path}")
        with self._one_line():
            return np.asarray(field[()] if index is None else field[index])

    def names(self) -> list[str]:
        """Return the names of the first fields."""
        with self._one_line():
            return [name for name, _ in zip(self.file, range(_MOST_NAMES), strict=False)]

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that are numbers and texts of moderate length."""
        found = {}
        with self._one_line():
            for name in self.file.attrs:
                attribute = self.file.attrs.get_id(name)
                if attribute.get_storage_size() <= _LONGEST_ATTRIBUTE:
                    value = self.file.attrs[name]
                    if isinstance(value, str | bytes | np.generic | np.ndarray):
                        found[name] = value
        return found

    def _refuse(self, name: str, got: str, hint: str) -> NoReturn:
        checks.fail(
            self.where, name, "be an array in the file itself", f"{got} in {self.path}", hint
        )

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Turn whatever HDF5 raises on bytes of any origin into one line."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            got = f"{self.path} ({reason})"
            checks.fail(self.where, "the file", "be a complete HDF5 file", got)
