"""The records of a store: everything in it but the blocks, read with their checksums."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from jaxinv.experiments._rows import SCHEMA, Ledger, Row, StoreError, digest, identity_of


@dataclasses.dataclass
class Records:
    """What the tables other than blocks say.

    Attributes:
        manifest: names to JSON texts; ``claims`` is the part that makes the identity.
        programs: the identity of the program of each cell, where it is sound.
        cells: the trials wanted of each cell, where that is sound, in the order of asking.
        positions: the place of each cell in that order.
        ledger: counts of rows, as found or, where it is damaged, as they are now.
        num_blocks: rows of blocks that must be there; None where that is not known.
        has_lost_cells: whether cells may have been asked for that are not in ``cells``.
        faults: what is wrong, one line each.
    """

    manifest: dict[str, str]
    claims: dict[str, str]
    identity: bytes
    ledger: Ledger
    programs: dict[str, str] = dataclasses.field(default_factory=dict)
    cells: dict[str, int] = dataclasses.field(default_factory=dict)
    positions: dict[str, int] = dataclasses.field(default_factory=dict)
    num_blocks: int | None = None
    has_lost_cells: bool = False
    faults: list[str] = dataclasses.field(default_factory=list)

    def count(self, **added: int) -> None:
        """Add to the ledger."""
        old = self.ledger._asdict()
        self.ledger = Ledger(**{name: number + added.get(name, 0) for name, number in old.items()})

    def ledger_row(self) -> tuple[object, ...]:
        """Return the ledger as a row."""
        return (1, *self.ledger, digest("ledger", *self.ledger))


def load(db: sqlite3.Connection, path: Path, noted: int) -> Records:
    """Read and judge the records; ``noted`` is the last transaction known to be on the disk."""
    manifest, claims = _manifest(db, path)
    records = Records(manifest, claims, identity_of(claims), Ledger(noted, len(manifest), 0, 0, 0))
    counts = {"programs": _programs(db, records), "cells": _cells(db, records)}
    ledger = _ledger(db)
    if ledger is None:
        records.faults.append("the ledger, which counts the rows, is damaged")
        (num_blocks,) = db.execute("SELECT count(*) FROM blocks").fetchone()
        records.count(blocks=num_blocks, **counts)
        records.has_lost_cells = True
        return records
    records.ledger, records.num_blocks = ledger, ledger.blocks
    if ledger.manifest != len(manifest):
        raise _unknown(path, "rows are gone")
    for name, count in counts.items():
        if count != getattr(ledger, name):
            records.faults.append(f"{count} of {getattr(ledger, name)} rows of {name} are there")
    records.has_lost_cells = not len(records.cells) == counts["cells"] == ledger.cells
    if ledger.generation < noted:
        records.faults.append(
            f"the last {noted - ledger.generation} finished transactions are gone: "
            f"{path.name}-wal was cut, damaged or removed"
        )
    return records


def _unknown(path: Path, what: str) -> StoreError:
    return StoreError(
        f"store {path} is damaged: what it holds can no longer be told (manifest: {what}). "
        "Restore a copy, or remove the file to start again."
    )


def _manifest(db: sqlite3.Connection, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    manifest: dict[str, str] = {}
    claims: dict[str, str] = {}
    rows = db.execute("SELECT name, value, claimed, checksum FROM manifest")
    for name, value, claimed, checksum in rows:
        if checksum != digest("manifest", name, value, claimed):
            raise _unknown(path, f"{name!r} is damaged")
        manifest[name] = value
        if claimed:
            claims[name] = value
    return manifest, claims


def _programs(db: sqlite3.Connection, records: Records) -> int:
    """Fill in the programs; returns how many rows there are."""
    rows = db.execute("SELECT cell, identity, checksum FROM programs").fetchall()
    for cell, program, checksum in rows:
        if checksum == digest("program", records.identity, cell, program):
            records.programs[cell] = program
        else:
            records.faults.append(f"the program of the cell {cell} is damaged")
    return len(rows)


def _cells(db: sqlite3.Connection, records: Records) -> int:
    """Fill in the cells; returns how many rows there are."""
    rows = db.execute("SELECT cell, num_trials, position, checksum FROM cells").fetchall()
    sound = []
    for row in rows:
        if row[-1] == digest("cell", records.identity, *row[:-1]):
            sound.append(row)
        else:
            records.faults.append(f"the record of the cell {row[0]} is damaged")
    for cell, num_trials, position, _ in sorted(sound, key=lambda row: row[2]):
        records.cells[cell], records.positions[cell] = num_trials, position
    return len(rows)


def _ledger(db: sqlite3.Connection) -> Ledger | None:
    rows = db.execute(
        "SELECT generation, manifest, programs, cells, blocks, checksum FROM ledger"
    ).fetchall()
    if len(rows) == 1 and rows[0][-1] == digest("ledger", *rows[0][:-1]):
        return Ledger(*rows[0][:-1])
    return None


def write_all(
    db: sqlite3.Connection, old: Records, rows: list[Row], cells: Mapping[str, int], noted: int
) -> None:
    """Fill an empty database with sound records, these cells and these rows of blocks."""
    db.executescript(SCHEMA)
    manifest = [(name, value, int(name in old.claims)) for name, value in old.manifest.items()]
    for row in manifest:
        db.execute("INSERT INTO manifest VALUES (?, ?, ?, ?)", (*row, digest("manifest", *row)))
    for pair in old.programs.items():
        checksum = digest("program", old.identity, *pair)
        db.execute("INSERT INTO programs VALUES (?, ?, ?)", (*pair, checksum))
    last = max(old.positions.values(), default=-1)
    for cell, num_trials in cells.items():
        if cell not in old.positions:
            last += 1
        record = (cell, num_trials, old.positions.get(cell, last))
        checksum = digest("cell", old.identity, *record)
        db.execute("INSERT INTO cells VALUES (?, ?, ?, ?)", (*record, checksum))
    db.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", rows)
    generation = max(noted, old.ledger.generation) + 1
    ledger = Ledger(generation, len(manifest), len(old.programs), len(cells), len(rows))
    row = Records(old.manifest, old.claims, old.identity, ledger).ledger_row()
    db.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", row)
