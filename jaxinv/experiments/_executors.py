"""Running blocks in worker processes."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.experiments._program import Program, Trial


class Task(NamedTuple):
    """Some blocks of one cell; everything in it can be pickled and sent."""

    trial: Trial
    static: Mapping[str, Any]
    traced: Mapping[str, Any]
    micro_batch: int
    identity: str
    key_data: np.ndarray
    key_impl: str
    cell: str
    blocks: tuple[int, ...]
    config: tuple[tuple[str, Any], ...]


_CONFIG = ("jax_enable_x64", "jax_default_matmul_precision")


def numeric_config() -> tuple[tuple[str, Any], ...]:
    """Return the settings of this process that change programs; workers take them over."""
    return tuple((name, getattr(jax.config, name)) for name in _CONFIG)


_programs: dict[str, Program] = {}  # a worker compiles each program once


def run_task(task: Task) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Run the blocks of a task in this process; returns ``(block, results)`` pairs."""
    for name, value in task.config:
        if getattr(jax.config, name) != value:
            jax.config.update(name, value)
    name = hashlib.sha256(f"{task.identity}{task.micro_batch}".encode()).hexdigest()
    if name not in _programs:
        program = Program(task.trial, task.static, task.traced, task.micro_batch)
        if program.identity != task.identity:
            raise RuntimeError(
                "sweep: a worker process builds another program than this one: its versions of "
                "jax or of the trial's code differ."
            )
        _programs[name] = program
    key = jax.random.wrap_key_data(jax.numpy.asarray(task.key_data), impl=task.key_impl)
    return [(block, _programs[name].run(key, block, task.traced)) for block in task.blocks]


def check_executor(executor: Any) -> None:
    """Refuse what would hang or is no executor."""
    if not callable(getattr(executor, "submit", None)):
        expected = "have a method submit, as concurrent.futures executors have"
        checks.fail_type("sweep", "executor", expected, executor)
    if isinstance(executor, ThreadPoolExecutor):
        hint = "XLA programs run from several threads of one process can hang; use processes."
        checks.fail_type("sweep", "executor", "be a process executor", executor, hint)
    if isinstance(executor, ProcessPoolExecutor):
        context = getattr(executor, "_mp_context", None)
        method = context.get_start_method() if context else multiprocessing.get_start_method()
        if method == "fork":
            expected = "start its workers by spawn, not fork (a forked JAX can hang)"
            hint = 'Pass mp_context=multiprocessing.get_context("spawn").'
            checks.fail("sweep", "executor", expected, method, hint)
