"""The lock of a store's writer, and the note of what it has put on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from jaxinv.experiments._rows import StoreError, digest

_NOTE_AT = 64


def _path(store: Path) -> Path:
    store = Path(os.path.realpath(store))  # SQLite follows links too: one file has one lock
    return store.with_name(store.name + ".lock")


def noted(store: Path) -> int:
    """Return the last transaction that a writer of the store, alive or killed, has noted; or 0.

    It was noted after it was on the disk: a store that knows only earlier ones has lost some.
    SQLite itself does not tell, it takes a write-ahead log that was cut for a shorter one.
    """
    try:
        number, _, check = _path(store).read_bytes()[_NOTE_AT:].decode("ascii").partition(" ")
    except (OSError, UnicodeDecodeError):
        return 0
    return int(number) if number.isdigit() and check == _check(number) else 0


def _check(number: str) -> str:
    return digest("note", number).hex()


class WriterLock:
    """The right to write a store, held until ``release`` or the end of the process."""

    def __init__(self, store: Path) -> None:
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"sweep: the folder of store {store} cannot be made ({error.strerror})."
            ) from None
        self._path = _path(store)
        self._file = -1
        while self._file < 0:
            self._file = self._open(store)
        self.noted = noted(store)
        owner = f"process {os.getpid()}".ljust(_NOTE_AT - 1) + "\n"
        try:
            os.pwrite(self._file, owner.encode(), 0)
        except OSError as error:
            self.release()
            reason = error.strerror
            raise StoreError(f"sweep: store {store} is not writable ({reason}).") from None

    def _open(self, store: Path) -> int:
        """Return the locked file, or -1 when its last owner has just removed it."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = error.strerror
            raise StoreError(f"sweep: store {store} is not writable ({reason}).") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(file, _NOTE_AT, 0).decode(errors="replace").strip()
            os.close(file)
            raise StoreError(
                f"sweep: store {store} is being written by {owner or 'another process'}; a store "
                "has one writer. Wait for it, or give another path."
            ) from None
        if os.fstat(file).st_nlink:
            return file
        os.close(file)
        return -1

    def note(self, generation: int) -> None:
        """Note a transaction that is on the disk."""
        number = f"{generation:020d}"
        with contextlib.suppress(OSError):  # a full disk: the older note stays true
            os.pwrite(self._file, f"{number} {_check(number)}".encode(), _NOTE_AT)

    def release(self) -> None:
        """Let the next writer in."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._file)
            self._file = -1
