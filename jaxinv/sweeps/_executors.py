"""Tasks for worker processes, and the executors that may run them."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax

from jaxinv._core import checks
from jaxinv.sweeps._guard import require_guard
from jaxinv.sweeps._program import FLAGS, Block, Program, Results, Trial, environment, flag

_CONFIG = (
    *FLAGS,
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)
_SECONDS_FOR_WORKERS = 10
_MOST_PROGRAMS = 16  # that a worker keeps


class Blueprint(NamedTuple):
    """How a worker builds a program; everything in it can be pickled and sent.

    ``environment`` is what the worker must have too, where a store holds the results.
    """

    trial: Trial
    static: Mapping[str, Any]
    traced: Mapping[str, Any]
    block_size: int
    key_impl: str
    identity: str
    config: tuple[tuple[str, Any], ...]
    environment: Mapping[str, Any] | None


class Done(NamedTuple):
    """What a worker made of a task: results in the order of its blocks, and its times."""

    results: list[Results]
    run_seconds: float
    compile_seconds: float


def numeric_config() -> tuple[tuple[str, Any], ...]:
    """Return the settings of this process that change programs; workers take them over."""
    return tuple((name, flag(name)) for name in _CONFIG)


_programs: OrderedDict[str, Program] = OrderedDict()  # a worker compiles each program once
_one_at_a_time = threading.Lock()  # two programs at once in a CPU process can hang


def run_task(blueprint: Blueprint, blocks: tuple[Block, ...]) -> Done:
    """Run some blocks in this process."""
    with _one_at_a_time:
        program = _program(blueprint)
        program.compile()
        began = time.perf_counter()
        results = [program.collect(program.start([block]))[0] for block in blocks]
        return Done(results, time.perf_counter() - began, program.pop_seconds())


def _program(blueprint: Blueprint) -> Program:
    for name, value in blueprint.config:
        if flag(name) != value:
            jax.config.update(name, value)
    _require(blueprint.environment)
    text = f"{blueprint.identity} {blueprint.block_size} {blueprint.config}"
    name = hashlib.sha256(text.encode()).hexdigest()
    if name not in _programs:
        arguments = (blueprint.trial, blueprint.static, blueprint.traced, blueprint.block_size)
        program = Program(*arguments, key_impl=blueprint.key_impl)
        if program.identity != blueprint.identity:
            raise RuntimeError(
                "sweep: a worker process builds another program than this one: its versions of "
                "jax or of the trial's code differ."
            )
        _programs[name] = program
    _programs.move_to_end(name)
    while len(_programs) > _MOST_PROGRAMS:
        _programs.popitem(last=False)
    return _programs[name]


def _require(expected: Mapping[str, Any] | None) -> None:
    """Refuse to compute for a store on another kind of machine, or with other flags."""
    if expected is None or expected == (found := environment()):
        return
    name = next(name for name in found if expected.get(name) != found[name])
    raise RuntimeError(
        f"sweep: a worker computes otherwise than the process that writes the store: {name} is "
        f"{found[name]} there and {expected.get(name)} here. A store holds results of one kind."
    )


class Workers(NamedTuple):
    """An executor, and how many worker processes it has."""

    executor: Any
    num_processes: int


def check_executor(executor: Any) -> Workers:
    """Return the workers; refuses what would hang or is no executor."""
    if isinstance(executor, type):
        checks.fail_type("sweep", "executor", "be an executor", executor, "This is its class.")
    if callable(getattr(executor, "get_executor", None)):  # a Dask client
        if getattr(executor, "status", "running") != "running":
            checks.fail("sweep", "executor", "be running", f"a client that is {executor.status}")
        return _dask_workers(executor, executor.get_executor())
    if not callable(getattr(executor, "submit", None)):
        expected = "have a method submit, as concurrent.futures executors have"
        checks.fail_type("sweep", "executor", expected, executor)
    if isinstance(executor, ThreadPoolExecutor):
        hint = "XLA programs run from several threads of one process can hang; use processes."
        checks.fail_type("sweep", "executor", "be a process executor", executor, hint)
    if isinstance(executor, ProcessPoolExecutor):
        if getattr(executor, "_shutdown_thread", False) or getattr(executor, "_broken", False):
            checks.fail("sweep", "executor", "be running", "one that was shut down or broke")
        context = getattr(executor, "_mp_context", None)
        method = context.get_start_method() if context else multiprocessing.get_start_method()
        if method == "fork":
            expected = "start its workers by spawn, not fork (a forked JAX can hang)"
            hint = 'Pass mp_context=multiprocessing.get_context("spawn").'
            checks.fail("sweep", "executor", expected, method, hint)
        require_guard("sweep")
    client = getattr(executor, "_client", None)
    if callable(getattr(client, "nthreads", None)):
        return _dask_workers(client, executor)
    return Workers(executor, getattr(executor, "_max_workers", None) or os.cpu_count() or 1)


def _dask_workers(client: Any, executor: Any) -> Workers:
    """Refuse Dask workers that share a process with others or with this one."""
    threads = client.nthreads()
    if not threads:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
        threads = client.nthreads()
    if not threads:
        hint = "Start one: dask worker ADDRESS --nthreads 1."
        checks.fail("sweep", "executor", "have workers", "none", hint)
    if any(address.startswith("inproc") for address in threads):
        expected = "have workers in processes of their own"
        checks.fail("sweep", "executor", expected, "threads", "Use LocalCluster(processes=True).")
    if any(count != 1 for count in threads.values()):
        got = f"{max(threads.values())} threads in a worker"
        hint = "XLA programs run from several threads can hang: use threads_per_worker=1."
        checks.fail("sweep", "executor", "have workers of one thread", got, hint)
    return Workers(executor, len(threads))
