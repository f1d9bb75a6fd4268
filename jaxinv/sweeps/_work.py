"""The blocks of a sweep that are left to run, cell by cell."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxinv.sweeps._blocks import Blocks
from jaxinv.sweeps._cells import cell_id
from jaxinv.sweeps._program import Block, Program, Results


class Cell:
    """One cell of the grid: its finished blocks, and how many trials of it are wanted by now."""

    def __init__(
        self, values: Mapping[str, Any], identifier: str, traced: tuple[str, ...], block_size: int
    ) -> None:
        self.values, self.identifier, self.block_size = dict(values), identifier, block_size
        self.static = {name: v for name, v in values.items() if name not in traced}
        self.traced = {name: values[name] for name in traced}
        self.blocks = Blocks(block_size)
        self.num_trials = 0
        self.outstanding = 0
        self.key_data = np.zeros(0, np.uint32)

    @property
    def num_blocks(self) -> int:
        """Blocks that hold the wanted trials."""
        return math.ceil(self.num_trials / self.block_size)

    def missing(self) -> list[int]:
        """Return the wanted blocks that are not finished."""
        return [block for block in range(self.num_blocks) if block not in self.blocks]

    def visible(self, block: int) -> int:
        """Return how many of a block's trials are wanted."""
        return max(0, min(self.block_size, self.num_trials - block * self.block_size))

    def block(self, index: int) -> Block:
        """Return a block as the program takes it."""
        return Block(self.key_data, index, self.traced)


class Unit(NamedTuple):
    """One block of one cell."""

    cell: Cell
    number: int


class Work:
    """The queue of the cells that share a program.

    ``more(cell)`` is asked whenever every wanted block of a cell is finished: it raises
    ``cell.num_trials`` and returns True, or ends the cell and returns False.
    """

    def __init__(
        self, program: Callable[[], Program], cells: list[Cell], more: Callable[[Cell], bool]
    ) -> None:
        self.program, self.cells, self._more = program, cells, more
        self._ready: deque[Unit] = deque()

    def open(self) -> None:
        """Queue the first blocks of every cell."""
        for cell in self.cells:
            self._extend(cell, self._ready.append)

    @property
    def is_finished_in_store(self) -> bool:
        """Whether the blocks wanted at first are all there, so that nothing need be compiled."""
        return not any(cell.missing() for cell in self.cells)

    def _extend(self, cell: Cell, put: Callable[[Unit], None]) -> None:
        while not (missing := cell.missing()):
            if not self._more(cell):
                return
        cell.outstanding = len(missing)
        for index in missing:
            put(Unit(cell, index))

    def take(self, count: int) -> list[Unit]:
        """Return the next ``count`` blocks, or as many as are ready."""
        return [self._ready.popleft() for _ in range(min(count, len(self._ready)))]

    def give_back(self, units: list[Unit]) -> None:
        """Queue blocks again that were taken and could not be run."""
        self._ready.extendleft(reversed(units))

    def deliver(self, unit: Unit, results: Results) -> None:
        """Keep the results of a block; when it was the cell's last, ask whether it wants more."""
        cell = unit.cell
        cell.blocks.put(unit.number, results)
        cell.outstanding -= 1
        if cell.outstanding == 0:
            more: list[Unit] = []
            self._extend(cell, more.append)
            self.give_back(more)

    def __len__(self) -> int:
        return len(self._ready)


def by_program(cells: list[Cell]) -> Iterator[list[Cell]]:
    """Yield the cells grouped by program, so that few programs are held at a time."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(program_name(cell), []).append(cell)
    yield from groups.values()


def program_name(cell: Cell) -> str:
    """Return what tells the program of a cell from others of the same trial."""
    kinds = {name: type(value).__name__ for name, value in cell.traced.items()}
    return cell_id(cell.static) + (f" traced {cell_id(kinds)}" if kinds else "")
