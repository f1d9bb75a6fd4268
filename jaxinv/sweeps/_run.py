"""One call of ``sweep``: what is left to do, and doing it."""

from __future__ import annotations

import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._cells import (
    Blocks,
    Cell,
    Unit,
    Work,
    by_program,
    cell_from_id,
    cell_id,
    cell_key,
    cells,
    program_name,
    to_dataset,
    token,
)
from jaxinv.sweeps._executors import Recipe, Workers, numeric_config
from jaxinv.sweeps._here import Clock, Meter, OutOfTime, measured_block_size, run_here
from jaxinv.sweeps._program import Program, Results, Trial, environment
from jaxinv.sweeps._remote import run_remote
from jaxinv.sweeps.store._open import read
from jaxinv.sweeps.store._store import Store

if TYPE_CHECKING:
    import xarray as xr

    from jaxinv.sweeps._sweep import Rule

_PROGRAMS_KEPT = 4


RECIPE = "recipe"


def is_recipe(name: str) -> bool:
    """Whether a record of a store says how a named sweep was asked for."""
    return name.partition(" ")[0] == RECIPE


class Settings(NamedTuple):
    """The arguments of ``sweep``, checked."""

    trial: Trial
    key: jax.Array
    axes: Mapping[str, Sequence[Any]]
    traced: tuple[str, ...]
    num_trials: int
    block_size: int
    num_devices: int
    workers: Workers | None
    rule: Rule
    version: str | None


def measure(settings: Settings) -> int:
    """Return the block size that is fastest for the first cell."""
    cell = next(_cells(settings, cells(settings.axes)))
    impl = str(jax.random.key_impl(settings.key))

    def build(size: int) -> Program:
        return Program(settings.trial, cell.static, cell.traced, size, key_impl=impl)

    return measured_block_size(build, cell.block(0), settings.num_trials)


def _cells(settings: Settings, grid: list[dict[str, Any]]) -> Iterator[Cell]:
    for values in grid:
        cell = Cell(values, cell_id(values), settings.traced, settings.block_size)
        cell.key_data = np.asarray(jax.random.key_data(cell_key(settings.key, cell.identifier)))
        yield cell


class Run:
    """One call of ``sweep``: what is left to do, and doing it."""

    def __init__(
        self,
        settings: Settings,
        store: Store | None,
        meter: Meter,
        clock: Clock,
        recipe: Mapping[str, Any] | None,
    ) -> None:
        self.settings, self.store, self.meter, self.clock = settings, store, meter, clock
        self.recipe = None if recipe is None else dict(recipe)
        self.programs: OrderedDict[str, Program] = OrderedDict()
        self.metrics: tuple[tuple[str, ...], Mapping[str, Any]] | None = None
        self.cells: list[Cell] = []
        first = next(_cells(settings, cells(settings.axes)))
        program = self._program(first)
        self._check_host(program)  # before anything is written
        self.found: dict[str, Blocks] = {} if store is None else self._claimed(store)
        for cell, blocks in self.found.items():
            for results in blocks.values():
                self.metrics = (tuple(sorted(results)), cell_from_id(cell))
                break
        self._check_metrics(program, first)
        if store is not None:
            self._check_old_cell(store)
        workers = settings.workers
        meter.num_workers = 1 if workers is None else workers.num_processes

    def result(self) -> xr.Dataset:
        """Run what is missing; returns everything."""
        settings = self.settings
        grid = cells(settings.axes)
        complete = True
        try:
            while grid:
                self._round(grid)
                new = settings.rule.refined(self.cells)
                have = {cell.identifier for cell in self.cells}
                grid = [cell for cell in new if cell_id(cell) not in have]
        except OutOfTime:
            complete = False
        if self.store is not None:
            self.store.flush()
            self.store.require_place()
        if not complete:
            text = "sweep: the time limit came first: the result is incomplete"
            warnings.warn(
                text if self.store is None else f"{text}; run again to go on", stacklevel=4
            )
        self.meter.finish(
            bytes_written=0 if self.store is None else self.store.bytes_written,
            block_size=settings.block_size,
            num_devices=settings.num_devices if settings.workers is None else 0,
            num_workers=0 if settings.workers is None else settings.workers.num_processes,
            complete=complete,
        )
        return self._dataset(complete)

    def _claimed(self, store: Store) -> dict[str, Blocks]:
        """Make a new store that of this sweep, or read one that is."""
        settings = self.settings
        store.claim(
            {
                "names": sorted(settings.axes),
                "key": np.asarray(jax.random.key_data(settings.key)).tolist(),
                "key_impl": str(jax.random.key_impl(settings.key)),
                "block_size": settings.block_size,
                "identity": settings.version,
                **environment(),
            }
        )
        store.remember("dims", list(settings.axes))
        if self.recipe is not None:
            known = [value for name, value in store.manifest().items() if is_recipe(name)]
            if self.recipe not in known:
                store.remember(f"{RECIPE} {len(known)}", self.recipe)
        found, damaged = read(store, settings.block_size)
        for cell, block in damaged:
            text = f"sweep: block {block} of {cell} in {store.path} is damaged: done again"
            warnings.warn(text, stacklevel=6)
        return found

    def _check_old_cell(self, store: Store) -> None:
        """Where no cell of the grid is in the store yet, ask one that is for its program.

        The others are asked when they are run; new cells alone would join those of other code.
        """
        old = sorted(store.programs())
        wanted = {cell_id(values) for values in cells(self.settings.axes)}
        if not old or wanted & set(old):
            return
        values = cell_from_id(old[0])
        for name, known in self.settings.axes.items():
            if all(isinstance(value, float) for value in known) and type(values[name]) is int:
                values[name] = float(values[name])  # an identifier does not tell 1 from 1.0
        cell = next(_cells(self.settings, [values]))
        store.claim_program(cell.identifier, self._program(cell).identity)

    def _check_host(self, program: Program) -> None:
        """Refuse a store for what no text tells: which code outside of the program is called."""
        if self.store is None or self.settings.version is not None or not program.calls_host:
            return
        checks.fail(
            "sweep",
            "identity",
            "be given with a store, as the trial calls functions outside of its program "
            "(jax.pure_callback or the like), which cannot be told from others",
            "None",
            'Example: identity="v1"; change it whenever their code or data change.',
        )

    def _round(self, grid: list[dict[str, Any]]) -> None:
        """Run the cells of one grid to their end."""
        fresh = list(_cells(self.settings, grid))
        self.cells += fresh
        for cell in fresh:
            self._want(cell, self.settings.rule.first_round(self.settings.num_trials))
            self.meter.total += self.settings.num_trials
        self.meter.tell(None)
        groups = (self._work(group) for group in by_program(fresh))
        if self.settings.workers is None:
            run_here(groups, self._deliver, self.meter, self.clock)
        else:
            workers = self.settings.workers
            run_remote(groups, workers, self._recipe, self._deliver, self.meter, self.clock)

    def _want(self, cell: Cell, num_trials: int) -> None:
        """Raise the number of trials wanted of a cell, and take what the store has of them."""
        before = set(cell.blocks)
        cell.num_trials = num_trials
        if self.store is not None:
            self.store.ask(cell.identifier, num_trials)
        for block, results in self.found.get(cell.identifier, {}).items():
            if block < cell.num_blocks and block not in before:
                cell.blocks.put(block, results)
                self.meter.count(results, cell.visible(block), ran=False)

    def _work(self, group: list[Cell]) -> Work:
        claimed = False

        def program() -> Program:
            nonlocal claimed
            found = self._program(group[0])
            if not claimed and self.store is not None:
                self._check_host(found)
                for cell in group:
                    self.store.claim_program(cell.identifier, found.identity)
            claimed = True
            return found

        return Work(program, group, self._more)

    def _more(self, cell: Cell) -> bool:
        """Ask for the next round of a finished cell, or end it."""
        wanted = self.settings.rule.next_round(cell, self.settings.num_trials)
        if wanted is not None:
            self._want(cell, wanted)
            return True
        self.meter.total -= self.settings.num_trials - cell.num_trials
        self.meter.tell(cell.values, cell.blocks.trials(cell.num_trials).arrays)
        return False

    def _deliver(self, work: Work, unit: Unit, results: Results) -> None:
        cell = unit.cell
        if self.store is not None:
            began = time.perf_counter()
            self.store.put(cell.identifier, unit.number, results)
            self.meter.write_seconds += time.perf_counter() - began
        self.meter.count(results, cell.visible(unit.number), ran=True)
        self.meter.tell(cell.values)
        work.deliver(unit, results)

    def _program(self, cell: Cell) -> Program:
        name = program_name(cell)
        if name not in self.programs:
            settings = self.settings
            arguments = (settings.trial, cell.static, cell.traced, settings.block_size)
            impl = str(jax.random.key_impl(settings.key))
            program = Program(*arguments, key_impl=impl, num_devices=settings.num_devices)
            self._check_metrics(program, cell)
            self.programs[name] = program
        self.programs.move_to_end(name)
        while len(self.programs) > _PROGRAMS_KEPT:
            self.programs.popitem(last=False)
        return self.programs[name]

    def _check_metrics(self, program: Program, cell: Cell) -> None:
        names = tuple(sorted(program.metrics))
        for name in names:
            if name in ("trial", "ran") or name in cell.values:
                expected = "have names other than 'trial', 'ran' and those of the grid"
                checks.fail("sweep", "trial's result", expected, repr(name))
        success = self.settings.rule.success
        if isinstance(success, str):
            checks.choice("sweep", "success", success, names)
            if program.metrics[success] != np.dtype(bool):
                got = f"{success!r} of type {program.metrics[success]}"
                hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
                checks.fail("sweep", "success", "be the name of a boolean metric", got, hint)
        if self.metrics is None:
            self.metrics = (names, cell.values)
        if names != self.metrics[0]:
            first, where = self.metrics
            got = f"{list(first)} in the cell {dict(where)} and {list(names)} in {cell.values}"
            checks.fail("sweep", "trial's result", "have the same names in every cell", got)

    def _recipe(self, program: Program, unit: Unit) -> Recipe:
        settings = self.settings
        return Recipe(
            trial=settings.trial,
            static=program.static,
            traced=unit.cell.traced,
            block_size=settings.block_size,
            key_impl=str(jax.random.key_impl(settings.key)),
            identity=program.identity,
            config=numeric_config(),
            environment=None if self.store is None else environment(),
        )

    def _dataset(self, complete: bool) -> xr.Dataset:
        size = self.settings.block_size
        table, axes = {}, {name: list(values) for name, values in self.settings.axes.items()}
        known = {name: set(map(token, values)) for name, values in axes.items()}
        for cell in self.cells:
            for name, value in cell.values.items():
                if token(value) not in known[name]:
                    known[name].add(token(value))
                    axes[name].append(value)  # a cell that bisection added
            if cell.blocks:
                place = tuple(token(cell.values[name]) for name in axes)
                table[place] = cell.blocks.trials(cell.num_trials)
        for name in self.settings.rule.bisect:
            axes[name].sort()
        most = max((len(found.ran) for found in table.values()), default=0)
        attrs = {"block_size": size, "complete": int(complete)}
        return to_dataset(axes, table, most, attrs)
