"""Worker processes: throughput of one and of two for the two-layer diagram, and the same bits.

Each worker is pinned to one core. One process that uses all cores is printed beside them. The
limit is twice one worker.
"""

from __future__ import annotations

import time
from typing import Any

import _machine
import jax
import numpy as np

from jaxinv.reproductions.presets import preset
from jaxinv.sweeps import Progress, local_workers, sweep

SMALLEST_GAIN = 1.6
KEY = jax.random.key(0)


class Rate:
    """Trials a second from the first finished block to the last: compiling is left out."""

    def __init__(self) -> None:
        self.points: list[tuple[float, int]] = []

    def update(self, progress: Progress) -> None:
        """Note one report of the engine."""
        if progress.cell is not None and progress.finished is None:
            self.points.append((time.perf_counter(), progress.num_done))

    def value(self) -> float:
        """Return trials a second."""
        (start, before), (end, after) = self.points[0], self.points[-1]
        return (after - before) / (end - start)


def measure(trial: Any, grid: dict[str, list[int]], num_trials: int, executor: Any) -> Any:
    """Return the results and the rate of one sweep, after one that compiles in every worker."""
    options = {"key": KEY, "traced": tuple(grid), "executor": executor, "block_size": 1}
    if executor is not None:
        sweep(trial, grid, num_trials=4, **options)
    rate = Rate()
    results = sweep(trial, grid, num_trials=num_trials, progress=rate.update, **options)
    return results, rate.value()


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    chosen = preset("nonexpansive-2layer")
    trial = chosen.trial()
    grid = {chosen.axis: [20, 100] if options.quick else list(chosen.values)}
    num_trials = 40 if options.quick else 60
    rounds = 1 if options.quick else 3
    rates: dict[str, list[float]] = {"one worker": [], "two workers": [], "one process": []}
    reference = None
    for _ in range(rounds):
        for name in rates:
            if name == "one process":
                found, rate = measure(trial, grid, num_trials, None)
            else:
                with local_workers(1 if name == "one worker" else 2) as client:
                    found, rate = measure(trial, grid, num_trials, client)
            rates[name].append(rate)
            reference = found if reference is None else reference
            for metric in reference.data_vars:
                np.testing.assert_array_equal(found[metric], reference[metric], strict=True)
    for name, values in rates.items():
        print(f"{name}: {np.median(values):.1f} trials/s")
    gain = _machine.ratio(rates["two workers"], rates["one worker"])
    beside = _machine.ratio(rates["two workers"], rates["one process"])
    verdict = "ok" if gain >= SMALLEST_GAIN else "TOO LITTLE"
    print(f"two workers against one: {gain:.2f}x, {verdict} (asked {SMALLEST_GAIN}x, limit 2)")
    print(f"two workers against one process on all cores: {beside:.2f}x; the same bits everywhere")
    results = {"rates": rates, "gain": gain, "against_one_process": beside}
    _machine.write(options.out, "scaling", results)


if __name__ == "__main__":
    main()
