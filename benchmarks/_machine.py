"""What every benchmark shares: the machine's own limits, interleaved timing, JSON results."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the cache limit below is one core's

import jax
import jax.numpy as jnp
import numpy as np

_PACKAGES = ("jaxinv", "jax", "jaxlib", "numpy")
_PACKAGES += ("torch", "torchvision", "deepinv", "scico", "scikit-learn", "celer")
_MEGABYTE = 1 << 20


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    result = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    result.add_argument("--quick", action="store_true", help="small sizes, few repetitions")
    result.add_argument("--out", default="results/benchmarks", help="folder of the JSON file")
    return result


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Times(NamedTuple):
    """Seconds of each round: by the clock, and of the processor in this process."""

    wall: list[float]
    cpu: list[float]


def interleaved(works: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, Times]:
    """Time every work once per round, so that what else the machine does hits all alike."""
    times = {name: Times([], []) for name in works}
    for _ in range(repetitions):
        for name, work in works.items():
            processor = time.process_time()
            times[name].wall.append(seconds(work))
            times[name].cpu.append(time.process_time() - processor)
    return times


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over rounds of one time over the other in the same round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def ranking(milliseconds: Mapping[str, float]) -> None:
    """Print every way of every library, the winner first."""
    for place, name in enumerate(sorted(milliseconds, key=lambda name: milliseconds[name])):
        print(f"    {milliseconds[name]:9.2f} ms  {name}{' (won)' * (place == 0)}")


def gemm_rate(size: int = 1024, repetitions: int = 5) -> float:
    """Return the float32 rate of a large matrix product, all cores, in operations a second."""
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    product(a).block_until_ready()
    best = min(seconds(lambda: product(a).block_until_ready()) for _ in range(repetitions))
    return 2 * size**3 / best


def streaming_bandwidth(megabytes: int = 256, repetitions: int = 5) -> float:
    """Return bytes a second of a copy that no cache holds, one core; reads and writes count."""
    source = np.ones(megabytes * _MEGABYTE // 4, np.float32)
    target = np.empty_like(source)
    np.copyto(target, source)
    return (
        2
        * source.nbytes
        / min(seconds(lambda: np.copyto(target, source)) for _ in range(repetitions))
    )


def cached_bandwidth(num_bytes: int, repetitions: int = 1000) -> float:
    """Return bytes a second of reading the same ``num_bytes`` again and again, one core."""
    x, nothing = np.ones(num_bytes // 4, np.float32), np.ones(1, np.float32)

    def quick(x: Any) -> float:
        return sorted(seconds(lambda: np.dot(x, x)) for _ in range(repetitions))[repetitions // 10]

    return x.nbytes / (quick(x) - quick(nothing))


def limits() -> dict[str, float]:
    """Measure the GEMM rate and the streaming bandwidth."""
    return {"gemm_flops": gemm_rate(), "streaming_bytes_per_s": streaming_bandwidth()}


def versions() -> dict[str, str]:
    """Return the versions of jaxinv and of the peers that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device() -> dict[str, Any]:
    """Return what the benchmark ran on."""
    return {
        "jax_devices": [str(d) for d in jax.devices()],
        "kind": jax.devices()[0].device_kind,
        "cores": num_cores(),
        "machine": platform.machine(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def write(out: str, name: str, results: Mapping[str, Any]) -> Path:
    """Write results with versions and device as ``out``/``name``.json."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    report = {
        "benchmark": name,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "device": device(),
        **results,
    }
    path.write_text(json.dumps(report, indent=2, default=float) + "\n")
    print(f"written: {path}")
    return path
