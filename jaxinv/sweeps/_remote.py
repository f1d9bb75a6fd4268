"""Running blocks in worker processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from jaxinv._core import checks
from jaxinv.sweeps._cells import Unit, Work
from jaxinv.sweeps._executors import Done, Recipe, Workers, run_task
from jaxinv.sweeps._here import Clock, Meter, OutOfTime
from jaxinv.sweeps._program import Program, Results

_SECONDS_OF_A_TASK = 0.7  # sending one and fetching its results costs milliseconds
_TASKS_AHEAD = 2  # per worker, so that none waits for this process
_MOST_RETRIES = 3
_LOST = ("KilledWorker", "CancelledError", "FutureCancelledError", "FuturesCancelledError")


class _Sent(NamedTuple):
    work: Work
    units: list[Unit]
    attempt: int


class _Remote:
    """The tasks that are out, and the groups of cells they come from."""

    def __init__(
        self,
        groups: Iterable[Work],
        workers: Workers,
        recipe: Callable[[Program, Unit], Recipe],
        meter: Meter,
        clock: Clock,
    ) -> None:
        self.waiting, self.workers, self.recipe = iter(groups), workers, recipe
        self.meter, self.clock = meter, clock
        self.opened: list[Work] = []
        self.sent: dict[Future[Done], _Sent] = {}
        self.seconds: dict[str, float] = {}  # of a block, by program

    def _work(self) -> Work | None:
        """Return a group with blocks to give out; opens (and traces) the next when needed."""
        self.opened = [work for work in self.opened if len(work) or self._is_out(work)]
        for work in self.opened:
            if len(work):
                return work
        for work in self.waiting:
            self.meter.compile_seconds += work.program().pop_seconds()
            work.open()
            self.opened.append(work)
            if len(work):
                return work
        return None

    def _is_out(self, work: Work) -> bool:
        return any(sent.work is work for sent in self.sent.values())

    def fill(self) -> bool:
        """Give out tasks until every worker has some; returns whether any is out."""
        while len(self.sent) < _TASKS_AHEAD * self.workers.num_processes and self.clock.has_room():
            work = self._work()
            if work is None:
                break
            seconds = self.seconds.get(work.program().identity)
            fair = math.ceil(len(work) / self.workers.num_processes)
            many = math.ceil(_SECONDS_OF_A_TASK / seconds) if seconds else 1
            self._submit(_Sent(work, work.take(min(many, fair)), 1))
        return bool(self.sent)

    def _submit(self, sent: _Sent) -> None:
        recipe = self.recipe(sent.work.program(), sent.units[0])
        blocks = tuple(unit.cell.block(unit.number) for unit in sent.units)
        future = self.workers.executor.submit(run_task, recipe, blocks)
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
        name, fresh = sent.work.program().identity, done.run_seconds / len(sent.units)
        self.seconds[name] = max(fresh, 0.5 * self.seconds.get(name, fresh), 1e-6)


def run_remote(
    groups: Iterable[Work],
    workers: Workers,
    recipe: Callable[[Program, Unit], Recipe],
    deliver: Callable[[Work, Unit, Results], None],
    meter: Meter,
    clock: Clock,
) -> None:
    """Run every group on worker processes, in tasks long enough to be worth sending.

    This process traces, gives out, and delivers; the workers compile each program once.
    """
    remote = _Remote(groups, workers, recipe, meter, clock)
    try:
        while remote.fill():
            for sent, done in remote.finished():
                for unit, results in zip(sent.units, done.results, strict=True):
                    deliver(sent.work, unit, results)
        if remote._work() is not None:
            raise OutOfTime
    finally:
        for future in remote.sent:
            future.cancel()
