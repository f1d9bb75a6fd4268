"""Arrays and a JSON header in one file: an npz without compression, guarded by a checksum."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import ml_dtypes
import numpy as np

from jaxinv._core import checks, files, npy
from jaxinv._core.outside import fail

_HEADER = "header"
_LONGEST_HEADER = 2**22  # characters; parsed, they take up many times as much
_MOST_MEMBERS = 2**16
_END, _END64 = b"PK\x05\x06", b"PK\x06\x07"
_BFLOAT16 = "bfloat16"  # NumPy's format has no name for this type


def write(where: str, path: Path, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a header that JSON can hold, and arrays; completely or not at all."""
    halves = [name for name, value in arrays.items() if value.dtype == ml_dtypes.bfloat16]
    arrays = {
        name: value.view(np.uint16) if name in halves else value for name, value in arrays.items()
    }
    try:
        # as it will be read: JSON turns keys into texts and tuples into lists
        header = json.loads(json.dumps({**header, _BFLOAT16: halves}, allow_nan=False))
        text = json.dumps({**header, "checksum": _checksum(header, arrays)})
    except (TypeError, ValueError, RecursionError) as error:
        hint = f"JSON says: {' '.join(str(error).split())}."
        fail(where, "notes", "hold numbers, texts, lists and dicts only", "others", hint)
    if len(text) > _LONGEST_HEADER:
        expected = f"take at most {_LONGEST_HEADER} characters"
        fail(where, "notes", expected, f"{len(text)}", "Keep arrays elsewhere.")
    with files.writing(path) as stream:
        np.savez(stream, **{_HEADER: np.asarray(text)}, **arrays)  # pyright: ignore[reportArgumentType]


def named(where: str, path: Any) -> Path:
    """Return the path of a file, with the suffix ``.npz`` where it has none."""
    path = files.as_path(where, "path", path)
    return path if path.suffix or not path.name else path.with_suffix(".npz")


def load(
    path: Any, max_bytes: Any, damaged: Callable[[Path, str], NoReturn]
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Return path, header and arrays of a file; ``damaged(path, reason)`` says what is wrong."""
    max_bytes = checks.count("load", "max_bytes", max_bytes, maximum=2**62)
    path = files.as_path("load", "path", path)
    path = path if os.path.lexists(path) else named("load", path)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"load: path must be a file, got {path}, which does not exist.")
    with files.reading("load", "path", path) as stream:
        try:
            return path, *read(stream, os.fstat(stream.fileno()).st_size, max_bytes)
        except ValueError as error:
            damaged(path, str(error))


def read(stream: IO[bytes], size: int, max_bytes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and arrays of a file that ``write`` wrote.

    Args:
        stream: the file.
        size: its bytes.
        max_bytes: most bytes that all arrays together may have.

    Raises:
        ValueError: anything else; the text says what, in a few words.
    """
    _check_end(stream, size)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {info.filename: info for info in archive.infolist()}
            _check_members(members, len(archive.infolist()), max_bytes)
            arrays = {
                name.removesuffix(".npy"): _member(archive, info, name == f"{_HEADER}.npy")
                for name, info in members.items()
            }
    except ValueError:
        raise
    except Exception as error:  # a zip of any origin
        raise ValueError(_words(error)) from None
    try:
        header = json.loads(str(arrays.pop(_HEADER)))
        fits = header.pop("checksum") == _checksum(header, arrays)
        for name in header.pop(_BFLOAT16) if fits else ():
            arrays[name] = arrays[name].view(ml_dtypes.bfloat16)
    except Exception as error:  # JSON of any origin: deep, not a dict, without a checksum
        raise ValueError(f"its header is broken ({type(error).__name__})") from None
    if not fits:
        raise ValueError("its checksum does not fit")
    return header, arrays


def _check_end(stream: IO[bytes], size: int) -> None:
    """Refuse what is no npz, and a table of contents too long to be held."""
    stream.seek(max(0, size - 42))
    tail = stream.read(42)
    if tail[-22:-18] != _END or len(tail) < 22:
        raise ValueError("it is no npz archive")
    length, offset = struct.unpack("<II", tail[-10:-2])
    if tail[-42:-38] == _END64 or length > 128 * _MOST_MEMBERS or length + offset > size:
        raise ValueError("it is an archive with a broken table of contents")


def _check_members(members: dict[str, zipfile.ZipInfo], count: int, max_bytes: int) -> None:
    if f"{_HEADER}.npy" not in members:
        raise ValueError("it is an npz file, but not of a network")
    if len(members) != count:
        raise ValueError("it holds two arrays of one name")
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise ValueError("it is compressed, which this library never does")
    total = sum(info.file_size for info in members.values())
    if total > max_bytes:
        raise ValueError(
            f"it declares {total / 2**20:.0f} MiB, over the {max_bytes / 2**20:.0f} of max_bytes"
        )
    if members[f"{_HEADER}.npy"].file_size > 4 * _LONGEST_HEADER + 2**12:
        raise ValueError("its header is too long")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, is_header: bool) -> np.ndarray:
    if not info.filename.endswith(".npy"):
        raise ValueError("it holds something else than arrays")
    with archive.open(info) as stream:
        found = npy.read(
            stream, info.file_size, info.file_size, kinds="U" if is_header else "biufc"
        )
        if stream.read(1):  # reading to the end also compares the checksum of the zip
            raise ValueError("it holds something else than arrays")
        return found


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())[:160]
    return text or type(error).__name__


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return SHA-256 over the header and all arrays with their names, types and shapes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
