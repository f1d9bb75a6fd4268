"""How many trials a block should have, by measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import jax

from jaxinv.sweeps._program import Block, Program

_STEP = 4  # 1, 4, 16, ...: each candidate costs a compile
_LARGEST = 4096
_FIRST_ON_ACCELERATORS = 64  # smaller ones leave them idle, and cost as many compiles
_SHARE_OF_MEMORY = 0.25
_WORTH_IT = 1.15  # a larger block must be this much faster, or the smaller one stays
_SECONDS_OF_MEASURING = 0.05
_LONG = 1.0  # seconds for a block: longer ones hide progress and lose more when killed,
_TOO_LONG = 20.0  # and are taken only where a block of four times the trials is nearly free
_NEARLY_FREE = 2.0  # the rate grew at least this much with the last step


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
