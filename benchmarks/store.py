"""The store: what it costs a sweep, durable groups a second, opening and verifying 10 000 blocks.

A sweep of 200 cells of 64 trials runs with and without a store, in turns: trials of microseconds
and of a millisecond. Groups of one block, each waited for, are set against what the disk does:
appending the same bytes to a plain file and waiting until they are on it.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import _machine
import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.sweeps import open_store, sweep
from jaxinv.sweeps._cells import cell_id
from jaxinv.sweeps.store._store import Results, Store
from jaxinv.sweeps.store._verify import verify

NUM_METRICS = 6
NUM_CELLS = 20
MICRO_BATCH = 16
LARGEST_SECONDS = 1.0  # to open and verify
SWEEP_CELLS, SWEEP_TRIALS = 200, 64


def blocks(number: int) -> list[tuple[str, int, Results]]:
    """Return blocks of random metrics, spread over the cells."""
    generator = np.random.default_rng(0)
    per_cell = number // NUM_CELLS
    return [
        (
            cell_id({"n": cell}),
            block,
            {
                f"metric{i}": generator.normal(size=MICRO_BATCH).astype(np.float32)
                for i in range(NUM_METRICS)
            },
        )
        for cell in range(NUM_CELLS)
        for block in range(per_cell)
    ]


def start(path: Path, number: int) -> Store:
    """Return a new store that is asked for ``number`` blocks."""
    store = Store(path, write=True)
    with store.transaction():
        store.claim({"block_size": MICRO_BATCH, "names": ["n"]})
        for cell in range(NUM_CELLS):
            store.claim_program(cell_id({"n": cell}), "benchmark")
            store.ask(cell_id({"n": cell}), number // NUM_CELLS * MICRO_BATCH)
    return store


def append(file: int, content: bytes) -> None:
    """Append to a file and wait until it is on the disk."""
    os.write(file, content)
    os.fdatasync(file)


def writing(folder: Path, number: int, rounds: int) -> dict[str, Any]:
    """Time durable blocks and durable plain appends, a few of each in turns."""
    data = blocks(number)
    part = max(1, number // rounds)
    times: dict[str, list[float]] = {"store": [], "plain": []}
    file = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT, 0o666)
    with start(folder / "written.sqlite", number) as store:
        for first in range(0, part * rounds, part):
            chosen = data[first : first + part]
            began = time.perf_counter()
            for cell, block, results in chosen:
                store.put(cell, block, results)
                store.flush()
            times["store"].append((time.perf_counter() - began) / part)
            content = bytes(store.bytes_written // (first + part))
            began = time.perf_counter()
            for _ in chosen:
                append(file, content)
            times["plain"].append((time.perf_counter() - began) / part)
    os.close(file)
    rate, bound = (1 / statistics.median(times[name]) for name in ("store", "plain"))
    print(f"one block a transaction: {rate:.0f} blocks/s; plain append and fsync {bound:.0f}/s")
    ratio = _machine.ratio(times["store"], times["plain"])
    print(f"a durable block takes {ratio:.2f}x a durable plain append")
    return {"blocks_per_s": rate, "plain_per_s": bound, "ratio": ratio, "num_blocks": number}


def reading(folder: Path, number: int, rounds: int) -> dict[str, Any]:
    """Time opening and verifying a store, and reading its bytes, in turns."""
    path = folder / "read.sqlite"
    with start(path, number) as store:
        began = time.perf_counter()
        for cell, block, results in blocks(number):
            store.put(cell, block, results)
        store.flush()
        together = number / (time.perf_counter() - began)
    open_store(path)  # imports
    works = {
        "open": lambda: open_store(path),
        "verify": lambda: verify(path),
        "bytes": path.read_bytes,
    }
    times = _machine.interleaved(works, rounds)
    found = {name: statistics.median(each.wall) for name, each in times.items()}
    total = found["open"] + found["verify"]
    verdict = "ok" if total < LARGEST_SECONDS else "TOO MUCH"
    print(f"blocks in groups: {together:.0f} blocks/s")
    print(
        f"{number} blocks of {NUM_METRICS} metrics ({path.stat().st_size / 1e6:.1f} MB): open "
        f"{found['open']:.3f} s, verify {found['verify']:.3f} s: {verdict}, together at most "
        f"{LARGEST_SECONDS} s; reading the bytes {found['bytes']:.4f} s"
    )
    return {**found, "grouped_blocks_per_s": together, "bytes": path.stat().st_size}


def tiny(key: jax.Array, *, a: jax.Array) -> dict[str, jax.Array]:
    """A trial of microseconds."""
    return {"x": a * jax.random.uniform(key), "ok": a > 0}


def longer(key: jax.Array, *, a: jax.Array) -> dict[str, jax.Array]:
    """A trial of about a millisecond."""
    x = jax.random.normal(key, (256, 256), jnp.float32)
    for _ in range(3):
        x = 0.05 * x @ x
    return {"x": a * jnp.sum(x), "ok": a > 0}


def sweeping(folder: Path, rounds: int) -> dict[str, Any]:
    """Time whole sweeps with and without a store."""
    grid = {"a": [float(i) for i in range(SWEEP_CELLS)]}
    options = {"key": jax.random.key(0), "num_trials": SWEEP_TRIALS, "traced": ("a",)}
    found = {}
    for trial, most in ((tiny, 1.3), (longer, 1.1)):
        numbers = itertools.count()

        def stored(trial: Any = trial, numbers: Any = numbers) -> None:
            sweep(trial, grid, store=folder / f"{trial.__name__}{next(numbers)}.sqlite", **options)

        def plain(trial: Any = trial) -> None:
            sweep(trial, grid, **options)

        times = _machine.interleaved({"stored": stored, "plain": plain}, rounds)
        ratio = _machine.ratio(times["stored"].wall, times["plain"].wall)
        verdict = "ok" if ratio <= most else "TOO MUCH"
        each = statistics.median(times["plain"].wall) / SWEEP_CELLS / SWEEP_TRIALS
        print(
            f"{SWEEP_CELLS} cells x {SWEEP_TRIALS} trials of {1e6 * each:.0f} us: {ratio:.2f}x "
            f"with a store: {verdict}, at most {most}x"
        )
        found[trial.__name__] = {"seconds_per_trial": each, "ratio": ratio}
    return found


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    rounds = 5 if options.quick else 10
    number = 10_000
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        results = {
            "writing": writing(folder, 200 if options.quick else 2000, rounds),
            "reading": reading(folder, number, rounds),
            "sweeping": sweeping(folder, rounds),
        }
    _machine.write(options.out, "store", results)


if __name__ == "__main__":
    main()
