"""Running units in this process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from jaxinv.sweeps._cells import Group, Unit
from jaxinv.sweeps._program import Program, Results
from jaxinv.sweeps._progress import Clock, Meter, OutOfTime


def run_here(
    groups: Iterable[Group], meter: Meter, clock: Clock
) -> Generator[tuple[Unit, Results], None, None]:
    """Yield the units of every group with their results.

    What is yielded is stored, and the next program compiles, beside the next unit. Never two
    programs run at once: on a CPU they can hang. Tracing may run operations too, so the next
    group is traced before the units of this one begin.
    """
    waiting = iter(groups)
    group = next(waiting, None)
    while group is not None:
        program = group.program()
        following = next(waiting, None)
        ahead = None
        if group.ready:
            if not clock.has_room_to_compile():
                raise OutOfTime
            program.compile()
            clock.longest_compile = max(clock.longest_compile, program.seconds)
            ahead = _compiling(following) if clock.has_room_to_compile() else None
        try:
            yield from _units(group, program, meter, clock)
        finally:
            if ahead is not None:
                ahead.join()
            meter.compile_seconds += program.pop_seconds()
        group = following


def _compiling(group: Group | None) -> threading.Thread | None:
    """Trace a group now and compile it in a thread of its own.

    An error is raised where the program is needed, when the trials before it are safe.
    """
    if group is None or not group.ready:
        return None

    def compile_(program: Program) -> None:
        with contextlib.suppress(Exception):
            program.compile()

    try:
        thread = threading.Thread(target=compile_, args=(group.program(),))
    except Exception:
        return None
    thread.start()
    return thread


def _units(
    group: Group, program: Program, meter: Meter, clock: Clock
) -> Generator[tuple[Unit, Results], None, None]:
    """Yield the units of one group, among them those that are added meanwhile."""
    running: Any = None
    taken: list[Unit] = []
    while True:
        if running is None:
            taken = group.take(program.num_devices)
            if not taken:
                return
            if not clock.has_room():
                raise OutOfTime
            running = _start(program, taken)
        began, results = running
        with _named(taken):
            found = program.collect(results, len(taken))
        seconds = time.perf_counter() - began
        meter.run_seconds += seconds
        clock.longest = max(clock.longest, seconds)
        done, running, failure = taken, None, None
        taken = group.take(program.num_devices) if clock.has_room() else []
        if taken:  # the device works on while these results are written
            try:
                running = _start(program, taken)
            except BaseException as error:  # callbacks run here: the finished units are kept
                failure = error
        yield from zip(done, found, strict=True)
        if failure is not None:
            raise failure


def _start(program: Program, units: list[Unit]) -> tuple[float, Any]:
    began = time.perf_counter()
    with _named(units):
        return began, program.start([unit.cell.block(unit.number) for unit in units])


@contextlib.contextmanager
def _named(units: list[Unit]) -> Iterator[None]:
    """Note on an error which cell and block it comes from."""
    try:
        yield
    except Exception as error:
        places = ", ".join(f"{unit.cell.values} block {unit.number}" for unit in units)
        error.add_note(f"sweep: raised by the trial in the cell {places}")
        raise
