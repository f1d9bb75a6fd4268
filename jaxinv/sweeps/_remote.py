"""Running units in worker processes."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from jaxinv._core import checks
from jaxinv.sweeps._cells import Group, Unit
from jaxinv.sweeps._executors import Done, Workers, run_task
from jaxinv.sweeps._program import Results
from jaxinv.sweeps._progress import Clock, Meter, OutOfTime

_SECONDS_OF_A_TASK = 0.7  # sending one and fetching its results costs milliseconds
_TASKS_AHEAD = 2  # per worker, so that none waits for this process
_MOST_RETRIES = 3
_LOST = ("KilledWorker", "CancelledError", "FutureCancelledError", "FuturesCancelledError")


def run_remote(
    groups: Iterable[Group], workers: Workers, meter: Meter, clock: Clock
) -> Generator[tuple[Unit, Results], None, None]:
    """Yield the units of every group with their results, from tasks that are worth sending.

    This process traces and gives out; the workers compile each program once.
    """
    tasks = _Tasks(groups, workers, meter, clock)
    try:
        while tasks.fill():
            for sent, done in tasks.finished():
                yield from zip(sent.units, done.results, strict=True)
        if tasks.group() is not None:
            raise OutOfTime
    finally:
        for future in tasks.sent:
            future.cancel()


class _Sent(NamedTuple):
    group: Group
    units: list[Unit]
    attempt: int


class _Tasks:
    """The tasks that are out, and the groups of cells they come from."""

    def __init__(
        self, groups: Iterable[Group], workers: Workers, meter: Meter, clock: Clock
    ) -> None:
        self.waiting, self.workers, self.meter, self.clock = iter(groups), workers, meter, clock
        self.opened: list[Group] = []
        self.sent: dict[Future[Done], _Sent] = {}
        self.seconds: dict[str, float] = {}  # of a block, by program

    def group(self) -> Group | None:
        """Return a group with units to give out; traces the next when needed."""
        out = {id(sent.group) for sent in self.sent.values()}
        self.opened = [group for group in self.opened if group.ready or id(group) in out]
        for group in self.opened:
            if group.ready:
                return group
        for group in self.waiting:
            self.meter.compile_seconds += group.program().pop_seconds()
            self.opened.append(group)
            if group.ready:
                return group
        return None

    def fill(self) -> bool:
        """Give out tasks until every worker has some; returns whether any is out."""
        while len(self.sent) < _TASKS_AHEAD * self.workers.num_processes and self.clock.has_room():
            group = self.group()
            if group is None:
                break
            seconds = self.seconds.get(group.program().identity)
            fair = math.ceil(len(group.ready) / self.workers.num_processes)
            many = math.ceil(_SECONDS_OF_A_TASK / seconds) if seconds else 1
            self._submit(_Sent(group, group.take(min(many, fair)), 1))
        return bool(self.sent)

    def _submit(self, sent: _Sent) -> None:
        blocks = tuple(unit.cell.block(unit.number) for unit in sent.units)
        future = self.workers.executor.submit(run_task, sent.group.blueprint(), blocks)
        if not all(callable(getattr(future, name, None)) for name in ("result", "cancel")):
            expected = "return futures from submit"
            checks.fail_type("sweep", "executor", expected, future)
        self.sent[future] = sent

    def finished(self) -> list[tuple[_Sent, Done]]:
        """Wait for a task; returns those that have ended. Tasks of lost workers go out again."""
        ended, _ = wait(self.sent, return_when=FIRST_COMPLETED)
        found = []
        for future in ended:
            sent = self.sent.pop(future)
            try:
                done = future.result()
            except BrokenProcessPool:
                raise RuntimeError(
                    "sweep: a worker process died (killed, or out of memory), and its pool cannot "
                    "go on. What is in the store is safe: run again with a new executor."
                ) from None
            except BaseException as error:
                if type(error).__name__ not in _LOST or sent.attempt > _MOST_RETRIES:
                    raise
                self.meter.num_retries += 1
                self._submit(sent._replace(attempt=sent.attempt + 1))
                continue
            self._measure(sent, done)
            found.append((sent, done))
        return found

    def _measure(self, sent: _Sent, done: Done) -> None:
        self.meter.run_seconds += done.run_seconds
        self.meter.compile_seconds += done.compile_seconds
        self.clock.longest = max(self.clock.longest, done.run_seconds + done.compile_seconds)
        name, fresh = sent.group.program().identity, done.run_seconds / len(sent.units)
        self.seconds[name] = max(fresh, 0.5 * self.seconds.get(name, fresh), 1e-6)
