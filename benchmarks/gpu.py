"""Accelerators: every kernel of the library, against the device's own limits and a CPU.

For each kernel (a step of 256 problems at once, of training, of fitting): time, shares of the
float32 GEMM rate and of the copy bandwidth, both measured here, with the larger one named as the
bound, and the difference from the same step on the CPU. Shares count what a step must compute and
move (``_roofline.py``): above 100 % of the bandwidth, it works from a cache. Then trials a second
of whole sweeps, and whether a second run gives the same bits. ``--million`` runs the two-layer
phase diagram with 10^6 trials.

Results are kept by the device's name, each part as it ends; a part that is not run stays as it
was. Without an accelerator it says so and ends; ``--device cpu`` runs it anyway.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import _kernels
import _machine
import _results
import _roofline
import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.reproductions.presets import PRESETS
from jaxinv.sweeps import sweep, wilson

IN_FLIGHT = 10  # calls begun before the first is waited for: launching is not what is measured
MILLION = 10**6
ACCELERATORS = ("cuda", "tpu")  # for which a CPU writes every program, to see that it can be
SECONDS_BETWEEN_LINES = 10.0


def lower_elsewhere(function: Any, *inputs: Any) -> None:
    """Write a program for accelerators, which takes none; what one cannot do raises here."""
    traced = jax.jit(function).trace(*inputs)
    for platform in ACCELERATORS:
        traced.lower(lowering_platforms=(platform,))


def measure(kernel: Any, device: Any, repetitions: int) -> tuple[float, Any]:
    """Return seconds of one step, and its result."""
    inputs = jax.device_put(kernel.inputs, device)
    compiled = jax.jit(kernel.step).lower(*inputs).compile()
    result = jax.block_until_ready(compiled(*inputs))

    def several() -> None:
        jax.block_until_ready([compiled(*inputs) for _ in range(IN_FLIGHT)])

    best = min((_machine.seconds(several) for _ in range(repetitions)), default=0.0) / IN_FLIGHT
    return best, jax.device_get(kernel.judged(result))


def difference(left: Any, right: Any) -> float:
    """Return the largest relative difference of any array of two results."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind in "fc" and a.size:
            size = float(np.max(np.abs(b))) or 1.0
            worst = max(worst, float(np.max(np.abs(a - b))) / size)
    return worst


def copy_bandwidth(device: Any, megabytes: int) -> float:
    """Return bytes a second of a large copy on the device; reads and writes count."""
    x = jax.device_put(jnp.ones((megabytes << 18,), jnp.float32), device)
    copy = jax.jit(lambda x: x + 1)
    copy(x).block_until_ready()
    return (
        2 * x.nbytes / min(_machine.seconds(lambda: copy(x).block_until_ready()) for _ in "12345")
    )


def limits_of(device: Any, quick: bool) -> dict[str, float]:
    """Measure what the device can do."""
    small = quick or device.platform == "cpu"
    bandwidth = copy_bandwidth(device, 64 if quick else 256 if small else 2048)
    rate = _machine.gemm_rate(1024 if quick else 2048 if small else 8192)
    print(f"{device.device_kind}: copy {bandwidth / 1e9:.1f} GB/s, GEMM {rate / 1e9:.0f} GFLOP/s")
    return {"copy_bytes_per_s": bandwidth, "gemm_flops": rate}


def kernels(device: Any, quick: bool, limits: dict[str, float]) -> dict[str, Any]:
    """Measure every kernel, and hold its values against the CPU's."""
    cpu = jax.devices("cpu")[0]
    found = {}
    for kernel in _kernels.kernels(quick):
        if device == cpu:
            lower_elsewhere(kernel.step, *kernel.inputs)
        best, result = measure(kernel, device, 1 if quick else 5)
        used = _roofline.shares(_roofline.work_of(kernel.step, *kernel.inputs), best, limits)
        row = {"seconds": best, "count": kernel.count, **used}
        text = (
            f"{kernel.name}: {1e3 * best:.3f} ms for {kernel.count} {kernel.unit}, "
            f"{used['of_gemm']:.0%} of GEMM, {used['of_bandwidth']:.0%} of copy bandwidth "
            f"(bound: {used['bound']})"
        )
        if device != cpu:
            row["difference"] = difference(result, measure(kernel, cpu, 0)[1])
            text += f", {row['difference']:.1e} from the CPU"
        print(text, flush=True)
        found[kernel.name] = row
    return found


def sweeps(quick: bool) -> dict[str, Any]:
    """Return trials a second of every preset, at the block size that the engine measures."""
    found = {}
    for name, chosen in PRESETS.items():
        began = time.perf_counter()
        heard: list[Any] = []
        run = partial(
            sweep,
            chosen.trial(),
            {chosen.axis: list(chosen.values[::8] if quick else chosen.values[::3])},
            key=jax.random.key(0),
            num_trials=16 if quick else 1024,
            traced=(chosen.axis,),
        )
        results = run(progress=heard.append)
        report = heard[-1].report
        rate = report.num_run / report.run_seconds
        size = results.attrs["block_size"]
        again = run(block_size=size)
        same = all(np.array_equal(results[key], again[key], True) for key in results.data_vars)
        print(
            f"sweep {name}: {rate:.1f} trials/s, {size} trials a block, the same bits again: "
            f"{'yes' if same else 'NO'}; {time.perf_counter() - began:.0f} s in all",
            flush=True,
        )
        found[name] = {"trials_per_s": rate, "block_size": size, "same_bits": same}
    return found


class Lines:
    """Say how far a long sweep is, every now and then; keep the last report."""

    def __init__(self) -> None:
        self.last: Any = None
        self._said = time.perf_counter()

    def update(self, progress: Any) -> None:
        """Note one report of the engine."""
        self.last = progress
        if time.perf_counter() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.perf_counter()
            left = progress.seconds_left
            text = f"  {progress.num_done} of {progress.num_trials}, {progress.rate:.1f} trials/s"
            print(text + ("" if left is None else f", {left / 60:.0f} min left"), flush=True)


def million(options: Any, device: Any, limits: dict[str, float]) -> dict[str, Any]:
    """Run the two-layer diagram with 10^6 trials, in blocks that the engine fits into memory.

    A block takes at most a quarter of the memory by the compiler's account, and no more for more
    trials. With ``--store``, a run that was cut short goes on where it was.
    """
    chosen = PRESETS["nonexpansive-2layer"]
    values = list(chosen.values[::8] if options.quick else chosen.values)
    lines, total = Lines(), 8 if options.quick else MILLION
    if device.platform == "cpu":
        trial = partial(chosen.trial(), **{chosen.axis: values[0]})
        lower_elsewhere(jax.vmap(trial), jax.random.split(jax.random.key(0), 4))
    results = sweep(
        chosen.trial(),
        {chosen.axis: values},
        key=jax.random.key(0),
        num_trials=total // len(values),
        traced=(chosen.axis,),
        store=options.store,
        time_limit=options.time_limit,
        progress=lines.update,
    )
    report = lines.last.report
    if not report.num_run:
        print("two-layer diagram: no trial was left to run, or none fitted --time-limit")
        return {}
    errors, steps = (np.asarray(results[name]) for name in ("error", "num_steps"))
    ran = np.asarray(results["ran"]) if "ran" in results.coords else np.ones(errors.shape, bool)
    rate = report.num_run / report.run_seconds
    work = rate * steps[ran].mean() * _roofline.levenberg_marquardt_operations(150, 700, 600, 300)
    share = work / report.num_devices / limits["gemm_flops"]
    curve = success_curve(values, ran, errors < chosen.success)
    peak, memory = peak_memory(device)
    print(
        f"two-layer diagram, {report.num_run} trials: {rate:.1f} a second, {share:.0%} of GEMM; "
        f"10^6 take {MILLION / rate / 3600:.2f} h\n"
        f"  {report.block_size} trials a block, peak memory {peak / 2**30:.2f} GiB"
        + (f" of {memory / 2**30:.0f}" if memory else "")
        + f"; {report.num_failed} failed; success by {chosen.symbol}: "
        + ", ".join(f"{value} {row['rate']:.4f}" for value, row in curve.items()),
        flush=True,
    )
    said = ("num_trials", "num_run", "num_failed", "complete", "block_size", "num_devices")
    return {
        **{name: getattr(report, name) for name in (*said, "compile_seconds", "run_seconds")},
        "trials_per_s": rate,
        "mean_steps": steps[ran].mean(),
        "of_gemm": share,
        "peak_bytes": peak,
        "memory_bytes": memory,
        "curve": curve,
    }


def success_curve(values: list[Any], ran: np.ndarray, succeeded: np.ndarray) -> dict[str, Any]:
    """Return for each value how many trials ran, the share that succeeded, and its interval."""
    curve = {}
    for value, count, success in zip(values, ran.sum(1), (succeeded & ran).sum(1), strict=True):
        low, high = wilson(int(success), max(int(count), 1))
        curve[str(value)] = {
            "trials": int(count),
            "rate": int(success) / max(int(count), 1),
            "interval": [float(low), float(high)],
        }
    return curve


def peak_memory(device: Any) -> tuple[float, float | None]:
    """Return the most bytes held so far, and how many there are; on a CPU, of the process."""
    statistics = device.memory_stats() or {}
    if "peak_bytes_in_use" in statistics:
        return statistics["peak_bytes_in_use"], statistics.get("bytes_limit")
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, None


def arguments() -> Any:
    """Return the options."""
    parser = _machine.parser(__doc__)
    parser.add_argument("--device", choices=("accelerator", "cpu"), default="accelerator")
    parser.add_argument("--million", action="store_true", help="10^6 trials of the diagram too")
    parts = ("kernels", "sweeps", "million")
    parser.add_argument("--only", choices=parts, nargs="+", help="parts to run")
    parser.add_argument("--store", help="file that keeps the 10^6 trials, and goes on from them")
    seconds = "seconds after which no more of the 10^6 trials are begun"
    parser.add_argument("--time-limit", type=float, help=seconds)
    options = parser.parse_args()
    if options.only is None:
        # a dry run of the diagram is one of sweeps
        options.only = ["kernels"] + ["sweeps"] * (not (options.quick and options.million))
    options.only = {*options.only, *(["million"] if options.million else [])}
    return options


def main() -> None:
    """Run the benchmark."""
    options = arguments()
    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    device = jax.devices()[0]
    if options.device == "accelerator" and device.platform == "cpu":
        print("no accelerator here: nothing to measure (--device cpu runs it on the CPU)")
        return
    limits = limits_of(device, options.quick)
    works = {
        "million": lambda: million(options, device, limits),  # first: its peak of memory is its own
        "kernels": lambda: {"rows": kernels(device, options.quick, limits)},
        "sweeps": lambda: {"presets": sweeps(options.quick)},
    }
    prefix = "gpu-quick" if options.quick else "gpu"
    count = jax.device_count()  # sweeps use all
    name = f"{device.device_kind} x {count}" if count > 1 else device.device_kind
    about = {"limits": limits, "versions": _machine.versions(), "device": _machine.device()}
    for part in (part for part in works if part in options.only):
        found = works[part]()
        if not found:
            continue
        path = _results.keep(Path(options.out), prefix, name, part, about | found)
        print(f"{part} written: {path}", flush=True)


if __name__ == "__main__":
    main()
