"""The lock of a store's writer, the note of what it has put on the disk, and the file's place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from pathlib import Path

from jaxinv.sweeps.store._rows import StoreError, digest

_NOTE_AT = 64
_LONGEST_NOTE = 256
_ON_LINUX = sys.platform.startswith("linux")
_held: set[tuple[int, int]] = set()  # the files that this process writes


def _path(store: Path) -> Path:
    store = Path(os.path.realpath(store))  # SQLite follows links too: one file has one note
    return store.with_name(store.name + ".lock")


def noted(store: Path) -> int:
    """Return the last transaction that a writer of the store, alive or killed, has noted; or 0.

    It was noted after it was on the disk: a store that knows only earlier ones has lost some.
    SQLite itself does not tell, it takes a write-ahead log that was cut for a shorter one.
    """
    try:
        with open(_path(store), "rb") as file:
            text = file.read(_LONGEST_NOTE)[_NOTE_AT:].decode("ascii")
    except (OSError, UnicodeDecodeError):
        return 0
    number, _, check = text.partition(" ")
    return int(number) if number.isdigit() and check == _check(number) else 0


def _check(number: str) -> str:
    return digest("note", number).hex()


def _place(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class WriterLock:
    """The right to write a store, held until ``release`` or the end of the process.

    The lock lies on the database itself, whatever its names are; the file beside it says who.
    On systems where such a lock would stop SQLite's own, the file beside it is locked instead.
    """

    def __init__(self, store: Path) -> None:
        self._store, self._path = store, _path(store)
        self._database = self._note = -1
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"sweep: the folder of store {store} cannot be made ({error.strerror})."
            ) from None
        self.is_new = _place(store) is None
        if not self.is_new and _place(store) in _held:
            raise self._busy()  # opening it, and closing again, would drop SQLite's own locks
        try:
            self._database = os.open(store, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._require_one_name()
            self._note = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._take()
            self.noted = 0 if self.is_new else noted(store)
            owner = f"process {os.getpid()}".ljust(_NOTE_AT - 1) + "\n"
            os.pwrite(self._note, owner.encode(), 0)
            if self.is_new:
                self.note(0)
        except OSError as error:
            self._close()
            reason = error.strerror
            raise StoreError(f"sweep: store {store} is not writable ({reason}).") from None
        except BaseException:
            self._close()
            raise
        self._id = os.fstat(self._database).st_dev, os.fstat(self._database).st_ino
        self._log: tuple[int, int] | None = None
        _held.add(self._id)

    def _require_one_name(self) -> None:
        found = os.fstat(self._database)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"store {self._store} is no plain file; give the path of one.")
        if found.st_nlink > 1:
            raise StoreError(
                f"store {self._store} has {found.st_nlink} names (hard links), and its log goes by "
                "the name: it would be damaged. Write to a copy, or remove the other names."
            )

    def _take(self) -> None:
        try:
            fcntl.flock(self._database if _ON_LINUX else self._note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise self._busy() from None
        found = os.fstat(self._database)
        if _place(self._store) != (found.st_dev, found.st_ino):  # its last owner has removed it
            raise self._busy()

    def _busy(self) -> StoreError:
        try:
            with open(self._path, "rb") as file:
                owner = file.read(_NOTE_AT).decode(errors="replace").strip()
        except OSError:
            owner = ""
        return StoreError(
            f"sweep: store {self._store} is being written by {owner or 'another process'}; a store "
            "has one writer. Wait for it, or give another path."
        )

    def note(self, generation: int) -> None:
        """Note a transaction that is on the disk."""
        number = f"{generation:020d}"
        with contextlib.suppress(OSError):  # a full disk: the older note stays true
            os.pwrite(self._note, f"{number} {_check(number)}".encode(), _NOTE_AT)

    def displaced(self) -> str:
        """Return what has become of the file since it was opened; nothing where it is in place."""
        found = _place(self._store)
        log = _place(self._store.with_name(self._store.name + "-wal"))
        self._log = self._log or log
        if found != self._id:
            return "was replaced" if found else "was renamed or deleted"
        if os.fstat(self._database).st_nlink > 1:
            return "was given another name (a hard link)"
        return "" if log == self._log else "lost its log (-wal)"

    def place(self) -> Path | None:
        """Return where the file is now, or None where it has no name or it cannot be told."""
        if _place(self._store) == self._id:
            return self._store
        with contextlib.suppress(OSError):
            path = Path(os.readlink(f"/proc/self/fd/{self._database}"))
            return path if _place(path) == self._id else None
        return None

    def release(self, *, remove: bool = False) -> None:
        """Let the next writer in; ``remove`` the store first, where it is still in place."""
        if remove and _place(self._store) == self._id:
            with contextlib.suppress(OSError):
                os.unlink(self._store)
        _held.discard(self._id)
        if _place(self._path) == (os.fstat(self._note).st_dev, os.fstat(self._note).st_ino):
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._close()

    def _close(self) -> None:
        for file in (self._note, self._database):
            if file >= 0:
                os.close(file)
        self._note = self._database = -1
