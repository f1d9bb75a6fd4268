"""Start-up: what ``import jaxinv`` adds to ``import jax``, and the wait for the first result.

Fresh processes, in turns. The peer is JAX itself: its own import is the limit.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import _machine

LARGEST_IMPORT = 0.4  # seconds
LARGEST_WAIT = 15.0
COMMAND = ("sweep", "nonexpansive-2layer")


def import_time(module: str) -> float:
    """Return the seconds that an import takes in a fresh interpreter."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def slowest_imports(count: int) -> list[tuple[float, str]]:
    """Return what ``import jaxinv`` spends most own time in after ``import jax``, in seconds."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        "import jax, sys; print('jax is in', file=sys.stderr, flush=True); import jaxinv",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = done.stderr.split("jax is in", 1)[1]
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", after)
    totals: dict[str, float] = {}
    for own, name in rows:
        parts = name.split(".")
        package = ".".join(parts[:2]) if parts[0] in ("jaxinv", "jax") else parts[0]
        totals[package] = totals.get(package, 0.0) + int(own) / 1e6
    return sorted(((own, name) for name, own in totals.items()), reverse=True)[:count]


def imports(repetitions: int) -> dict[str, Any]:
    """Time both imports in turns."""
    import_time("jaxinv")  # byte code and file cache
    times: dict[str, list[float]] = {"jax": [], "jaxinv": []}
    for _ in range(repetitions):
        for module, values in times.items():
            values.append(import_time(module))
    added = [b - a for a, b in zip(times["jax"], times["jaxinv"], strict=True)]
    report = {
        "seconds": times,
        "added_min": min(times["jaxinv"]) - min(times["jax"]),
        "added_median": statistics.median(added),
        "ratio": _machine.ratio(times["jaxinv"], times["jax"]),
        "slowest": slowest_imports(8),
    }
    for module, values in times.items():
        print(
            f"import {module:7s} min {min(values):.3f} s, median {statistics.median(values):.3f} s"
        )
    verdict = "ok" if report["added_min"] < LARGEST_IMPORT else "TOO MUCH"
    print(
        f"jaxinv adds {report['added_min']:.3f} s (minima), {report['added_median']:.3f} s "
        f"(median), {report['ratio']:.2f}x jax: {verdict}, at most {LARGEST_IMPORT} s"
    )
    for own, name in report["slowest"]:
        print(f"  {own * 1e3:6.0f} ms in {name}")
    return report


def first_cell(folder: str, quick: bool) -> dict[str, float]:
    """Run the sweep command in a terminal of its own; time its first finished cell, and its end.

    A cell is finished when the store holds all its trials; it is read from outside the process.
    """
    trials = 2 if quick else 30
    store = os.path.join(folder, "sweep.sqlite")
    plot = os.path.join(folder, "sweep.png")
    command = [
        sys.executable,
        "-m",
        "jaxinv",
        *COMMAND,
        "--trials",
        str(trials),
        "--store",
        store,
        "--plot",
        plot,
    ]
    leader, follower = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=follower, stderr=follower, close_fds=True)
    os.close(follower)
    os.set_blocking(leader, False)
    first = None
    while process.poll() is None:
        _drain(leader)
        if first is None and os.path.exists(store) and _finished_cells(store, trials):
            first = time.perf_counter() - start
        time.sleep(0.02)
    whole = time.perf_counter() - start
    _drain(leader)
    os.close(leader)
    if process.returncode:
        raise SystemExit(f"cold_start: the command failed with status {process.returncode}")
    first = whole if first is None else first
    verdict = "ok" if first < LARGEST_WAIT else "TOO LATE"
    print(
        f"jaxinv {' '.join(COMMAND)} ({trials} trials a cell): first finished cell after "
        f"{first:.1f} s: {verdict}, at most {LARGEST_WAIT:.0f} s; whole command {whole:.1f} s"
    )
    return {"trials": trials, "first_cell_s": first, "whole_command_s": whole}


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except (BlockingIOError, OSError):
        return


def _finished_cells(store: str, trials: int) -> int:
    """Return how many cells have all their blocks; 0 while the store is being made."""
    try:
        opened = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=0.1)
        with contextlib.closing(opened) as connection:
            rows = connection.execute("SELECT cell, COUNT(*) FROM blocks GROUP BY cell").fetchall()
    except sqlite3.Error:
        return 0
    return sum(count >= trials for _, count in rows)


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    imported = imports(3 if options.quick else 9)
    with tempfile.TemporaryDirectory() as folder:
        command = first_cell(folder, options.quick)
    _machine.write(
        options.out,
        "cold_start",
        {
            "imports": imported,
            "command": command,
            "machine": _machine.limits(),
        },
    )


if __name__ == "__main__":
    main()
