"""The engine: one solver over thousands of random problems, one compiled program per block."""

from __future__ import annotations

import importlib.metadata
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.experiments._cells import cell_id, cell_key, cells, check_grid, token
from jaxinv.experiments._dataset import to_dataset
from jaxinv.experiments._executors import Task, check_executor, numeric_config, run_task
from jaxinv.experiments._program import Program, Trial, default_micro_batch
from jaxinv.experiments._store import Results, Store
from jaxinv.experiments.stores import join, read

if TYPE_CHECKING:
    import xarray as xr


class Progress(NamedTuple):
    """What ``sweep`` reports between compiled blocks.

    Attributes:
        num_done: trials finished, those found in the store included.
        num_trials: trials of the whole sweep.
        cell: the cell at work; None before the first one has compiled.
        finished: the cell's results ``{metric: (num_trials,)}`` when it has just finished.
    """

    num_done: int
    num_trials: int
    cell: Mapping[str, Any] | None
    finished: Results | None


def sweep(
    trial: Trial,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Any,
    num_trials: int = 100,
    traced: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    executor: Any = None,
    micro_batch: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> xr.Dataset:
    """Run ``trial`` over a grid, ``num_trials`` times in each cell.

    The results are a function of the trial, the cell's values, the key and the micro-batch
    alone: not of the order or grouping of blocks, an interruption, the rest of the grid, or
    the number of trials, to the bit, on one type of hardware.

    Args:
        trial: ``trial(key, **cell) -> dict of scalars``. Arrays it needs (an operator, a
            solver, a family) go in by ``jax.tree_util.Partial(function, *arrays)``: they are
            then arguments of the program, not constants.
        grid: names to values: numbers, strings, booleans, or tuples of these. A value reaches
            the trial as a Python value, which may set shapes: one compile each.
        key: root JAX PRNG key, either style.
        num_trials: trials a cell, >= 1.
        traced: names that reach the trial as traced scalars; cells that differ only in these
            share one compile.
        store: path of a SQLite file that keeps finished blocks. An existing one of the same
            sweep is resumed and may grow, by cells or by trials; another's is refused.
        executor: a process executor of ``concurrent.futures``' interface (spawned workers);
            None runs here. This process alone writes the store.
        micro_batch: trials per compiled block; default 1 on CPUs, 256 on accelerators, or
            what the store says. Another value changes the last bits of the results.
        progress: called with a ``Progress`` after every block.

    Returns:
        A Dataset with one dimension per grid name, and ``trial``; one variable per metric.

    Raises:
        ValueError, TypeError: a grid, a trial's result or an executor that cannot be used.
        StoreError: a store that is foreign, damaged as a whole, or being written.

    Cost: one compile per distinct combination of untraced values.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def trial(key, *, n, scale):
        ...     return {"mean": scale * jnp.mean(jax.random.normal(key, (n,)))}
        >>> ds = sweep(trial, {"n": [4, 8], "scale": [1.0, 2.0]}, key=jax.random.key(0),
        ...            num_trials=10, traced=("scale",))
        >>> dict(ds.sizes)
        {'n': 2, 'scale': 2, 'trial': 10}
    """
    key = checks.key("sweep", key)
    num_trials = checks.count("sweep", "num_trials", num_trials)
    if micro_batch is not None:
        micro_batch = checks.count("sweep", "micro_batch", micro_batch)
    axes, traced_names = check_grid(grid, traced)
    if executor is not None:
        check_executor(executor)
    if progress is not None and not callable(progress):
        checks.fail_type("sweep", "progress", "be a function of one Progress", progress)
    if store is not None and (not isinstance(store, str | os.PathLike) or not str(store)):
        checks.fail_type("sweep", "store", "be the path of a file", store)
    if store is None:
        size = micro_batch or default_micro_batch()
        run = _Run(trial, key, num_trials, traced_names, size, None, executor, progress)
        return _collect(axes, run.all(cells(axes)), num_trials, {"micro_batch": size})
    with Store(store, write=True) as opened:
        stored = opened.manifest().get("micro_batch")
        size = micro_batch or stored or default_micro_batch()
        opened.claim(_manifest(key, size, list(axes)))
        opened.remember("dims", list(axes))
        run = _Run(trial, key, num_trials, traced_names, size, opened, executor, progress)
        return _collect(axes, run.all(cells(axes)), num_trials, {"micro_batch": size})


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


def _collect(
    axes: Mapping[str, Sequence[Any]],
    results: Iterator[tuple[dict[str, Any], Results]],
    num_trials: int,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    table = {tuple(token(cell[name]) for name in axes): arrays for cell, arrays in results}
    metrics = {tuple(sorted(arrays)) for arrays in table.values()}
    if len(metrics) > 1:
        got = " and ".join(str(list(names)) for names in sorted(metrics))
        checks.fail("sweep", "trial's result", "have the same names in every cell", got)
    return to_dataset(axes, table, num_trials, attrs)


def _check_names(metrics: Mapping[str, Any], cell: Mapping[str, Any]) -> None:
    for name in metrics:
        if name == "trial" or name in cell:
            expected = "have names other than 'trial' and those of the grid"
            checks.fail("sweep", "trial's result", expected, repr(name))


class _Run:
    """One call of ``sweep``: what is left to do, and doing it."""

    def __init__(
        self,
        trial: Trial,
        key: jax.Array,
        num_trials: int,
        traced: tuple[str, ...],
        micro_batch: int,
        store: Store | None,
        executor: Any,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.trial, self.key, self.num_trials, self.traced = trial, key, num_trials, traced
        self.micro_batch, self.store, self.executor = micro_batch, store, executor
        self.num_blocks = math.ceil(num_trials / micro_batch)
        self.report = progress or (lambda _: None)
        self.program: tuple[str, Program] | None = None
        self.num_done = 0

    def all(self, grid: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Results]]:
        """Yield every cell with the results of its trials."""
        found: dict[str, dict[int, Results]] = {}
        if self.store is not None:
            found, damaged = read(self.store)
            for cell, block in damaged:
                text = f"sweep: block {block} of {cell} in {self.store.path} is damaged: done again"
                warnings.warn(text, stacklevel=4)
            for cell in grid:
                self.store.ask(cell_id(cell), self.num_trials)
        self.total = self.num_trials * len(grid)
        self.report(Progress(0, self.total, None, None))
        for cell in self._by_program(grid):
            identifier = cell_id(cell)
            blocks = {b: r for b, r in found.get(identifier, {}).items() if b < self.num_blocks}
            self.num_done += sum(self._visible(block) for block in blocks)
            program = self._program(cell)
            missing = [block for block in range(self.num_blocks) if block not in blocks]
            for block, results in self._run(program, cell, identifier, missing):
                blocks[block] = results
                if self.store is not None:
                    self.store.put(identifier, block, results)
                self.num_done += self._visible(block)
                self.report(Progress(self.num_done, self.total, cell, None))
            joined = join(blocks, self.num_blocks)
            results = {name: array[: self.num_trials] for name, array in joined.items()}
            self.report(Progress(self.num_done, self.total, cell, results))
            yield cell, results

    def _visible(self, block: int) -> int:
        return min(self.micro_batch, self.num_trials - block * self.micro_batch)

    def _split(self, cell: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        static = {name: value for name, value in cell.items() if name not in self.traced}
        return static, {name: cell[name] for name in self.traced}

    def _program_name(self, cell: Mapping[str, Any]) -> str:
        static, traced = self._split(cell)
        kinds = {name: type(value).__name__ for name, value in traced.items()}
        return cell_id(static) + (f" traced {cell_id(kinds)}" if kinds else "")

    def _by_program(self, grid: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the cells grouped by program, so that one is held at a time."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for cell in grid:
            groups.setdefault(self._program_name(cell), []).append(cell)
        return [cell for group in groups.values() for cell in group]

    def _program(self, cell: Mapping[str, Any]) -> Program:
        name = self._program_name(cell)
        if self.program is None or self.program[0] != name:
            static, traced = self._split(cell)
            program = Program(self.trial, static, traced, self.micro_batch)
            _check_names(program.metrics, cell)
            self.program = (name, program)
        if self.store is not None:
            self.store.claim_program(cell_id(cell), self.program[1].identity)
        return self.program[1]

    def _run(
        self, program: Program, cell: Mapping[str, Any], identifier: str, missing: list[int]
    ) -> Iterator[tuple[int, Results]]:
        key = cell_key(self.key, identifier)
        traced = self._split(cell)[1]
        if self.executor is None:
            for block in missing:
                yield block, program.run(key, block, traced)
            return
        task = Task(
            trial=self.trial,
            static=program.static,
            traced=traced,
            micro_batch=self.micro_batch,
            identity=program.identity,
            key_data=np.asarray(jax.random.key_data(key)),
            key_impl=str(jax.random.key_impl(key)),
            cell=identifier,
            blocks=(),
            config=numeric_config(),
        )
        parts = [missing[start::4] for start in range(4) if missing[start::4]]
        futures = [self.executor.submit(run_task, task._replace(blocks=tuple(p))) for p in parts]
        for future in as_completed(futures):
            yield from future.result()
