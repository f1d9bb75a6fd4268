"""Files in and out: only regular ones are read, within a budget; written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

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
