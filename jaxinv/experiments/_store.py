"""The store of a sweep: one SQLite file, one row a block, one writer."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_FORMAT = "jaxinv sweep 1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS programs (cell TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (cell TEXT PRIMARY KEY, num_trials INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
  cell TEXT NOT NULL, block INTEGER NOT NULL, payload BLOB NOT NULL, checksum BLOB NOT NULL,
  PRIMARY KEY (cell, block));
"""

Results = dict[str, np.ndarray]


class StoreError(ValueError):
    """A store that cannot be used: foreign, damaged, or being written by another process."""


class Store:
    """An open store. Writers hold a lock for as long as they live; readers need none."""

    def __init__(self, path: str | os.PathLike[str], *, write: bool) -> None:
        self.path = Path(path)
        self._lock: Any = None
        if self.path.is_dir():
            raise StoreError(f"store {self.path} is a folder; give the path of a file.")
        if not write and not self.path.is_file():
            raise StoreError(f"open: store {self.path} does not exist.")
        if write:
            self._acquire()
        try:
            self._connect(write)
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreError(
                f"store {self.path} cannot be read as a sweep ({error}). Give another path, or "
                "remove the file to start again."
            ) from None
        except BaseException:
            self.close()
            raise

    def _acquire(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror
            raise StoreError(f"sweep: the folder of store {self.path}: {reason}.") from None
        lock_path = self.path.with_name(self.path.name + ".lock")
        while self._lock is None:
            try:
                lock = open(lock_path, "a+")  # noqa: SIM115 - held until close
            except OSError as error:
                reason = error.strerror
                raise StoreError(f"sweep: store {self.path} is not writable ({reason}).") from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                owner = lock.read().strip() or "another process"
                lock.close()
                raise StoreError(
                    f"sweep: store {self.path} is being written by {owner}; a store has one "
                    "writer. Wait for it, or give another path."
                ) from None
            if os.fstat(lock.fileno()).st_nlink:
                self._lock = lock
            else:  # the last writer removed the file between our open and our lock
                lock.close()
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def _connect(self, write: bool) -> None:
        mode = "rwc" if write else "ro"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        if write:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._db.execute(
                "INSERT OR IGNORE INTO manifest VALUES ('format', ?)", (json.dumps(_FORMAT),)
            )
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE name = 'manifest'")
        if tables.fetchone() is None or self.manifest().get("format") != _FORMAT:
            raise StoreError(f"store {self.path} is a database, but not one of a sweep.")

    def close(self) -> None:
        """Close the file and let the next writer in."""
        with contextlib.suppress(AttributeError):
            self._db.close()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock.name)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise StoreError(
                f"store {self.path} failed ({error}). If the disk is full, make room: what was "
                "finished is safe. If the file is damaged, restore a copy, or remove it."
            ) from None

    def manifest(self) -> dict[str, Any]:
        """Return what the store says of itself."""
        rows = self._db.execute("SELECT name, value FROM manifest")
        return {name: json.loads(value) for name, value in rows}

    def claim(self, manifest: Mapping[str, Any]) -> None:
        """Write the identity into a new store; refuse an old one that has another."""
        found = self.manifest()
        wrong = [
            f"{name} is {found[name]!r} in the store and {value!r} now"
            for name, value in manifest.items()
            if name in found and found[name] != value
        ]
        if wrong:
            raise StoreError(
                f"sweep: store {self.path} holds another configuration: {'; '.join(wrong)}. "
                "Give another path, or the old configuration."
            )
        rows = [(name, json.dumps(value)) for name, value in manifest.items()]
        self._db.executemany("INSERT OR IGNORE INTO manifest VALUES (?, ?)", rows)

    def remember(self, name: str, value: Any) -> None:
        """Write something that later sweeps need not agree with; the first one's value stays."""
        row = (name, json.dumps(value))
        self._db.execute("INSERT OR IGNORE INTO manifest VALUES (?, ?)", row)

    def claim_program(self, cell: str, identity: str) -> None:
        """Record the program of a cell; refuse one that differs from what made its rows."""
        row = self._db.execute("SELECT identity FROM programs WHERE cell = ?", (cell,)).fetchone()
        if row is not None and row[0] != identity:
            raise StoreError(
                f"sweep: store {self.path} holds results of another program for the cell {cell}: "
                "the trial's code, settings, constants or traced names have changed. Give "
                "another path, or the old trial."
            )
        self._db.execute("INSERT OR IGNORE INTO programs VALUES (?, ?)", (cell, identity))

    def ask(self, cell: str, num_trials: int) -> None:
        """Record that ``num_trials`` trials of a cell are wanted."""
        self._db.execute(
            "INSERT INTO cells VALUES (?, ?) ON CONFLICT (cell) DO UPDATE "
            "SET num_trials = max(num_trials, excluded.num_trials)",
            (cell, num_trials),
        )

    def cells(self) -> dict[str, int]:
        """Return the cells and how many trials of each are wanted."""
        return dict(self._db.execute("SELECT cell, num_trials FROM cells ORDER BY rowid"))

    def put(self, cell: str, block: int, results: Results) -> None:
        """Write one finished block; it is on the disk when this returns."""
        payload = _encode(results)
        row = (cell, block, payload, _checksum(cell, block, payload))
        self._db.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)", row)

    def blocks(self) -> Iterator[tuple[str, int, Results | None]]:
        """Yield (cell, block, results) of every row; None for one that fails its checksum."""
        rows = self._db.execute("SELECT cell, block, payload, checksum FROM blocks").fetchall()
        for cell, block, payload, checksum in rows:
            sound = checksum == _checksum(cell, block, payload)
            yield cell, block, _decode(payload) if sound else None


def _checksum(cell: str, block: int, payload: bytes) -> bytes:
    return hashlib.sha256(f"{cell}\n{block}\n".encode() + payload).digest()


def _encode(results: Results) -> bytes:
    """Return a JSON header line with names and types, then the arrays' bytes in that order."""
    arrays = {name: np.ascontiguousarray(results[name]) for name in sorted(results)}
    little = {name: a.astype(a.dtype.newbyteorder("<"), copy=False) for name, a in arrays.items()}
    header = [[name, a.dtype.str, a.shape[0]] for name, a in little.items()]
    return json.dumps(header).encode() + b"\n" + b"".join(a.tobytes() for a in little.values())


def _decode(payload: bytes) -> Results:
    header, _, body = payload.partition(b"\n")
    results: Results = {}
    start = 0
    for name, dtype, length in json.loads(header):
        results[name] = np.frombuffer(body, dtype, length, start)
        start += results[name].nbytes
    return results
