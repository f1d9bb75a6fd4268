"""The records of a store: everything in it but the blocks, read with their checksums."""

from __future__ import annotations

import copy
import dataclasses
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxinv.sweeps._cells import canonical, cell_from_id, cell_id
from jaxinv.sweeps.store._budget import BYTES_OF_A_ROW, Budget
from jaxinv.sweeps.store._connection import create_tables
from jaxinv.sweeps.store._location import clean
from jaxinv.sweeps.store._rows import Ledger, Row, StoreError, digest, identity_of


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

    def copy(self) -> Records:
        """Return records that later changes of these leave alone."""
        return copy.deepcopy(self)


def load(db: sqlite3.Connection, path: Path, noted: int, budget: Budget) -> Records:
    """Read and judge the records; ``noted`` is the last transaction known to be on the disk."""
    manifest, claims = _manifest(db, path, budget)
    records = Records(manifest, claims, identity_of(claims), Ledger(noted, len(manifest), 0, 0, 0))
    counts = {"programs": _programs(db, records, budget), "cells": _cells(db, records, budget)}
    ledger = ledger_of(db)
    if ledger is None:
        records.faults.append("the ledger, which counts the rows, is damaged")
        (num_blocks,) = db.execute("SELECT count(*) FROM blocks").fetchone()
        records.ledger = records.ledger.plus(blocks=num_blocks, **counts)
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


def _rows(db: sqlite3.Connection, sql: str, budget: Budget) -> Any:
    for row in db.execute(sql):
        content = sum(len(value) for value in row if isinstance(value, str | bytes))
        budget.take(BYTES_OF_A_ROW + content)
        yield row


def _manifest(
    db: sqlite3.Connection, path: Path, budget: Budget
) -> tuple[dict[str, str], dict[str, str]]:
    manifest: dict[str, str] = {}
    claims: dict[str, str] = {}
    sql = "SELECT name, value, claimed, checksum FROM manifest"
    for name, value, claimed, checksum in _rows(db, sql, budget):
        if checksum != digest("manifest", name, value, claimed):
            raise _unknown(path, f"{clean(name)} is damaged")
        try:
            if not isinstance(name, str) or not isinstance(value, str):
                raise ValueError
            json.loads(value)
        except (ValueError, TypeError, RecursionError):
            raise _unknown(path, f"{clean(name)} is no value") from None
        manifest[name] = value
        if claimed:
            claims[name] = value
    _check_claims({name: json.loads(value) for name, value in claims.items()}, path)
    return manifest, claims


def _check_claims(claims: Mapping[str, Any], path: Path) -> None:
    """Require that what the readers of a store rely on is what a sweep writes."""
    if not claims:
        return
    names, size = claims.get("names"), claims.get("block_size")
    if type(size) is not int or not 0 < size < 2**31:
        raise _unknown(path, "no block_size")
    if (
        not isinstance(names, list)
        or not all(isinstance(name, str) and name.isidentifier() for name in names)
        or set(names) & {"trial", "ran", "key"}
        or len(set(names)) < len(names)
    ):
        raise _unknown(path, "no names")


def _is_cell(cell: Any, names: frozenset[str]) -> bool:
    """Whether a text is the identifier of a cell of the store's grid."""
    try:
        values = cell_from_id(cell)
        json.dumps(values, ensure_ascii=False).encode()  # no halves of characters
        values = {name: canonical(name, value) for name, value in values.items()}
        return set(values) == names and cell_id(values) == cell
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return False


def _names(records: Records) -> frozenset[str]:
    return frozenset(json.loads(records.claims.get("names", "[]")))


def _programs(db: sqlite3.Connection, records: Records, budget: Budget) -> int:
    """Fill in the programs; returns how many rows there are."""
    names, count = _names(records), 0
    sql = "SELECT cell, identity, checksum FROM programs"
    for cell, program, checksum in _rows(db, sql, budget):
        count += 1
        is_sound = checksum == digest("program", records.identity, cell, program)
        if is_sound and isinstance(program, str) and _is_cell(cell, names):
            records.programs[cell] = program
        else:
            records.faults.append(f"the program of the cell {clean(cell)} is damaged")
    return count


def _cells(db: sqlite3.Connection, records: Records, budget: Budget) -> int:
    """Fill in the cells; returns how many rows there are."""
    names, sound, count = _names(records), [], 0
    sql = "SELECT cell, num_trials, position, checksum FROM cells"
    for row in _rows(db, sql, budget):
        count += 1
        cell, num_trials, position, checksum = row
        is_sound = checksum == digest("cell", records.identity, *row[:-1])
        is_sound &= type(num_trials) is int and num_trials > 0 and type(position) is int
        if is_sound and _is_cell(cell, names):
            sound.append(row)
        else:
            records.faults.append(f"the record of the cell {clean(cell)} is damaged")
    for cell, num_trials, position, _ in sorted(sound, key=lambda row: row[2]):
        records.cells[cell], records.positions[cell] = num_trials, position
    return count


def ledger_of(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger as it is in the file, or None where it is damaged."""
    rows = db.execute(
        "SELECT generation, manifest, programs, cells, blocks, checksum FROM ledger LIMIT 2"
    ).fetchall()
    numbers = rows[0][:-1] if len(rows) == 1 else ()
    is_sound = numbers and all(type(number) is int and number >= 0 for number in numbers)
    return Ledger(*numbers) if is_sound and rows[0][-1] == digest("ledger", *numbers) else None


def write_all(
    db: sqlite3.Connection, old: Records, rows: list[Row], cells: Mapping[str, int], noted: int
) -> None:
    """Fill an empty database with sound records, these cells and these rows of blocks."""
    create_tables(db)
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
    db.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", ledger.row())
