"""Worker processes through Dask: some on this machine, or a cluster's."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
from collections.abc import Iterator
from typing import Any

from jaxinv._core import checks
from jaxinv.sweeps._guard import require_guard

_SECONDS_TO_ANSWER = 5
_INSTALL = "Install it: python -m pip install 'jaxinv[cluster]'."


class Pin:
    """Dask worker plugin: binds each worker process to one core.

    Before JAX starts in it, so that its thread pool has one thread and workers do not fight.
    """

    name = "jaxinv-pin"

    def setup(self, worker: Any) -> None:
        """Bind every thread of this process, and so those that they start."""
        cores = sorted(os.sched_getaffinity(0))
        core = cores[int(worker.name) % len(cores)]
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # it has ended
                os.sched_setaffinity(int(thread), {core})


@contextlib.contextmanager
def local_workers(num_workers: int) -> Iterator[Any]:
    """Start worker processes on this machine, one core each; gives a Dask client.

    Args:
        num_workers: processes >= 1; more than the cores share them.

    Returns:
        A context manager that gives a ``distributed.Client`` and closes it at the end.

    Raises:
        ValueError, TypeError: a number of workers that is none; a script that calls this without
            ``if __name__ == "__main__":``, which each worker would run again.
        ModuleNotFoundError: Dask is not installed.

    Cost: about two seconds to start, and one compile of each program in each worker.

    Example:
        >>> from jaxinv.sweeps import local_workers, sweep
        >>> def run(trial, grid, key):  # in a script: under if __name__ == "__main__"
        ...     with local_workers(2) as client:
        ...         return sweep(trial, grid, key=key, executor=client)
    """
    num_workers = checks.count("local_workers", "num_workers", num_workers)
    require_guard("local_workers")
    distributed = _distributed()
    with _interrupts_ignored():
        cluster = distributed.LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            env={"NPROC": "4"},  # threads enough for batched LAPACK calls, which else can hang
        )
    with cluster, distributed.Client(cluster) as client:
        if hasattr(os, "sched_setaffinity"):
            client.register_plugin(_plugin(distributed))
        yield client


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C while processes start, which then ignore it too: this process ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def connect(address: str) -> Any:
    """Return a Dask client of the scheduler at ``address``; close it when done.

    Args:
        address: as ``tcp://host:8786``, or ``tls://host:8786`` with Dask's own TLS settings.

    Returns:
        A ``distributed.Client``.

    Raises:
        ValueError: nothing answers there within 5 seconds.
        ModuleNotFoundError: Dask is not installed.

    Example:
        >>> from jaxinv.sweeps import connect, sweep
        >>> def run(trial, grid, key):
        ...     with connect("tcp://host:8786") as client:
        ...         return sweep(trial, grid, key=key, executor=client)
    """
    distributed = _distributed()
    hint = "Start one: dask scheduler, and dask worker ADDRESS --nthreads 1."
    if not isinstance(address, str) or not address.strip():
        checks.fail_type("connect", "address", "be the address of a Dask scheduler", address, hint)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(distributed.Client(address, timeout=_SECONDS_TO_ANSWER))
        except Exception as error:
            answers.put(error)

    # in a thread: what answers but is no scheduler can keep Dask waiting for ever
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=_SECONDS_TO_ANSWER + 1)
    except queue.Empty:
        found = TimeoutError("it does not speak as a scheduler does")
    if isinstance(found, Exception):
        reason = str(found).partition("\n")[0] or type(found).__name__
        expected = "be the address of a running Dask scheduler"
        checks.fail("connect", "address", expected, f"{address} ({reason})", hint)
    return found


def _plugin(distributed: Any) -> Any:
    return type("Pin", (Pin, distributed.WorkerPlugin), {})()


def _distributed() -> Any:
    try:
        import distributed
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"Dask is needed for worker processes. {_INSTALL}", name="distributed"
        ) from None
    for name in ("distributed", "distributed.nanny", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)  # lost workers are retried and counted
    return distributed
