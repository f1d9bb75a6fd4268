"""Running blocks in this process: how large, on which devices, and what is said meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv.sweeps._cells import Unit, Work
from jaxinv.sweeps._program import Block, Program, Results

_MARGIN = 1.5  # blocks that may still fit into a time limit take up to this times the longest


class OutOfTime(Exception):
    """The time limit of a sweep has come."""


class Clock:
    """The time limit of a sweep."""

    def __init__(self, limit: float | None) -> None:
        self._end = None if limit is None else time.perf_counter() + limit
        self.longest = 0.0
        self.longest_compile = 0.0

    def seconds_left(self) -> float | None:
        """Return the seconds to the limit, or None without one."""
        return None if self._end is None else self._end - time.perf_counter()

    def has_room(self) -> bool:
        """Return whether another block will probably finish in time."""
        left = self.seconds_left()
        return left is None or left > _MARGIN * self.longest

    def has_room_to_compile(self) -> bool:
        """Return whether another program, and a block of it, will probably be done in time."""
        left = self.seconds_left()
        return left is None or left > _MARGIN * (self.longest_compile + self.longest)


def run_here(
    groups: Iterable[Work],
    deliver: Callable[[Work, Unit, Results], None],
    meter: Meter,
    clock: Clock,
) -> None:
    """Run every group. Results are delivered, and the next program compiles, beside a block.

    Never two programs run at once: on a CPU they can hang. Tracing may run operations too, so
    the next group is traced before the blocks of this one begin.
    """
    waiting = iter(groups)
    work = next(waiting, None)
    while work is not None:
        program = work.program()
        following = next(waiting, None)
        ahead = None
        if not work.is_finished_in_store:
            if not clock.has_room_to_compile():
                raise OutOfTime
            program.compile()
            clock.longest_compile = max(clock.longest_compile, program.seconds)
            ahead = _compiling(following) if clock.has_room_to_compile() else None
        try:
            work.open()
            _blocks(work, program, deliver, meter, clock)
        finally:
            if ahead is not None:
                ahead.join()
            meter.compile_seconds += program.pop_seconds()
        work = following


def _compiling(work: Work | None) -> threading.Thread | None:
    """Trace a group now and compile it in a thread of its own.

    An error is raised where the program is needed, when the trials before it are safe.
    """
    if work is None or work.is_finished_in_store:
        return None

    def compile_(program: Program) -> None:
        with contextlib.suppress(Exception):
            program.compile()

    try:
        thread = threading.Thread(target=compile_, args=(work.program(),))
    except Exception:
        return None
    thread.start()
    return thread


@contextlib.contextmanager
def _named(units: list[Unit]) -> Iterator[None]:
    """Note on an error which cell and block it comes from."""
    try:
        yield
    except Exception as error:
        places = ", ".join(f"{unit.cell.values} block {unit.number}" for unit in units)
        error.add_note(f"sweep: raised by the trial in the cell {places}")
        raise


def _blocks(
    work: Work,
    program: Program,
    deliver: Callable[[Work, Unit, Results], None],
    meter: Meter,
    clock: Clock,
) -> None:
    taken: list[Unit] = []
    running, began = None, 0.0
    while True:
        if running is None:
            taken = work.take(program.num_devices)
            if not taken:
                return
            if not clock.has_room():
                raise OutOfTime
            began = time.perf_counter()
            with _named(taken):
                running = program.start([unit.cell.block(unit.number) for unit in taken])
        with _named(taken):
            found = program.collect(running, len(taken))
        seconds = time.perf_counter() - began
        meter.run_seconds += seconds
        clock.longest = max(clock.longest, seconds)
        done, taken, running, failure = taken, [], None, None
        if clock.has_room():
            taken = work.take(program.num_devices)
            if taken:  # the device works on while these results are written
                began = time.perf_counter()
                try:
                    with _named(taken):
                        running = program.start([unit.cell.block(unit.number) for unit in taken])
                except BaseException as error:  # callbacks run here: the finished block is kept
                    failure = error
        for unit, results in zip(done, found, strict=True):
            deliver(work, unit, results)
        if failure is not None:
            raise failure


_STEP = 4  # 1, 4, 16, ...: each candidate costs a compile
_LARGEST = 4096
_FIRST_ON_ACCELERATORS = 64  # smaller ones leave them idle, and cost as many compiles
_SHARE_OF_MEMORY = 0.25
_WORTH_IT = 1.15  # a larger block must be this much faster, or the smaller one stays
_SECONDS_OF_MEASURING = 0.05
_LONG = 1.0  # seconds for a block: longer ones hide progress and lose more when killed,
_TOO_LONG = 20.0  # and are taken only where a block of four times the trials is nearly free
_NEARLY_FREE = 2.0  # the rate grew at least this much with the last step


def default_block_size() -> int | None:
    """Return the trials per block that suit the platform; None where it must be measured.

    One on CPUs, where a batch waits for its slowest trial and falls out of the cache.
    """
    return 1 if jax.default_backend() == "cpu" else None


def measured_block_size(build: Callable[[int], Program], example: Block, num_trials: int) -> int:
    """Return the block size with the best throughput that memory and patience allow.

    ``build(size)`` makes the program. Sizes grow by fours, from 1 on a CPU and from 64 on an
    accelerator, until they stop paying, take more than a quarter of the memory by the compiler's
    account, last over a second (an accelerator may go on while four times the trials take less
    than twice the time, up to 20 s), or exceed the trials of a cell.
    """
    on_cpu = jax.default_backend() == "cpu"
    largest = min(_LARGEST, max(1, num_trials))
    size = first = 1 if on_cpu else min(_FIRST_ON_ACCELERATORS, largest)
    best, best_rate, last_rate = first, 0.0, 0.0
    while size <= largest:
        program = build(size)
        if size > first and program.memory() > _SHARE_OF_MEMORY * _memory():
            break
        seconds = _seconds(program, example)
        rate = size / seconds
        free = not on_cpu and rate >= _NEARLY_FREE * last_rate
        if rate > best_rate * (_WORTH_IT if best_rate else 1):
            best, best_rate = size, rate
        elif size > 4 * best:  # two sizes in a row did not pay
            break
        if seconds > (_TOO_LONG if free else _LONG):
            break
        last_rate = rate
        size *= _STEP
    return best


def _seconds(program: Program, example: Block) -> float:
    """Return the time of one block: the best after the first, unless that is long."""
    program.compile()
    times: list[float] = []
    while len(times) < 3 or (len(times) < 50 and sum(times) < _SECONDS_OF_MEASURING):
        began = time.perf_counter()
        program.collect(program.start([example]))
        times.append(time.perf_counter() - began)
        if times[0] > _LONG:
            break
    return min(times[1:], default=times[0])


def _memory() -> float:
    """Return the bytes of the device, or of the machine on a CPU."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Report(NamedTuple):
    """What a sweep did, and what it cost.

    Attributes:
        num_trials: trials in the result.
        num_run: those that were computed now; the others were in the store.
        num_failed: trials with a metric that is NaN or infinite.
        compile_seconds: tracing and compiling; the part that ran beside trials included.
        run_seconds: computing trials, summed over worker processes.
        write_seconds: waiting for the store.
        total_seconds: from the first block to the last.
        bytes_written: payload and rows written to the store.
        num_retries: tasks given out again because their worker was lost.
        block_size: trials per block.
        num_devices: devices of this process that ran blocks.
        num_workers: worker processes, 0 without an executor.
        complete: False where a time limit stopped the sweep.
    """

    num_trials: int
    num_run: int
    num_failed: int
    compile_seconds: float
    run_seconds: float
    write_seconds: float
    total_seconds: float
    bytes_written: int
    num_retries: int
    block_size: int
    num_devices: int
    num_workers: int
    complete: bool


class Progress(NamedTuple):
    """What ``sweep`` reports between compiled blocks.

    Attributes:
        num_done: trials finished, those found in the store included.
        num_trials: trials of the whole sweep; an adaptive one may need fewer.
        cell: the cell at work; None before the first one has compiled.
        finished: the cell's results ``{metric: (num_trials,)}`` when it has just finished.
        rate: trials a second, of those computed now.
        seconds_left: at that rate; None before it is known.
        num_failed: trials so far with a metric that is NaN or infinite.
        busy: share of the time in which the device, or the workers, computed trials.
        report: at the very end, what the sweep did.
    """

    num_done: int
    num_trials: int
    cell: Mapping[str, Any] | None
    finished: Results | None
    rate: float = 0.0
    seconds_left: float | None = None
    num_failed: int = 0
    busy: float = 0.0
    report: Report | None = None


class Meter:
    """Counts and times of one sweep."""

    def __init__(self, report: Callable[[Progress], None] | None) -> None:
        self._report = report or (lambda _: None)
        self.began = time.perf_counter()
        self.total = self.num_done = self.num_run = self.num_failed = self.num_retries = 0
        self.compile_seconds = self.run_seconds = self.write_seconds = 0.0
        self.num_workers = 1

    def count(self, results: Results, visible: int, *, ran: bool) -> None:
        """Count the first ``visible`` trials of a block."""
        bad = np.zeros(visible, bool)
        for values in results.values():
            if values.dtype.kind in "fc":
                bad |= ~np.isfinite(values[:visible])
        self.num_failed += int(bad.sum())
        self.num_done += visible
        self.num_run += visible if ran else 0

    def tell(self, cell: Mapping[str, Any] | None, finished: Results | None = None) -> None:
        """Report the state of things."""
        elapsed = time.perf_counter() - self.began
        rate = self.num_run / elapsed if elapsed > 0 else 0.0
        left = (self.total - self.num_done) / rate if rate else None
        busy = min(1.0, self.run_seconds / (elapsed * self.num_workers)) if elapsed > 0 else 0.0
        progress = Progress(self.num_done, self.total, cell, finished, rate, left)
        self._report(progress._replace(num_failed=self.num_failed, busy=busy))

    def finish(self, **facts: Any) -> Report:
        """Report the end; returns what was reported."""
        elapsed = time.perf_counter() - self.began
        report = Report(
            num_trials=self.num_done,
            num_run=self.num_run,
            num_failed=self.num_failed,
            compile_seconds=self.compile_seconds,
            run_seconds=self.run_seconds,
            write_seconds=self.write_seconds,
            total_seconds=elapsed,
            num_retries=self.num_retries,
            **facts,
        )
        rate = self.num_run / elapsed if elapsed > 0 else 0.0
        progress = Progress(self.num_done, self.num_done, None, None, rate, 0.0)
        self._report(progress._replace(num_failed=self.num_failed, report=report))
        return report
