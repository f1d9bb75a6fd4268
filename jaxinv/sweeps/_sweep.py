"""The engine: one solver over thousands of random problems, one compiled program per block."""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._bar import ProgressBar
from jaxinv.sweeps._cells import Cell, canonical, check_grid, num_programs, token
from jaxinv.sweeps._executors import check_executor
from jaxinv.sweeps._loop import Settings, measure, run
from jaxinv.sweeps._program import Results, Trial, check_trial
from jaxinv.sweeps._progress import Clock, Meter, Progress
from jaxinv.sweeps._summaries import wilson
from jaxinv.sweeps.store._budget import MOST_BYTES
from jaxinv.sweeps.store._location import file_path
from jaxinv.sweeps.store._store import Store

if TYPE_CHECKING:
    import xarray as xr


_BYTES_OF_A_TRIAL = 2000
_MANY_PROGRAMS = 8


def sweep(
    trial: Trial,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Any,
    num_trials: int = 100,
    traced: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    identity: str | None = None,
    executor: Any = None,
    num_devices: int | None = None,
    block_size: int | str | None = None,
    success: Success | None = None,
    precision: float | None = None,
    bisect: str | Mapping[str, float] | None = None,
    time_limit: float | None = None,
    progress: Callable[[Progress], None] | bool | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Run ``trial`` over a grid, ``num_trials`` times in each cell.

    The results are a function of the trial, the cell's values, the key and the block size
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
        store: path of a SQLite file that keeps finished blocks, written every second. An
            existing one of the same sweep is resumed and may grow, by cells or by trials;
            another's is refused: of another program, key, type, device, flags or versions.
        executor: a Dask client, or a process executor of ``concurrent.futures``' interface
            (spawned workers); None runs here. This process alone writes the store.
        num_devices: local devices that each run a block at a time; default all accelerators,
            or one CPU device. More than one CPU device needs the environment variable NPROC.
        identity: a version of what the trial does, in words of yours, that its store then goes
            by as well. A trial that calls Python back (``jax.pure_callback``) has a store only
            under one: change it with the callback's code or data.
        block_size: trials per compiled block; "auto" measures, None is what the store says,
            or 1 on CPUs and "auto" on accelerators. Another value changes the last bits.
        success: what ``precision`` and ``bisect`` count: the name of a boolean metric, or a
            function of ``{metric: (trials,)}`` that gives booleans.
        precision: a cell ends, after 16, 32, 64, ... trials, when the 95 % Wilson interval of
            its success rate is at most ± this wide, in (0, 0.5).
        bisect: an axis, or ``{axis: smallest spacing}``: where the success rate crosses 1/2
            between neighbours, cells halfway are added, until the spacing is reached.
        time_limit: seconds after which no block is begun, nor a compile that would probably end
            later; what is done is returned. The first compile cannot be foreseen.
        progress: True shows a bar (in a terminal or a notebook; elsewhere a line now and then); a
            function is called with a ``Progress`` after every block, so ``print`` will do.
        recipe: how this sweep can be asked for again, in words of yours (a dict that JSON can
            hold): the store remembers it, and ``sweeps.recipes`` reads it back.

    Returns:
        A Dataset with one dimension per grid name, and ``trial``; one variable per metric.
        Where not all trials were run, the coordinate ``ran`` says which were.

    Raises:
        ValueError, TypeError: a grid, a trial's result or an executor that cannot be used.
        StoreError: a store that is foreign, damaged as a whole, or being written; or one that was
            moved, deleted or replaced meanwhile (with where its content is safe).

    Warns:
        UserWarning: the time limit came, a damaged block is computed again, or a trial could
            hang: several batched LAPACK calls on a CPU without NPROC in the environment; or many
            programs would be compiled where traced numbers make one.

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
    if block_size is not None and block_size != "auto":
        hint = 'Or "auto", to measure.' if isinstance(block_size, str) else ""
        block_size = _count_or("block_size", block_size, hint)
    axes, traced_names = check_grid(grid, traced)
    rule = check_rule(success, precision, bisect, axes)
    workers = None if executor is None else check_executor(executor)
    check_trial(trial, list(axes), is_sent=isinstance(executor, ProcessPoolExecutor))
    devices = check_devices(num_devices, executor)
    report = ProgressBar() if progress is True else progress or None
    if report is not None and not callable(report):
        checks.fail_type("sweep", "progress", "be True or a function of one Progress", progress)
    if identity is not None and (not isinstance(identity, str) or not identity):
        checks.fail_type("sweep", "identity", 'be a text, as "v1", or None', identity)
    recipe = None if recipe is None else _recipe(recipe, store)
    path = None if store is None else file_path("sweep", "store", store)
    _warn_of_programs(axes, traced_names)
    meter = Meter(report)
    with contextlib.ExitStack() as stack:
        if isinstance(report, ProgressBar):
            stack.enter_context(report)
        opened = None
        if path is not None:
            asked = _BYTES_OF_A_TRIAL * num_trials * math.prod(map(len, axes.values()))
            most = max(MOST_BYTES, asked)  # what is asked for here need not be feared
            opened = stack.enter_context(Store(path, write=True, max_bytes=most))
        known = None if opened is None else opened.claims().get("block_size")
        # one on a CPU, where a batch waits for its slowest trial and falls out of the cache
        size = block_size or known or (1 if jax.default_backend() == "cpu" else "auto")
        settings = Settings(
            trial, key, axes, traced_names, num_trials, 1, devices, workers, rule, identity, recipe
        )
        if isinstance(size, str):
            size = known or measure(settings)
        return run(settings._replace(block_size=size), opened, meter, clock)


def _warn_of_programs(axes: Mapping[str, Sequence[Any]], traced: Sequence[str]) -> None:
    """Say which numbers would save compiles, where there are many."""
    count = num_programs(axes, traced)
    numeric = [
        name
        for name, values in axes.items()
        if len(values) > 1 and all(type(value) in (int, float) for value in values)
    ]
    if count <= _MANY_PROGRAMS or set(numeric) <= set(traced):
        return
    names = tuple(name for name in axes if name in numeric or name in traced)
    fewer = num_programs(axes, names)
    makes = "one" if fewer == 1 else str(fewer)
    warnings.warn(
        f"sweep: {count} programs are compiled, one for each cell of other static values; "
        f"traced={names} makes {makes}. Sizes are then padded to the largest: problems.padded, "
        "family.with_active.",
        stacklevel=3,
    )


def _recipe(recipe: Any, store: Any) -> dict[str, Any]:
    """Return what a store can remember, as it will be read back."""
    if not isinstance(recipe, Mapping):
        checks.fail_type("sweep", "recipe", "be a dict that JSON can hold", recipe)
    if store is None:
        checks.fail("sweep", "recipe", "come with a store, which remembers it", "store=None")
    try:
        return json.loads(json.dumps(dict(recipe), allow_nan=False))
    except (TypeError, ValueError) as error:
        checks.fail("sweep", "recipe", "be a dict that JSON can hold", str(error))


def _seconds(time_limit: Any) -> float:
    return float(checks.positive("sweep", "time_limit", time_limit))


def _count_or(argument: str, value: Any, hint: str) -> int:
    if hint:
        checks.fail_type("sweep", argument, "be an integer", value, hint)
    return checks.count("sweep", argument, value)


def check_devices(num_devices: int | None, executor: Any, where: str = "sweep") -> int:
    """Return how many devices of this process run blocks."""
    on_cpu = jax.default_backend() == "cpu"
    if num_devices is None:
        return 1 if on_cpu or executor is not None else jax.local_device_count()
    num_devices = checks.count(where, "num_devices", num_devices)
    if num_devices > jax.local_device_count():
        expected = f"be at most the {jax.local_device_count()} devices of this process"
        hint = "jax.config.update('jax_num_cpu_devices', N) makes more on a CPU." if on_cpu else ""
        checks.fail(where, "num_devices", expected, num_devices, hint)
    if num_devices > 1 and executor is not None:
        hint = "Each worker of an executor uses one device."
        checks.fail(where, "num_devices", "be 1 with an executor", num_devices, hint)
    threads = os.environ.get("NPROC", "")
    if on_cpu and num_devices > 1 and not (threads.isdigit() and int(threads) >= 2 * num_devices):
        expected = "be 1 on a CPU, unless the environment variable NPROC is at least twice as large"
        hint = "Batched LAPACK calls on several CPU devices hang without it: set NPROC=16."
        checks.fail(where, "num_devices", expected, num_devices, hint)
    return num_devices


Success = str | Callable[[Mapping[str, np.ndarray]], Any]
_FIRST_ROUND = 16


class Rule(NamedTuple):
    """What success is, how well its rate must be known, and where the grid is refined.

    Decisions use trials in their order alone, at 16, 32, 64, ... of them: they are the same
    however the sweep was cut up.
    """

    success: Success | None
    precision: float | None
    bisect: Mapping[str, float]

    def first_round(self, num_trials: int) -> int:
        """Return the trials that every cell runs."""
        return num_trials if self.precision is None else min(_FIRST_ROUND, num_trials)

    def next_round(self, cell: Cell, num_trials: int) -> int | None:
        """Return how many trials the cell should have next, or None when it has enough."""
        if self.precision is None or cell.num_trials >= num_trials:
            return None
        low, high = wilson(self.count(cell), cell.num_trials)
        if float(high - low) / 2 <= self.precision:
            return None
        return min(2 * cell.num_trials, num_trials)

    def count(self, cell: Cell) -> int:
        """Return the successes among the wanted trials of a cell."""
        return int(np.sum(self._succeeded(cell.blocks.trials(cell.num_trials).arrays)))

    def _succeeded(self, results: Results) -> np.ndarray:
        if isinstance(self.success, str):
            name = checks.choice("sweep", "success", self.success, results)
            values: Any = results[name]
        else:
            assert self.success is not None
            values = self.success(results)
        found = np.asarray(values)
        length = len(next(iter(results.values())))
        if found.shape != (length,) or found.dtype != bool:
            got = f"{found.dtype} of shape {found.shape}"
            hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
            checks.fail("sweep", "success", f"give booleans of shape ({length},)", got, hint)
        return found

    def refined(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Return new cells halfway between neighbours whose rates lie on both sides of 1/2."""
        found: list[dict[str, Any]] = []
        for axis, spacing in self.bisect.items():
            lines: dict[str, list[Cell]] = {}
            for cell in cells:
                rest = {name: value for name, value in cell.values.items() if name != axis}
                lines.setdefault(token(sorted(map(list, rest.items()))), []).append(cell)
            for line in lines.values():
                line.sort(key=lambda cell: cell.values[axis])
                found += [
                    {**line[0].values, axis: value} for value in self._between(line, axis, spacing)
                ]
        return found

    def _between(self, line: list[Cell], axis: str, spacing: float) -> list[Any]:
        above = [2 * self.count(cell) >= cell.num_trials for cell in line]
        values = [cell.values[axis] for cell in line]
        middles = []
        for i in range(len(line) - 1):
            left, right = values[i], values[i + 1]
            if above[i] == above[i + 1] or right - left <= spacing:
                continue
            whole = isinstance(left, int) and isinstance(right, int)
            middle = (left + right) // 2 if whole else (left + right) / 2
            if left < middle < right:
                middles.append(canonical(axis, middle))
        return middles


def check_rule(
    success: Any, precision: Any, bisect: Any, axes: Mapping[str, Sequence[Any]]
) -> Rule:
    """Return the rule that the arguments of ``sweep`` describe."""
    if success is not None and not isinstance(success, str) and not callable(success):
        expected = "be the name of a boolean metric, or a function of the metrics"
        checks.fail_type("sweep", "success", expected, success)
    if success is None and (precision is not None or bisect):
        argument = "precision" if precision is not None else "bisect"
        hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
        checks.fail("sweep", argument, "come with success", "success=None", hint)
    if precision is not None:
        precision = float(checks.positive("sweep", "precision", precision))
        if precision >= 0.5:
            checks.fail("sweep", "precision", "be in (0, 0.5)", precision)
    if isinstance(bisect, str):
        bisect = {bisect: None}
    if bisect is not None and not isinstance(bisect, Mapping):
        expected = "be the name of an axis, or a dict of one to its smallest spacing"
        checks.fail_type("sweep", "bisect", expected, bisect)
    spacings = {}
    for axis, spacing in (bisect or {}).items():
        checks.choice("sweep", "bisect", axis, axes)
        spacings[axis] = _spacing(axis, spacing, axes[axis])
    return Rule(success, precision, spacings)


def _spacing(axis: str, spacing: Any, values: Sequence[Any]) -> float:
    if len(values) < 2 or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        checks.fail(
            "sweep", f"grid[{axis!r}]", "be two or more numbers, to be bisected", str(values)
        )
    if spacing is None:  # whole numbers down to neighbours, others to a hundredth of the range
        whole = all(isinstance(value, int) for value in values)
        return 1 if whole else (max(values) - min(values)) / 100
    return float(checks.positive("sweep", f"bisect[{axis!r}]", spacing))
