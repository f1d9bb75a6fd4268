"""The engine: one solver over thousands of random problems, one compiled program per block."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.experiments._adaptive import Rule, Success, check_rule
from jaxinv.experiments._block_size import default_micro_batch, measured_micro_batch
from jaxinv.experiments._cells import cell_from_id, cell_id, cell_key, cells, check_grid, token
from jaxinv.experiments._dataset import to_dataset
from jaxinv.experiments._executors import Recipe, Workers, check_executor, numeric_config
from jaxinv.experiments._here import Clock, OutOfTime, run_here
from jaxinv.experiments._program import Program, Results, Trial, check_trial
from jaxinv.experiments._progress import Meter, Progress
from jaxinv.experiments._remote import run_remote
from jaxinv.experiments._store import Store
from jaxinv.experiments._work import Cell, Unit, Work, by_program, program_name
from jaxinv.experiments.stores import read

if TYPE_CHECKING:
    import xarray as xr

_PROGRAMS_KEPT = 4


class _Settings(NamedTuple):
    trial: Trial
    key: jax.Array
    axes: Mapping[str, Sequence[Any]]
    traced: tuple[str, ...]
    num_trials: int
    micro_batch: int
    num_devices: int
    workers: Workers | None
    rule: Rule


def sweep(
    trial: Trial,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Any,
    num_trials: int = 100,
    traced: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    executor: Any = None,
    num_devices: int | None = None,
    micro_batch: int | str | None = None,
    success: Success | None = None,
    precision: float | None = None,
    bisect: str | Mapping[str, float] | None = None,
    time_limit: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> xr.Dataset:
    """Run ``trial`` over a grid, ``num_trials`` times in each cell.

    The results are a function of the trial, the cell's values, the key and the micro-batch
    alone: not of the order or grouping of blocks, an interruption, the number of devices or
    workers, the rest of the grid, or the number of trials, to the bit, on one type of hardware.

    Args:
        trial: ``trial(key, **cell) -> dict of scalars``. Arrays it needs (an operator, a
            solver, a family) go in by ``jax.tree_util.Partial(function, *arrays)``: they are
            then arguments of the program, not constants.
        grid: names to values: numbers, strings, booleans, or tuples of these. A value reaches
            the trial as a Python value, which may set shapes: one compile each.
        key: root JAX PRNG key, either style.
        num_trials: trials a cell, >= 1; with ``precision``, the most.
        traced: names that reach the trial as traced scalars; cells that differ only in these
            share one compile.
        store: path of a SQLite file that keeps finished blocks. An existing one of the same
            sweep is resumed and may grow, by cells or by trials; another's is refused.
        executor: a Dask client, or a process executor of ``concurrent.futures``' interface
            (spawned workers); None runs here. This process alone writes the store.
        num_devices: local devices that each run a block at a time; default all accelerators,
            or one CPU device. More than one CPU device needs the environment variable NPROC.
        micro_batch: trials per compiled block; "auto" measures, None is what the store says,
            or 1 on CPUs and "auto" on accelerators. Another value changes the last bits.
        success: what ``precision`` and ``bisect`` count: the name of a boolean metric, or a
            function of ``{metric: (trials,)}`` that gives booleans.
        precision: a cell ends, after 16, 32, 64, ... trials, when the 95 % Wilson interval of
            its success rate is at most ± this wide, in (0, 0.5).
        bisect: an axis, or ``{axis: smallest spacing}``: where the success rate crosses 1/2
            between neighbours, cells halfway are added, until the spacing is reached.
        time_limit: seconds after which no block is begun, nor a compile that would probably end
            later; what is done is returned. The first compile cannot be foreseen.
        progress: called with a ``Progress`` after every block.

    Returns:
        A Dataset with one dimension per grid name, and ``trial``; one variable per metric.
        Where not all trials were run, the coordinate ``ran`` says which were.

    Raises:
        ValueError, TypeError: a grid, a trial's result or an executor that cannot be used.
        StoreError: a store that is foreign, damaged as a whole, or being written.

    Warns:
        UserWarning: the time limit came, a damaged block is computed again, or a trial could
            hang: several batched LAPACK calls on a CPU without NPROC in the environment.

    Cost: one compile per distinct combination of untraced values, beside the previous one's
    trials.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def trial(key, *, n, scale):
        ...     return {"mean": scale * jnp.mean(jax.random.normal(key, (n,)))}
        >>> ds = sweep(trial, {"n": [4, 8], "scale": [1.0, 2.0]}, key=jax.random.key(0),
        ...            num_trials=10, traced=("scale",))
        >>> dict(ds.sizes)
        {'n': 2, 'scale': 2, 'trial': 10}
    """
    clock = Clock(None if time_limit is None else _seconds(time_limit))
    key = checks.key("sweep", key)
    num_trials = checks.count("sweep", "num_trials", num_trials)
    if micro_batch is not None and micro_batch != "auto":
        hint = 'Or "auto", to measure.' if isinstance(micro_batch, str) else ""
        micro_batch = _count_or("micro_batch", micro_batch, hint)
    axes, traced_names = check_grid(grid, traced)
    rule = check_rule(success, precision, bisect, axes)
    workers = None if executor is None else check_executor(executor)
    check_trial(trial, list(axes), is_sent=isinstance(executor, ProcessPoolExecutor))
    devices = _devices(num_devices, executor)
    if progress is not None and not callable(progress):
        checks.fail_type("sweep", "progress", "be a function of one Progress", progress)
    if store is not None and (not isinstance(store, str | os.PathLike) or not str(store)):
        checks.fail_type("sweep", "store", "be the path of a file", store)
    with contextlib.ExitStack() as stack:
        opened = None if store is None else stack.enter_context(Store(store, write=True))
        known = None if opened is None else opened.manifest().get("micro_batch")
        size = micro_batch or known or default_micro_batch() or "auto"
        settings = _Settings(trial, key, axes, traced_names, num_trials, 1, devices, workers, rule)
        if isinstance(size, str):
            size = known or _measure(settings)
        settings = settings._replace(micro_batch=size)
        if opened is not None:
            opened.claim(_manifest(key, size, list(axes)))
            opened.remember("dims", list(axes))
        return _Run(settings, opened, Meter(progress), clock).result()


def _seconds(time_limit: Any) -> float:
    return float(checks.positive("sweep", "time_limit", time_limit))


def _count_or(argument: str, value: Any, hint: str) -> int:
    if hint:
        checks.fail_type("sweep", argument, "be an integer", value, hint)
    return checks.count("sweep", argument, value)


def _devices(num_devices: int | None, executor: Any) -> int:
    """Return how many devices of this process run blocks."""
    on_cpu = jax.default_backend() == "cpu"
    if num_devices is None:
        return 1 if on_cpu or executor is not None else jax.local_device_count()
    num_devices = checks.count("sweep", "num_devices", num_devices)
    if num_devices > jax.local_device_count():
        expected = f"be at most the {jax.local_device_count()} devices of this process"
        hint = "jax.config.update('jax_num_cpu_devices', N) makes more on a CPU." if on_cpu else ""
        checks.fail("sweep", "num_devices", expected, num_devices, hint)
    if num_devices > 1 and executor is not None:
        hint = "Each worker of an executor uses one device."
        checks.fail("sweep", "num_devices", "be 1 with an executor", num_devices, hint)
    threads = os.environ.get("NPROC", "")
    if on_cpu and num_devices > 1 and not (threads.isdigit() and int(threads) >= 2 * num_devices):
        expected = "be 1 on a CPU, unless the environment variable NPROC is at least twice as large"
        hint = "Batched LAPACK calls on several CPU devices hang without it: set NPROC=16."
        checks.fail("sweep", "num_devices", expected, num_devices, hint)
    return num_devices


def _measure(settings: _Settings) -> int:
    """Return the micro-batch that is fastest for the first cell."""
    cell = next(_cells(settings, cells(settings.axes)))
    impl = str(jax.random.key_impl(settings.key))

    def build(size: int) -> Program:
        return Program(settings.trial, cell.static, cell.traced, size, key_impl=impl)

    return measured_micro_batch(build, cell.block(0), settings.num_trials)


def _cells(settings: _Settings, grid: list[dict[str, Any]]) -> Iterator[Cell]:
    for values in grid:
        cell = Cell(values, cell_id(values), settings.traced, settings.micro_batch)
        cell.key_data = np.asarray(jax.random.key_data(cell_key(settings.key, cell.identifier)))
        yield cell


def _manifest(key: jax.Array, micro_batch: int, names: list[str]) -> dict[str, Any]:
    return {
        "names": sorted(names),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "key_impl": str(jax.random.key_impl(key)),
        "micro_batch": micro_batch,
        "float": str(jax.numpy.result_type(float)),
        "platform": jax.default_backend(),
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
    }


class _Run:
    """One call of ``sweep``: what is left to do, and doing it."""

    def __init__(self, settings: _Settings, store: Store | None, meter: Meter, clock: Clock):
        self.settings, self.store, self.meter, self.clock = settings, store, meter, clock
        self.programs: OrderedDict[str, Program] = OrderedDict()
        self.metrics: tuple[tuple[str, ...], Mapping[str, Any]] | None = None
        self.cells: list[Cell] = []
        self.found = {} if store is None else self._read(store)
        for cell, blocks in self.found.items():
            for results in blocks.values():
                self.metrics = (tuple(sorted(results)), cell_from_id(cell))
                break
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
            text = "sweep: the time limit came first: the result is incomplete"
            warnings.warn(
                text if self.store is None else f"{text}; run again to go on", stacklevel=3
            )
        self.meter.finish(
            bytes_written=0 if self.store is None else getattr(self.store, "bytes_written", 0),
            micro_batch=settings.micro_batch,
            num_devices=settings.num_devices if settings.workers is None else 0,
            num_workers=0 if settings.workers is None else settings.workers.num_processes,
            complete=complete,
        )
        return self._dataset(complete)

    def _read(self, store: Store) -> dict[str, dict[int, Results]]:
        found, damaged = read(store)
        for cell, block in damaged:
            text = f"sweep: block {block} of {cell} in {store.path} is damaged: done again"
            warnings.warn(text, stacklevel=5)
        return found

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
            arguments = (settings.trial, cell.static, cell.traced, settings.micro_batch)
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
            micro_batch=settings.micro_batch,
            key_impl=str(jax.random.key_impl(settings.key)),
            identity=program.identity,
            config=numeric_config(),
        )

    def _dataset(self, complete: bool) -> xr.Dataset:
        size = self.settings.micro_batch
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
        attrs = {"micro_batch": size, "complete": int(complete)}
        return to_dataset(axes, table, most, attrs)
