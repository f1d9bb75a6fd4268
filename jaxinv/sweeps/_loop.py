"""The engine: units of work in, their results out of one generator; store, count, ask the rule."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._block_size import measured_block_size
from jaxinv.sweeps._cells import (
    Blocks,
    Cell,
    Group,
    Unit,
    by_program,
    cell_from_id,
    cell_id,
    cells,
    keyed_cell,
    program_name,
    to_dataset,
    token,
)
from jaxinv.sweeps._executors import Blueprint, Workers, numeric_config
from jaxinv.sweeps._here import run_here
from jaxinv.sweeps._program import Program, Results, Trial, environment
from jaxinv.sweeps._progress import Clock, Meter, OutOfTime
from jaxinv.sweeps._remote import run_remote
from jaxinv.sweeps.store._open import read
from jaxinv.sweeps.store._store import Store

if TYPE_CHECKING:
    import xarray as xr

    from jaxinv.sweeps._sweep import Rule

_PROGRAMS_KEPT = 4


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
    recipe: Mapping[str, Any] | None

    @property
    def key_impl(self) -> str:
        """The name of the generator that the key is for."""
        return str(jax.random.key_impl(self.key))


def measure(settings: Settings) -> int:
    """Return the block size that is fastest for the first cell."""
    cell = next(_cells(settings, cells(settings.axes)))

    def build(size: int) -> Program:
        arguments = (settings.trial, cell.static, cell.traced, size)
        return Program(*arguments, key_impl=settings.key_impl)

    return measured_block_size(build, cell.block(0), settings.num_trials)


def _cells(settings: Settings, grid: list[dict[str, Any]]) -> Iterator[Cell]:
    for values in grid:
        yield keyed_cell(values, settings.key, settings.traced, settings.block_size)


def run(settings: Settings, store: Store | None, meter: Meter, clock: Clock) -> xr.Dataset:
    """Run what is missing of a sweep; returns everything."""
    loop = _Loop(settings, store, meter, clock)
    grid = cells(settings.axes)
    complete = True
    try:
        while grid:
            with contextlib.closing(loop.finished(loop.groups(grid))) as finished:
                for unit, results in finished:
                    loop.keep(unit, results)
                    if not unit.cell.num_running:
                        unit.group.ready.extendleft(reversed(loop.wanted(unit.group, unit.cell)))
            have = {cell.identifier for cell in loop.cells}
            grid = [cell for cell in settings.rule.refined(loop.cells) if cell_id(cell) not in have]
    except OutOfTime:
        complete = False
    if store is not None:
        store.flush()
        store.require_place()
    if not complete:
        text = "sweep: the time limit came first: the result is incomplete"
        warnings.warn(text if store is None else f"{text}; run again to go on", stacklevel=3)
    workers = settings.workers
    meter.finish(
        bytes_written=0 if store is None else store.bytes_written,
        block_size=settings.block_size,
        num_devices=settings.num_devices if workers is None else 0,
        num_workers=0 if workers is None else workers.num_processes,
        complete=complete,
    )
    return loop.dataset(complete)


class _Loop:
    """What the engine does with units: make them, keep their results, ask what is wanted next."""

    def __init__(self, settings: Settings, store: Store | None, meter: Meter, clock: Clock) -> None:
        self.settings, self.store, self.meter, self.clock = settings, store, meter, clock
        self.cells: list[Cell] = []
        self.programs = Programs(settings, store)
        self.found = {} if store is None else self.programs.claimed(store)
        meter.num_workers = 1 if settings.workers is None else settings.workers.num_processes

    def groups(self, grid: list[dict[str, Any]]) -> Iterator[Group]:
        """Return the groups of a grid's cells, each made when it is asked for."""
        fresh = list(_cells(self.settings, grid))
        self.cells += fresh
        for cell in fresh:
            self._want(cell, self.settings.rule.first_round(self.settings.num_trials))
            self.meter.total += self.settings.num_trials
        self.meter.tell(None)
        return map(self._group, by_program(fresh))

    def _group(self, members: list[Cell]) -> Group:
        group = Group(members, self.programs)
        for cell in members:
            group.ready.extend(self.wanted(group, cell))
        return group

    def finished(self, groups: Iterable[Group]) -> Generator[tuple[Unit, Results], None, None]:
        """Return the units with their results, from here or from workers."""
        workers = self.settings.workers
        if workers is None:
            return run_here(groups, self.meter, self.clock)
        return run_remote(groups, workers, self.meter, self.clock)

    def keep(self, unit: Unit, results: Results) -> None:
        """Store the results of a unit, and count it."""
        cell = unit.cell
        if self.store is not None:
            began = time.perf_counter()
            self.store.put(cell.identifier, unit.number, results)
            self.meter.write_seconds += time.perf_counter() - began
        cell.blocks.put(unit.number, results)
        cell.num_running -= 1
        self.meter.count(results, cell.visible(unit.number), ran=True)
        self.meter.tell(cell.values)

    def wanted(self, group: Group, cell: Cell) -> list[Unit]:
        """Return the units that a cell lacks; where it lacks none, the rule says what is next."""
        while not (missing := cell.missing()):
            wanted = self.settings.rule.next_round(cell, self.settings.num_trials)
            if wanted is None:
                self.meter.total -= self.settings.num_trials - cell.num_trials
                self.meter.tell(cell.values, cell.blocks.trials(cell.num_trials).arrays)
                break
            self._want(cell, wanted)
        cell.num_running = len(missing)
        return [Unit(group, cell, number) for number in missing]

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

    def dataset(self, complete: bool) -> xr.Dataset:
        """Return the trials that are there."""
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
        attrs = {"block_size": self.settings.block_size, "complete": int(complete)}
        return to_dataset(axes, table, most, attrs)


class Programs:
    """The programs of a sweep, traced when they are needed, checked, and claimed in its store."""

    def __init__(self, settings: Settings, store: Store | None) -> None:
        self._settings, self._store = settings, store
        self._kept: OrderedDict[str, Program] = OrderedDict()
        self._metrics: tuple[tuple[str, ...], Mapping[str, Any]] | None = None
        self._check_host(self._traced(self._first()))  # before anything is written

    def _first(self) -> Cell:
        return next(_cells(self._settings, cells(self._settings.axes)))

    def of(self, members: Sequence[Cell]) -> Program:
        """Return the program that cells share."""
        program = self._traced(members[0])
        if self._store is not None:
            self._check_host(program)
            for cell in members:
                self._store.claim_program(cell.identifier, program.identity)
        return program

    def blueprint(self, members: Sequence[Cell]) -> Blueprint:
        """Return what a worker builds that program from."""
        program = self.of(members)
        return Blueprint(
            trial=self._settings.trial,
            static=program.static,
            traced=members[0].traced,
            block_size=self._settings.block_size,
            key_impl=self._settings.key_impl,
            identity=program.identity,
            config=numeric_config(),
            environment=None if self._store is None else environment(),
        )

    def _traced(self, cell: Cell) -> Program:
        name = program_name(cell)
        if name not in self._kept:
            settings = self._settings
            arguments = (settings.trial, cell.static, cell.traced, settings.block_size)
            impl, count = settings.key_impl, settings.num_devices
            program = Program(*arguments, key_impl=impl, num_devices=count)
            self._check_metrics(program, cell)
            self._kept[name] = program
        self._kept.move_to_end(name)
        while len(self._kept) > _PROGRAMS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[name]

    def claimed(self, store: Store) -> dict[str, Blocks]:
        """Make a new store that of this sweep, or return the blocks of one that is."""
        settings = self._settings
        store.claim(
            {
                "names": sorted(settings.axes),
                "key": np.asarray(jax.random.key_data(settings.key)).tolist(),
                "key_impl": settings.key_impl,
                "block_size": settings.block_size,
                "identity": settings.version,
                **environment(),
            }
        )
        store.remember("dims", list(settings.axes))
        if settings.recipe is not None:
            store.add_recipe(settings.recipe)
        found, damaged = read(store, settings.block_size)
        for cell, block in damaged:
            text = f"sweep: block {block} of {cell} in {store.path} is damaged: done again"
            warnings.warn(text, stacklevel=5)
        for cell, blocks in found.items():
            for results in blocks.values():
                self._metrics = (tuple(sorted(results)), cell_from_id(cell))
                break
        first = self._first()
        self._check_metrics(self._traced(first), first)
        self._check_old_cell(store)
        return found

    def _check_old_cell(self, store: Store) -> None:
        """Where no cell of the grid is in the store yet, ask one that is for its program.

        The others are asked when they are run; new cells alone would join those of other code.
        """
        axes, old = self._settings.axes, sorted(store.programs())
        if not old or {cell_id(values) for values in cells(axes)} & set(old):
            return
        values = cell_from_id(old[0])
        for name, known in axes.items():
            if all(isinstance(value, float) for value in known) and type(values[name]) is int:
                values[name] = float(values[name])  # an identifier does not tell 1 from 1.0
        cell = next(_cells(self._settings, [values]))
        store.claim_program(cell.identifier, self._traced(cell).identity)

    def _check_host(self, program: Program) -> None:
        """Refuse a store for what no text tells: which code outside of the program is called."""
        if self._store is None or self._settings.version is not None or not program.calls_host:
            return
        checks.fail(
            "sweep",
            "identity",
            "be given with a store, as the trial calls functions outside of its program "
            "(jax.pure_callback or the like), which cannot be told from others",
            "None",
            'Example: identity="v1"; change it whenever their code or data change.',
        )

    def _check_metrics(self, program: Program, cell: Cell) -> None:
        names = tuple(sorted(program.metrics))
        for name in names:
            if name in ("trial", "ran") or name in cell.values:
                expected = "have names other than 'trial', 'ran' and those of the grid"
                checks.fail("sweep", "trial's result", expected, repr(name))
        success = self._settings.rule.success
        if isinstance(success, str):
            checks.choice("sweep", "success", success, names)
            if program.metrics[success] != np.dtype(bool):
                got = f"{success!r} of type {program.metrics[success]}"
                hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
                checks.fail("sweep", "success", "be the name of a boolean metric", got, hint)
        if self._metrics is None:
            self._metrics = (names, cell.values)
        if names != self._metrics[0]:
            first, where = self._metrics
            got = f"{list(first)} in the cell {dict(where)} and {list(names)} in {cell.values}"
            checks.fail("sweep", "trial's result", "have the same names in every cell", got)
