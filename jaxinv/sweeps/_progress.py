"""What is said while a sweep runs: its time limit, its counts and times, and its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxinv.sweeps._program import Results

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


class Report(NamedTuple):
    """What a ``sweep`` did, and what it cost.

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

    def __str__(self) -> str:
        """Return one line, without the results: ``print`` will do for ``progress``."""
        text = f"{self.num_done} of {self.num_trials} trials"
        if self.report is not None:
            report = self.report
            seconds = f"{duration(report.total_seconds)}, {duration(report.compile_seconds)}"
            return f"{text} in {seconds} of it compiling"
        text += f", {state(self)}" if self.rate else ", compiling"
        cell = "" if self.cell is None else ", ".join(f"{k} = {v}" for k, v in self.cell.items())
        return f"{text} ({cell})" if cell else text

    __repr__ = __str__


def state(progress: Progress) -> str:
    """Return the rate, the time left, the use of the device and the failures in a few words."""
    left = progress.seconds_left
    parts = [f"{progress.rate:.3g} trials/s"]
    parts += [] if left is None else [f"{duration(left)} left"]
    parts += [f"{100 * progress.busy:.0f} % busy"]
    parts += [f"{progress.num_failed} not finite"] if progress.num_failed else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 172_800:
        return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.3g} days"


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
