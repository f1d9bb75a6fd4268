"""The store of a sweep: one SQLite file, one row a block, one writer."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxinv.sweeps.store._budget import BYTES_OF_A_ROW, MOST_BYTES, Budget
from jaxinv.sweeps.store._connection import connect, explain, lost
from jaxinv.sweeps.store._location import clean, file_path
from jaxinv.sweeps.store._lock import WriterLock, noted
from jaxinv.sweeps.store._records import ledger_of, load, write_all
from jaxinv.sweeps.store._rows import (
    Maker,
    Results,
    Row,
    StoreError,
    decode,
    digest,
    identity_of,
)

__all__ = ["Results", "Store", "StoreError"]

_SECONDS = 1.0  # of work that a kill may cost; a transaction for each block would cost far more
_MOST_PENDING = 20_000
_RECIPE = "recipe"
_KEYS: dict[str, tuple[str, ...]] = {
    "manifest": ("name",),
    "programs": ("cell",),
    "cells": ("cell",),
    "blocks": ("cell", "block"),
}
_COLUMNS = {
    "manifest": ("name", "value", "claimed", "checksum"),
    "programs": ("cell", "identity", "checksum"),
    "cells": ("cell", "num_trials", "position", "checksum"),
    "blocks": Row._fields,
}


class Store:
    """An open store. Writers hold a lock for as long as they live; readers see one snapshot.

    What is put is written in groups: at the latest with the first put a second after the last
    group, at ``flush``, and at the end, whatever ends it. A ledger counts the rows in the same
    transaction that writes them. ``records`` is everything but the blocks, and says what is
    wrong there.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, write: bool, max_bytes: int = MOST_BYTES
    ) -> None:
        self.path = file_path("Store", "store", path)
        self.budget = Budget(self.path, max_bytes)
        self.bytes_written = 0
        self._lock: WriterLock | None = None
        self._pending: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _KEYS}
        self._makers: dict[str, Maker] = {}
        self._is_held = self._is_displaced = False
        if self.path.is_dir():
            raise StoreError(f"store {self.path} is a folder; give the path of a file.")
        if not write and not self.path.is_file():
            raise StoreError(f"open: store {self.path} does not exist.")
        if write:
            self._lock = WriterLock(self.path)
        self._noted = self._lock.noted if self._lock else noted(self.path)
        try:
            self._db = connect(self.path, write=write, noted=self._noted)
            self.records = load(self._db, self.path, self._noted, self.budget)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # of a damaged schema's name
            self.close()
            raise StoreError(
                f"store {self.path} cannot be read as a sweep ({clean(error)}). Give another path; "
                "or, if it was one, restore a copy, or remove the file to start again."
            ) from None
        except BaseException:
            self.close()
            raise
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Close the file and let the next writer in; a new file that holds nothing is removed."""
        with contextlib.suppress(AttributeError):
            self._db.close()
        if self._lock is not None:
            records = getattr(self, "records", None)
            is_unused = records is not None and not records.ledger.generation
            self._lock.release(remove=self._lock.is_new and is_unused)
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._lock is not None:
                self.flush()
                self.require_place()
        finally:
            self.close()
        if isinstance(error, sqlite3.Error):
            raise explain(self.path, error) from None

    def require_sweep(self, where: str) -> None:
        """Refuse a store without a sweep, and say where one was lost."""
        if self.records.claims:
            return
        if self.records.ledger.generation < self._noted:
            raise lost(self.path, self._noted)
        raise StoreError(f"{where}: store {self.path} holds no sweep yet.")

    # Writing.

    def flush(self) -> None:
        """Write what is pending, all of it or none; it is on the disk when this returns."""
        tables = {table: rows for table, rows in self._pending.items() if rows}
        if not tables:
            return
        lock = self._writing()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            old = ledger_of(self._db) or self.records.ledger
            added = {table: self._upsert(table, rows) for table, rows in tables.items()}
            ledger = old.plus(generation=1, **added)
            sql = "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)"
            self._db.execute(sql, ledger.row())
            self._db.execute("COMMIT")
        except BaseException as error:  # what is pending stays so; doing it twice is harmless
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                self._drop_pending()
                raise explain(self.path, error) from None
            raise
        self.bytes_written += sum(len(row[2]) for row in tables.get("blocks", ()))
        self._drop_pending()
        self.records.ledger, self._noted = ledger, ledger.generation
        if self.records.num_blocks is not None:
            self.records.num_blocks = ledger.blocks
        lock.note(self._noted)
        self._flushed = time.monotonic()
        self.require_place()

    def _upsert(self, table: str, rows: list[tuple[Any, ...]]) -> int:
        """Insert rows, or replace those of the same keys; returns how many are new."""
        columns, keys = _COLUMNS[table], _KEYS[table]
        before = self._db.total_changes
        marks = ", ".join("?" * len(columns))
        self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)
        added = self._db.total_changes - before
        if added < len(rows):
            changes = ", ".join(f"{name} = ?" for name in columns[len(keys) :])
            where = " AND ".join(f"{name} = ?" for name in keys)
            turned = [(*row[len(keys) :], *row[: len(keys)]) for row in rows]
            self._db.executemany(f"UPDATE {table} SET {changes} WHERE {where}", turned)
        return added

    def require_place(self) -> None:
        """Raise where the file is no longer what its path names; what it holds is made safe."""
        what = "" if self._is_displaced else self._writing().displaced()
        if not what:
            return
        self._is_displaced = True
        place = self._safe_place()
        raise StoreError(
            f"sweep: store {self.path} {what} while it was being written. Every block finished "
            f"until now is safe in {place}: run the same sweep with store='{place}' to go on."
        )

    def _safe_place(self) -> Path:
        """Bring the log into the file, and copy it where it has no name any more."""
        checkpoint = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        place = self._writing().place()
        if place is not None and checkpoint[0] == 0:
            return place
        folder = self.path.parent if self.path.parent.is_dir() else None
        file, name = tempfile.mkstemp(".sqlite", f"{self.path.stem}-rescued-", folder)
        os.close(file)
        with contextlib.closing(sqlite3.connect(name)) as copy:
            self._db.backup(copy)
        return Path(name)

    def _put(self, table: str, row: tuple[Any, ...]) -> None:
        self._writing()
        rows = self._pending[table]
        rows.append(tuple(row))  # plain ones: the garbage collector need not look at them
        if self._is_held:
            return
        if len(rows) >= _MOST_PENDING or time.monotonic() - self._flushed >= _SECONDS:
            self.flush()

    def _drop_pending(self) -> None:
        for rows in self._pending.values():
            rows.clear()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything put inside one durable step."""
        self.flush()
        before = self.records.copy()
        self._is_held = True
        try:
            yield
        except BaseException:
            self._drop_pending()
            self.records = before
            raise
        finally:
            self._is_held = False
        self.flush()

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
            f"{name} is {clean(found.get(name))} in the store and {clean(given.get(name))} now"
            for name in {**given, **found}
            if found and (name not in found or name not in given or found[name] != given[name])
        ]
        if wrong:
            raise StoreError(
                f"sweep: store {self.path} holds another configuration: {'; '.join(wrong)}. "
                "Give another path, or the old configuration."
            )
        if not found:
            for name, value in given.items():
                self._record(name, json.dumps(value), claimed=1)
            self.records.claims = {name: json.dumps(value) for name, value in given.items()}
            self.records.identity = identity_of(self.records.claims)

    def _record(self, name: str, value: str, claimed: int) -> None:
        self.records.manifest[name] = value
        self._put("manifest", (name, value, claimed, digest("manifest", name, value, claimed)))

    def remember(self, name: str, value: Any) -> None:
        """Write something that later sweeps need not agree with; the first one's value stays."""
        if name not in self.records.manifest:
            self._record(name, json.dumps(value), claimed=0)

    def add_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Remember how the sweep was asked for, beside the other ways."""
        known = self.recipes()
        if json.loads(json.dumps(recipe)) not in known:
            self.remember(f"{_RECIPE} {len(known)}", recipe)

    def recipes(self) -> list[Any]:
        """Return how the sweep was asked for, in the order of asking."""
        found = self.manifest().items()
        return [value for name, value in found if name.partition(" ")[0] == _RECIPE]

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
            self.records.programs[cell] = identity
            checksum = digest("program", self.records.identity, cell, identity)
            self._put("programs", (cell, identity, checksum))

    def ask(self, cell: str, num_trials: int) -> None:
        """Record that ``num_trials`` trials of a cell are wanted; never fewer than before."""
        if self.records.cells.get(cell, 0) >= num_trials:
            return
        self._require_claim()
        positions = self.records.positions
        if cell not in positions:
            last = next(reversed(positions.values()), -1)  # in the order of asking
            positions[cell] = last + 1
        self.records.cells[cell] = num_trials
        row = (cell, num_trials, positions[cell])
        self._put("cells", (*row, digest("cell", self.records.identity, *row)))

    def cells(self) -> dict[str, int]:
        """Return the cells and how many trials of each are wanted."""
        return dict(self.records.cells)

    def put(self, cell: str, block: int, results: Results) -> None:
        """Write one finished block, with others of the same second."""
        maker = self._makers.get(cell)
        if maker is None:
            program = self.records.programs.get(cell)
            if program is None:
                self._require_claim()
                raise StoreError(f"store {self.path} has no program for the cell {cell}.")
            maker = self._makers[cell] = Maker(self.records.identity, program, cell)
        self._put("blocks", maker.row(block, results))

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Write rows of blocks as they are."""
        for row in rows:
            self._put("blocks", row)

    def _require_claim(self) -> None:
        if not self.records.claims:
            raise StoreError(f"store {self.path} holds no sweep yet: claim it first.")

    # Blocks.

    def rows(self) -> Iterator[Row]:
        """Yield every row of blocks as it lies in the file, sound or not."""
        cells: dict[Any, Any] = {}  # one object for each, not one for each row
        for row in self._db.execute("SELECT cell, block, payload, checksum, seal FROM blocks"):
            found = Row(cells.setdefault(row[0], row[0]), *row[1:])
            self.budget.take(BYTES_OF_A_ROW + _size(found))
            yield found

    def row(self, cell: str, block: int) -> Row | None:
        """Return the row of one block, found by its key."""
        sql = "SELECT cell, block, payload, checksum, seal FROM blocks WHERE cell = ? AND block = ?"
        found = self._db.execute(sql, (cell, block)).fetchone()
        if found is None:
            return None
        self.budget.take(BYTES_OF_A_ROW + _size(Row(*found)))
        return Row(*found)

    def is_whole(self, row: Row) -> bool:
        """Whether the place and the payload of a row are those that were once written."""
        kinds = (str, int, bytes, bytes, bytes)
        if not all(type(value) is kind for value, kind in zip(row, kinds, strict=True)):
            return False
        return row.block >= 0 and row.checksum == digest("block", row.cell, row.block, row.payload)

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
            found = [clean(text) for (text,) in self._db.execute("PRAGMA quick_check(20)")]
        except sqlite3.Error as error:
            return [clean(error)]
        return [] if found == ["ok"] else found

    def rebuild(self, rows: Iterable[Row], cells: Mapping[str, int]) -> None:
        """Replace the whole content, in one transaction, by sound records and these rows."""
        lock = self._writing()
        self.flush()
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            write_all(db, self.records, list(rows), cells, self._noted)
            try:
                db.backup(self._db)
            except sqlite3.Error as error:
                raise explain(self.path, error) from None
            self.records = load(self._db, self.path, 0, Budget(self.path, 2**62))
            self._noted = self.records.ledger.generation
            lock.note(self._noted)


def _size(row: Row) -> int:
    return sum(len(value) for value in row[2:] if isinstance(value, str | bytes))
