"""Memory: the peak of a sweep does not grow with its trials.

Each size runs in a fresh process. The limit is the size of the results themselves.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import _machine

LARGEST_GROWTH = 1.10
_RUNS = 5
_SWEEP = """
import resource, sys
import jax, jax.numpy as jnp
from jaxinv.sweeps import sweep

def trial(key, *, n):
    x = jax.random.normal(key, (n, n))
    return {"sum": jnp.sum(x), "norm": jnp.linalg.norm(x @ x)}

num_trials, store = int(sys.argv[1]), sys.argv[2]
found = sweep(trial, {"n": [100]}, key=jax.random.key(0), num_trials=num_trials,
              block_size=100, store=store or None)
assert found["sum"].size == num_trials
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(num_trials: int, store: str) -> float:
    """Return the peak megabytes of a sweep in a fresh process, the median of several."""
    peaks = []
    for _ in range(_RUNS):  # the allocator scatters by several percent
        if store:
            Path(store).unlink(missing_ok=True)
        command = [sys.executable, "-c", _SWEEP, str(num_trials), store]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    return statistics.median(peaks)


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    few, many = 1000, 20_000 if options.quick else 100_000
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("without a store", "with a store"):
            path = "" if name.startswith("without") else str(Path(folder) / "{}.sqlite")
            small, large = (peak(count, path.format(count)) for count in (few, many))
            growth = large / small
            verdict = "ok" if growth <= LARGEST_GROWTH else "TOO MUCH"
            text = f"{small:.0f} MB for {few} trials, {large:.0f} MB for {many}: {growth:.3f}x"
            print(f"{name}: {text}, {verdict} (at most {LARGEST_GROWTH}x)")
            results |= {f"{name}, {few}": small, f"{name}, {many}": large, name: growth}
    print(f"the results themselves: {8 * many / 2**20:.1f} MB")
    _machine.write(options.out, "memory", results)


if __name__ == "__main__":
    main()
