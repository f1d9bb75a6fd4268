"""How long a sweep would take and how its time grows, from a few of its own trials."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._cells import Cell, cells, check_grid, keyed_cell, num_programs, program_name
from jaxinv.sweeps._program import Program, Trial, check_trial
from jaxinv.sweeps._progress import Clock
from jaxinv.sweeps._sweep import check_devices

_BLOCK_ON_ACCELERATORS = 64
_BETWEEN_EQUAL_RUNS = 0.1  # relative deviation of their times on a quiet machine
_NORMAL_QUANTILE = 1.96
_SHARE_OF_TIMING = 0.25  # of the time limit, at least, however long the first compile takes
_MARGIN = 1.2  # a call is begun when this much of its expected time is left
_WARM_UP = 0.25  # seconds: the first call of a program is run again, unless it took longer


class Growth(NamedTuple):
    """How time grows with one size: as size ** slope.

    Attributes:
        name: the axis of the grid, or ``"trial"`` for the number of trials.
        slope: of the least-squares line through log time over log size.
        error: its standard error; NaN where there are too few points to tell.
        num_points: points of the line.
    """

    name: str
    slope: float
    error: float
    num_points: int


class Estimate(NamedTuple):
    """What a sweep would cost on this machine.

    Attributes:
        seconds: compiling and computing, for the whole grid.
        low: an interval that should hold 19 of 20 sweeps: what the trials that were not timed may
        high: take, and what other work on the machine does to its speed.
        compile_seconds: the part that is tracing and compiling.
        bytes: memory of one block by the compiler's account, the largest that was compiled.
        block_size: trials a block.
        num_blocks: blocks of the sweep.
        num_timed: blocks that were timed.
        num_cells_timed: cells that they lie in.
        growth: how time grows, a ``Growth`` for the trials and for each numeric axis.
    """

    seconds: float
    low: float
    high: float
    compile_seconds: float
    bytes: int
    block_size: int
    num_blocks: int
    num_timed: int
    num_cells_timed: int
    growth: tuple[Growth, ...]


def estimate(
    trial: Trial,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Any,
    num_trials: int = 100,
    traced: Sequence[str] = (),
    num_devices: int | None = None,
    block_size: int | None = None,
    time_limit: float = 7.0,
) -> Estimate:
    r"""Foresee the time and memory of a ``sweep`` with the same arguments; runs few of its trials.

    The first and the last cell are timed, then cells between them, then more trials of each, until
    the time limit. Cells that were not timed are interpolated in the order of the grid. The
    interval adds the scatter of the trials, the misfit of the interpolation where a timed cell is
    left out, and for the machine a standard deviation of a tenth, times its load a core where that
    is above one. Nothing is written, and no result is kept.

    Args:
        trial: ``trial(key, **cell) -> dict of scalars``, as of ``sweep``.
        grid: names to values; put the cheapest cell first and the dearest last.
        key: root JAX PRNG key: the trials that are timed are those that the sweep would run.
        num_trials: trials a cell, >= 1.
        traced: names that reach the trial as traced scalars.
        num_devices: local devices that each run a block at a time, as of ``sweep``.
        block_size: trials a block; default 1 on CPUs. On accelerators 64, and the sweep, which
            measures, may find a faster one.
        time_limit: seconds, after which no block is begun that would probably end later. The
            first compile and a block of the first and of the last cell are waited for whatever
            they take, and a quarter of the limit is for timing.

    Returns:
        ``Estimate``.

    Raises:
        ValueError, TypeError: arguments that ``sweep`` refuses too.

    Cost: the time limit, or a compile and a block of the first and the last cell if that is more.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def trial(key, *, n):
        ...     return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> found = estimate(trial, {"n": [4, 8]}, key=jax.random.key(0), time_limit=0.5)
        >>> found.low < found.seconds < found.high, found.num_blocks, found.block_size
        (True, 200, 1)
        >>> [growth.name for growth in found.growth]
        ['trial', 'n']
    """
    began = time.perf_counter()
    limit = float(checks.positive("estimate", "time_limit", time_limit))
    key = checks.key("estimate", key)
    num_trials = checks.count("estimate", "num_trials", num_trials)
    axes, names = check_grid(grid, traced, "estimate")
    check_trial(trial, list(axes), is_sent=False, where="estimate")
    devices = check_devices(num_devices, None, "estimate")
    on_cpu = jax.default_backend() == "cpu"
    size = (1 if on_cpu else min(_BLOCK_ON_ACCELERATORS, num_trials)) if block_size is None else 0
    size = size or checks.count("estimate", "block_size", block_size)
    every = cells(axes)
    num_blocks = math.ceil(num_trials / size)
    calls = math.ceil(num_blocks / devices)
    watch = _Stopwatch(trial, str(jax.random.key_impl(key)), size, devices)
    watch.program(keyed_cell(every[0], key, names, size))
    clock = Clock(max(limit - (time.perf_counter() - began), _SHARE_OF_TIMING * limit))
    for place in _visits(len(every), calls, watch, clock):
        watch.time(place, keyed_cell(every[place], key, names, size), clock)
    compiling = float(np.mean(watch.compiles)) * num_programs(axes, names)
    running, half_width = _whole(watch.times, len(every), num_blocks / devices)
    timed = sum(map(len, watch.times.values()))
    return Estimate(
        seconds=compiling + running,
        low=watch.compiles[0] + running * math.exp(-half_width),  # the others beside the trials
        high=(compiling + running) * math.exp(half_width),
        compile_seconds=compiling,
        bytes=max(program.memory() for program in watch.programs.values()),
        block_size=size,
        num_blocks=num_blocks * len(every),
        num_timed=min(timed * devices, num_blocks * len(every)),
        num_cells_timed=len(watch.times),
        growth=(_of_trials(watch.times), *_of_axes(watch.times, every)),
    )


class _Stopwatch:
    """The programs that were compiled, and the seconds of the calls of each cell."""

    def __init__(self, trial: Trial, key_impl: str, block_size: int, num_devices: int) -> None:
        self._settings = (trial, key_impl, block_size, num_devices)
        self.programs: dict[str, Program] = {}
        self._warm: set[str] = set()
        self.compiles: list[float] = []
        self.times: dict[int, list[float]] = {}

    def time(self, place: int, cell: Cell, clock: Clock) -> None:
        """Time the next call of a cell, unless there is no time left to compile its program."""
        is_new = program_name(cell) not in self.programs
        if is_new and len(self.times) >= 2 and not clock.has_room_to_compile():
            return
        program = self.program(cell)
        clock.longest_compile = max(self.compiles)
        done = self.times.setdefault(place, [])
        seconds = self._seconds(program, cell, len(done))
        if program_name(cell) not in self._warm and seconds < _WARM_UP:
            seconds = self._seconds(program, cell, len(done))
        self._warm.add(program_name(cell))
        done.append(seconds)

    def expected(self, place: int) -> float:
        """Return the seconds that a call of a cell probably takes."""
        places = sorted(self.times)
        means = np.array([np.mean(self.times[i]) for i in places])
        return float(np.interp(place, places, means))

    def program(self, cell: Cell) -> Program:
        """Return the program of a cell, compiled."""
        name = program_name(cell)
        if name not in self.programs:
            trial, impl, size, devices = self._settings
            how = {"key_impl": impl, "num_devices": devices, "where": "estimate"}
            program = Program(trial, cell.static, cell.traced, size, **how)
            program.compile()
            self.compiles.append(program.pop_seconds())
            self.programs[name] = program
        return self.programs[name]

    def _seconds(self, program: Program, cell: Cell, call: int) -> float:
        many = program.num_devices
        began = time.perf_counter()
        blocks = [cell.block(call * many + i) for i in range(many)]
        program.collect(program.start(blocks), many)
        return time.perf_counter() - began


def _visits(count: int, calls: int, watch: _Stopwatch, clock: Clock) -> Iterator[int]:
    """Yield cells to be timed, in rounds over those for which there is time."""
    order = _spread(count)
    for _ in range(calls):
        before = sum(map(len, watch.times.values()))
        for i, place in enumerate(order):
            left = clock.seconds_left() or 0.0
            if len(watch.times) < min(2, count) and i < 2:
                yield place
            elif left <= 0:
                return
            elif left > _MARGIN * watch.expected(place):
                yield place
        if sum(map(len, watch.times.values())) == before:
            return


def _spread(count: int) -> list[int]:
    """Return 0 to count - 1 in an order that is spread out wherever it is cut: both ends first."""
    last = count - 1
    found = dict.fromkeys((0, last))
    parts = 2
    while len(found) < count:
        found |= dict.fromkeys(round(i * last / parts) for i in range(1, parts, 2))
        parts *= 2
    return list(found)


def _whole(times: Mapping[int, list[float]], count: int, calls: float) -> tuple[float, float]:
    """Return the seconds of all calls, and half the width of the interval of their logarithm."""
    from scipy.special import stdtrit

    places = np.array(sorted(times))
    means = np.array([np.mean(times[i]) for i in places])
    done = np.array([len(times[i]) for i in places])
    # how many cells each timed one stands for, by linear interpolation between them
    weights = np.array(
        [np.sum(np.interp(np.arange(count), places, one)) for one in np.eye(done.size)]
    )
    running = calls * float(weights @ means)
    repeats, freedom = int(np.sum(done - 1)), len(places) - 2
    misfit = _misfit(places, means)
    scatter = misfit if len(places) > 1 else 1.0  # neighbors scatter at least as trials do
    if repeats > freedom:
        deviations = [np.sum(np.square(np.divide(times[i], np.mean(times[i])) - 1)) for i in times]
        scatter = math.sqrt(np.sum(deviations) / repeats)
    unseen = running - calls * float(np.sum(means))
    rest = np.maximum(calls * weights - done, 0)
    variance = float(np.sum((rest**2 / done + rest) * np.square(scatter * means)))
    if len(places) < count:
        variance += (misfit * unseen) ** 2 / (len(places) - 1)
    else:
        freedom = max(freedom, repeats)
    quantile = float(stdtrit(max(freedom, 2), 0.975))
    of_trials = quantile * math.sqrt(variance) / running
    return running, math.hypot(of_trials, _NORMAL_QUANTILE * _of_the_machine())


def _of_the_machine() -> float:
    """Return the relative deviation between equal runs: more where others use the cores too."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return _BETWEEN_EQUAL_RUNS * max(1.0, load / (os.cpu_count() or 1))


def _misfit(places: np.ndarray, means: np.ndarray) -> float:
    """Return the relative error of interpolation, where each timed cell is left out in turn."""
    if len(places) < 3:
        return float(np.ptp(means) / np.sum(means))
    inner = range(1, len(places) - 1)
    left_out = [
        np.interp(places[i], np.delete(places, i), np.delete(means, i)) / means[i] for i in inner
    ]
    return math.sqrt(np.mean(np.square(np.log(left_out))))


def _of_trials(times: Mapping[int, list[float]]) -> Growth:
    """Return how time grows with trials, from disjoint groups of rounds over the cells.

    Every second round is one group, every second of the others the next, and so on: a machine
    that slows down meanwhile does not look like growth.
    """
    rounds = max(1, max(map(len, times.values())) - 1)  # the last may have been cut short
    rest = np.sum([found[:rounds] for found in times.values() if len(found) >= rounds], axis=0)
    sizes, seconds = [], []
    while len(rest):
        group, rest = rest[::2], rest[1::2]
        sizes.append(len(group))
        seconds.append(np.sum(group))
    slopes, errors = power_law(sizes, seconds)
    return Growth("trial", slopes[0], errors[0], len(sizes))


def _of_axes(times: Mapping[int, list[float]], every: Sequence[Mapping[str, Any]]) -> list[Growth]:
    """Return how time grows with each axis of positive numbers, all of them in one fit."""
    values = {name: [every[i][name] for i in times] for name in every[0]}
    names = [name for name in values if _is_size(values[name])]
    sizes = np.array([values[name] for name in names], float).T
    slopes, errors = power_law(sizes, [np.mean(found) for found in times.values()])
    return [Growth(*row, len(times)) for row in zip(names, slopes, errors, strict=True)]


def _is_size(values: Sequence[Any]) -> bool:
    numbers = all(type(value) in (int, float) and value > 0 for value in values)
    return numbers and len(set(values)) > 1


def power_law(sizes: Any, seconds: Any) -> tuple[list[float], list[float]]:
    """Fit seconds = c * size_1 ** slope_1 * ... by least squares of the logarithms.

    ``sizes`` has a row a point and a column a size. Returns the slopes and their standard errors,
    which are NaN where there are no more points than coefficients, or the sizes move together.
    """
    columns = np.log(np.asarray(sizes, float).reshape(len(seconds), -1))
    design = np.column_stack([np.ones(len(seconds)), columns])
    found, _, rank, _ = np.linalg.lstsq(design, np.log(seconds))
    slopes, width = found[1:], design.shape[1]
    if rank < width:
        nothing = [math.nan] * (width - 1)
        return nothing, nothing
    errors = np.full(width - 1, math.nan)
    if len(seconds) > width:
        residual = np.sum(np.square(np.log(seconds) - design @ found)) / (len(seconds) - width)
        errors = np.sqrt(residual * np.diag(np.linalg.inv(design.T @ design))[1:])
    return slopes.tolist(), errors.tolist()
