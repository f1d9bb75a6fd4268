"""Files in and out: only regular ones are read, within a budget; written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import ml_dtypes
import numpy as np

from jaxinv._core import checks, files, npy
from jaxinv._core.outside import fail, fail_type

BUDGET = 2**30  # bytes that reading one file may take up, unless the caller allows more

_KINDS = {
    stat.S_IFDIR: "the folder",
    stat.S_IFIFO: "the named pipe",
    stat.S_IFCHR: "the device",
    stat.S_IFBLK: "the device",
    stat.S_IFSOCK: "the socket",
}


def as_path(where: str, argument: str, value: Any) -> Path:
    """Return a path with ``~`` replaced by the home folder."""
    if not isinstance(value, str | os.PathLike) or not (text := os.fspath(value)):
        fail_type(where, argument, "be a path", value)
    if not isinstance(text, str) or "\0" in text:
        fail(where, argument, "be a path", repr(text))
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def reading(where: str, argument: str, path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; folders, pipes and devices are refused, without waiting for them."""
    try:
        # a pipe without a writer blocks else; a regular file does not mind
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        fail(where, argument, "exist", f"{path}", "Check the path.")
    except OSError as error:
        fail(where, argument, "be a file that can be read", f"{path} ({error.strerror})")
    kind = stat.S_IFMT(os.fstat(number).st_mode)
    if kind != stat.S_IFREG:
        os.close(number)
        fail(where, argument, "be a file", f"{_KINDS.get(kind, 'the special file')} {path}")
    with os.fdopen(number, "rb") as stream:
        yield stream


def require_regular(where: str, argument: str, path: Path) -> None:
    """Require a regular file, for libraries that open it themselves."""
    with reading(where, argument, path):
        pass


def within(where: str, argument: str, size: int, max_bytes: int, name: str) -> None:
    """Refuse what would take more memory than the caller allows; looked at before reading."""
    if size > max_bytes:
        expected = f"take at most {max_bytes / 2**20:.0f} MiB of memory"
        hint = f"Pass max_bytes={size} if that is meant."
        fail(where, argument, expected, f"{size / 2**20:.0f} MiB for {name}", hint)


def writable(where: str, argument: str, path: Path, *, folder_is_made: bool = False) -> None:
    """Require a place where a file can be written, in a folder that exists; makes nothing.

    With ``folder_is_made`` the caller will make the last folder, and no others.
    """
    folder = path.parent
    if not folder.is_dir():
        hint = f"Make {folder} first."
        folder = folder.parent
        if not folder_is_made or path.parent.exists() or not folder.is_dir():
            fail(where, argument, "lie in a folder that exists", f"{path}", hint)
    try:
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell
            pass
    except OSError as error:
        got = f"{path} ({error.strerror})"
        fail(where, argument, "lie in a folder that can be written to", got)
    if os.path.lexists(path) and not path.is_file():
        fail(where, argument, "be a file", f"{path}")
    if path.exists() and not os.access(path, os.W_OK):
        fail(where, argument, "be a file that can be written to", f"{path}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Write beside a file and then rename, so that it is whole under its name or as it was."""
    handle, temporary = tempfile.mkstemp(
        suffix=path.suffix, prefix=f".{path.stem[:100]}-", dir=path.parent
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the process's file mask, which temporary files do not follow."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def place(where: str, path: Any, argument: str, tree: Any, notes: Any = None) -> Path:
    """Return where a tree of numbers is to be written, with the suffix; refuse what cannot be."""
    if not checks.is_concrete(tree):
        checks.fail(where, argument, "hold numbers", "traced values", "Save outside jit and vmap.")
    if notes is not None and not isinstance(notes, Mapping):
        checks.fail_type(where, "notes", "be a dict", notes)
    path = named(where, path)
    writable(where, "path", path)
    return path


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
    check_end(stream, size)
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


def check_end(stream: IO[bytes], size: int) -> None:
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
