"""What is in a store and what is wrong with it: one pass over its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxinv.sweeps._cells import Blocks
from jaxinv.sweeps.store._budget import BYTES_OF_A_PLACE
from jaxinv.sweeps.store._location import clean
from jaxinv.sweeps.store._rows import Layout, Row, decode, layout_of
from jaxinv.sweeps.store._store import Store

Place = tuple[str, int]


class Survey(NamedTuple):
    """The sound blocks of a store by cell, and the places of what is not sound.

    ``cells`` is what is asked for, as far as it can be told: of a cell whose record is lost, the
    fewest trials that the blocks found of it can belong to. ``faults`` has one line for each
    thing that is wrong with the store's records.
    """

    found: dict[str, dict[int, Row]]
    cells: dict[str, int]
    missing: list[Place]
    damaged: list[Place]
    foreign: list[Place]
    faults: list[str]
    num_rows: int

    @property
    def rows(self) -> list[Row]:
        """The sound rows."""
        return [row for blocks in self.found.values() for row in blocks.values()]

    @property
    def needs_repair(self) -> bool:
        """Whether anything but absent blocks is wrong."""
        return bool(self.damaged or self.foreign or self.faults)

    def results(self, cell: str, block_size: int) -> Blocks:
        """Return the sound blocks of a cell."""
        rows = self.found.get(cell, {})
        return Blocks(block_size, {block: decode(row.payload) for block, row in rows.items()})


def survey(store: Store, *, salvage: bool = False) -> Survey:
    """Judge every row of a store.

    With ``salvage``, a table of blocks that cannot be read through is read block by block.
    """
    faults = list(store.records.faults)
    try:
        rows = list(store.rows())
    except sqlite3.DatabaseError as error:
        if not salvage:
            raise
        faults.append(f"the table of blocks cannot be read through ({error})")
        rows = _one_by_one(store)
    else:
        if store.records.num_blocks not in (None, len(rows)):
            faults.append(f"{len(rows)} of {store.records.num_blocks} rows of blocks are there")
    return _judge(store, rows, faults)


def _one_by_one(store: Store) -> list[Row]:
    """Return the blocks that can be found by their keys; a damaged page loses only its own."""
    rows = []
    for cell, block in _places(store, store.cells()):
        try:
            row = store.row(cell, block)
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            rows.append(row)
    return rows


def _places(store: Store, cells: dict[str, int], num_there: int = 0) -> Iterable[Place]:
    """Return the places of all blocks that are asked for; refuses more than memory can list."""
    size = store.claims().get("block_size", 1)
    counts = {cell: -(-count // size) for cell, count in cells.items()}
    store.budget.take(BYTES_OF_A_PLACE * max(0, sum(counts.values()) - num_there))
    return ((cell, block) for cell, count in counts.items() for block in range(count))


def _judge(store: Store, rows: list[Row], faults: list[str]) -> Survey:
    claims = store.claims()
    size, names = claims.get("block_size", 1), claims.get("names", [])
    programs, cells = store.programs(), store.cells()
    layouts: dict[str, Layout] = {}
    found: dict[str, dict[int, Row]] = {}
    damaged: list[Place] = []
    foreign: list[Place] = []
    for row in rows:
        asked = row.cell in cells or store.records.has_lost_cells
        if not store.is_whole(row) or row.cell not in programs:
            damaged.append((clean(row.cell), row.block))
        elif (
            not asked
            or not store.is_own(row)
            or (row.cell in cells and row.block * size >= cells[row.cell])
            or not _fits(row, size, names, layouts)
        ):
            foreign.append((row.cell, row.block))
        elif row.block in found.setdefault(row.cell, {}):
            faults.append(f"block {row.block} of {row.cell} is there twice")
        else:
            found[row.cell][row.block] = row
    for cell, blocks in found.items():
        if blocks and cell not in cells:
            cells[cell] = max(blocks) * size + 1
    known = {*damaged, *foreign}
    missing = [
        (cell, block)
        for cell, block in _places(store, cells, len(rows))
        if block not in found.get(cell, {}) and (cell, block) not in known
    ]
    return Survey(found, cells, missing, damaged, foreign, faults, len(rows))


def _fits(row: Row, size: int, names: Sequence[str], layouts: dict[str, Layout]) -> bool:
    """Whether a block has as many trials as others, the metrics of its cell, and no axis's name."""
    try:
        layout = layout_of(row.payload)
    except ValueError:
        return False
    if any(length != size or name in (*names, "trial", "ran") for name, _, length in layout):
        return False
    return layouts.setdefault(row.cell, layout) == layout


def named(places: Sequence[Place], most: int = 20) -> str:
    """Return places as text, the first ones by name."""
    text = ", ".join(f"{cell} block {clean(block, 30)}" for cell, block in places[:most])
    more = len(places) - most
    return f"{text} and {more} more" if more > 0 else text
