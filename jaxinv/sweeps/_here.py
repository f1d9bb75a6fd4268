"""Running blocks in this process, on one device or on several."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from jaxinv.sweeps._program import Program, Results
from jaxinv.sweeps._progress import Meter
from jaxinv.sweeps._work import Unit, Work

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
