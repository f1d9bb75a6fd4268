"""The store of a sweep: one SQLite file, one row a block, one writer."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxinv._core import checks
from jaxinv.experiments._connection import connect, explain
from jaxinv.experiments._lock import WriterLock, noted
from jaxinv.experiments._records import load, write_all
from jaxinv.experiments._rows import (
    Results,
    Row,
    StoreError,
    decode,
    digest,
    identity_of,
    make_row,
)

__all__ = ["Results", "Store", "StoreError"]


class Store:
    """An open store. Writers hold a lock for as long as they live; readers see one snapshot.

    Every row has a checksum, and a ledger counts the rows in the same transaction that writes
    them. ``records`` is everything but the blocks, and says what is wrong there. Threads may
    share a Store: their transactions take turns.
    """

    def __init__(self, path: str | os.PathLike[str], *, write: bool) -> None:
        if not isinstance(path, str | os.PathLike):
            checks.fail_type("Store", "store", "be the path of a file", path)
        self.path = Path(path)
        self.bytes_written = 0
        self._lock: WriterLock | None = None
        self._inside = False
        self._turn = threading.RLock()
        if self.path.is_dir():
            raise StoreError(f"store {self.path} is a folder; give the path of a file.")
        if not write and not self.path.is_file():
            raise StoreError(f"open: store {self.path} does not exist.")
        if write:
            self._lock = WriterLock(self.path)
        self._noted = self._lock.noted if self._lock else noted(self.path)
        if self._lock and not self.path.exists():
            self._noted = 0
            self._lock.note(0)
        try:
            self._db = connect(self.path, write=write, noted=self._noted)
            self.records = load(self._db, self.path, self._noted)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a damaged schema's name
            self.close()
            raise StoreError(
                f"store {self.path} cannot be read as a sweep ({error}). Give another path; or, "
                "if it was one, restore a copy, or remove the file to start again."
            ) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and let the next writer in."""
        with contextlib.suppress(AttributeError):
            self._db.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise explain(self.path, error) from None

    # Writing.

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written inside one durable step; transactions may be nested."""
        with self._turn:
            if self._inside:
                yield
                return
            lock = self._writing()
            self._inside = True
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self.records.count(generation=1)
                row = self.records.ledger_row()
                self._db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                self._db.execute("COMMIT")
            except BaseException as error:
                self._undo()
                if isinstance(error, sqlite3.DatabaseError):
                    raise explain(self.path, error) from None
                raise
            finally:
                self._inside = False
            self._noted = self.records.ledger.generation
            lock.note(self._noted)

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.DatabaseError):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self.records = load(self._db, self.path, self._noted)

    def _writing(self) -> WriterLock:
        if self._lock is None:
            raise StoreError(f"store {self.path} was opened for reading.")
        return self._lock

    def manifest(self) -> dict[str, Any]:
        """Return what the store says of itself."""
        return {name: json.loads(value) for name, value in self.records.manifest.items()}

    def claims(self) -> dict[str, Any]:
        """Return the part of the manifest that makes the store's identity."""
        return {name: json.loads(value) for name, value in self.records.claims.items()}

    def claim(self, manifest: Mapping[str, Any]) -> None:
        """Write the identity into a new store; refuse an old one that has another."""
        given = {name: json.loads(json.dumps(value)) for name, value in manifest.items()}
        found = self.claims()
        wrong = [
            f"{name} is {found.get(name)!r} in the store and {value!r} now"
            for name, value in given.items()
            if found and (name not in found or found[name] != value)
        ]
        if wrong:
            raise StoreError(
                f"sweep: store {self.path} holds another configuration: {'; '.join(wrong)}. "
                "Give another path, or the old configuration."
            )
        if found:
            return
        with self.transaction():
            for name, value in given.items():
                self._record(name, json.dumps(value), claimed=1)
            self.records.claims = {name: json.dumps(value) for name, value in given.items()}
            self.records.identity = identity_of(self.records.claims)

    def _record(self, name: str, value: str, claimed: int) -> None:
        row = (name, value, claimed, digest("manifest", name, value, claimed))
        self._db.execute("INSERT INTO manifest VALUES (?, ?, ?, ?)", row)
        self.records.manifest[name] = value
        self.records.count(manifest=1)

    def remember(self, name: str, value: Any) -> None:
        """Write something that later sweeps need not agree with; the first one's value stays."""
        if name not in self.records.manifest:
            with self.transaction():
                self._record(name, json.dumps(value), claimed=0)

    def programs(self) -> dict[str, str]:
        """Return the identity of the program of each cell."""
        return dict(self.records.programs)

    def claim_program(self, cell: str, identity: str) -> None:
        """Record the program of a cell; refuse one that differs from what made its rows."""
        found = self.records.programs.get(cell)
        if found is not None and found != identity:
            raise StoreError(
                f"sweep: store {self.path} holds results of another program for the cell {cell}: "
                "the trial's code, settings, constants or traced names have changed. Give "
                "another path, or the old trial."
            )
        if found is None:
            self._require_claim()
            with self.transaction():
                row = (cell, identity, digest("program", self.records.identity, cell, identity))
                self._upsert("programs", ("cell", "identity", "checksum"), row)
                self.records.programs[cell] = identity

    def ask(self, cell: str, num_trials: int) -> None:
        """Record that ``num_trials`` trials of a cell are wanted; never fewer than before."""
        if self.records.cells.get(cell, 0) >= num_trials:
            return
        self._require_claim()
        position = self.records.positions.get(
            cell, max(self.records.positions.values(), default=-1) + 1
        )
        with self.transaction():
            checksum = digest("cell", self.records.identity, cell, num_trials, position)
            row = (cell, num_trials, position, checksum)
            self._upsert("cells", ("cell", "num_trials", "position", "checksum"), row)
            self.records.cells[cell], self.records.positions[cell] = num_trials, position

    def cells(self) -> dict[str, int]:
        """Return the cells and how many trials of each are wanted."""
        return dict(self.records.cells)

    def put(self, cell: str, block: int, results: Results) -> None:
        """Write one finished block; it is on the disk when this returns."""
        self.put_many([(cell, block, results)])

    def put_many(self, blocks: Iterable[tuple[str, int, Results]]) -> None:
        """Write finished blocks ``(cell, block, results)``, all of them or none."""
        self._require_claim()
        rows = []
        for cell, block, results in blocks:
            if cell not in self.records.programs:
                raise StoreError(f"store {self.path} has no program for the cell {cell}.")
            rows.append(
                make_row(self.records.identity, self.records.programs[cell], cell, block, results)
            )
        self.put_rows(rows)

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Write rows of blocks as they are, all of them or none."""
        num_bytes = 0
        with self.transaction():
            for row in rows:
                self._upsert("blocks", Row._fields, row, num_keys=2)
                num_bytes += len(row.payload)
        self.bytes_written += num_bytes

    def forget(self, cell: str, block: int) -> None:
        """Drop the row of a block, if there is one."""
        with self.transaction():
            sql = "DELETE FROM blocks WHERE cell = ? AND block = ?"
            self.records.count(blocks=-self._db.execute(sql, (cell, block)).rowcount)

    def _upsert(
        self, table: str, columns: tuple[str, ...], row: tuple[Any, ...], num_keys: int = 1
    ) -> None:
        """Insert a row, or replace the one of the same key, and count it if it is new."""
        marks = ", ".join("?" * len(row))
        sql = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"
        if self._db.execute(sql, row).rowcount == 1:
            self.records.count(**{table: 1})
            return
        changes = ", ".join(f"{name} = ?" for name in columns[num_keys:])
        keys = " AND ".join(f"{name} = ?" for name in columns[:num_keys])
        values = (*row[num_keys:], *row[:num_keys])
        self._db.execute(f"UPDATE {table} SET {changes} WHERE {keys}", values)

    def _require_claim(self) -> None:
        if not self.records.claims:
            raise StoreError(f"store {self.path} holds no sweep yet: claim it first.")

    # Blocks.

    def rows(self) -> Iterator[Row]:
        """Yield every row of blocks as it lies in the file, sound or not."""
        for row in self._db.execute("SELECT cell, block, payload, checksum, seal FROM blocks"):
            yield Row(*row)

    def row(self, cell: str, block: int) -> Row | None:
        """Return the row of one block, found by its key."""
        sql = "SELECT cell, block, payload, checksum, seal FROM blocks WHERE cell = ? AND block = ?"
        found = self._db.execute(sql, (cell, block)).fetchone()
        return None if found is None else Row(*found)

    def is_whole(self, row: Row) -> bool:
        """Whether the place and the payload of a row are those that were once written."""
        return row.checksum == digest("block", row.cell, row.block, row.payload)

    def is_own(self, row: Row) -> bool:
        """Whether a row was written for this store by the program of its cell."""
        program = self.records.programs.get(row.cell)
        return row.seal == digest("seal", self.records.identity, program, row.checksum)

    def blocks(self) -> Iterator[tuple[str, int, Results | None]]:
        """Yield (cell, block, results) of every row; None for one that fails a checksum."""
        for row in self.rows():
            sound = self.is_whole(row) and self.is_own(row)
            yield row.cell, row.block, decode(row.payload) if sound else None

    def quick_check(self) -> list[str]:
        """Return what SQLite finds wrong with the structure of the file."""
        try:
            found = [str(text) for (text,) in self._db.execute("PRAGMA quick_check(20)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def rebuild(self, rows: Iterable[Row], cells: Mapping[str, int]) -> None:
        """Replace the whole content, in one transaction, by sound records and these rows."""
        lock = self._writing()
        with (
            self._turn,
            contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db,
        ):
            write_all(db, self.records, list(rows), cells, self._noted)
            try:
                db.backup(self._db)
            except sqlite3.DatabaseError as error:
                raise explain(self.path, error) from None
            self.records = load(self._db, self.path, 0)
            self._noted = self.records.ledger.generation
            lock.note(self._noted)
