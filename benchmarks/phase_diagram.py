"""Algorithm 1 on 64 random problems against batched PyTorch, and the rate of a whole sweep.

Subgradient descent with the negation test at every step, constant step 0.7 in the papers'
scaling, float32, one data set for both sides. Every variant of both sides is tried for a few
steps; the fastest of each side then run all steps in turns.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import _machine
import _roofline
import jax
import numpy as np
from jax.sharding import AxisType, PartitionSpec

import jaxinv as ji
from jaxinv.generators._relu import Relu
from jaxinv.reproductions.presets import preset

PUBLISHED_STEP = 0.7  # for weights N(0, 1/n); He scaling divides it by 2 per layer
WIDTHS, NUM_MEASUREMENTS = (10, 500, 200), 100


def trial(num_steps: int, solver: Any, problem: Any, u0: Any) -> Any:
    """Run Algorithm 1 on one problem; returns the last unknown and loss."""
    state, info = ji.trace(solver, problem, u0, num_steps)
    return state.u, info.loss[-1]


def jax_variants(problems: Any, u0: Any, solver: Any) -> dict[str, Callable[[int], Any]]:
    """Return ways to run all trials: blocks one after the other, on one core or on all."""

    def in_blocks(block: int, num_steps: int) -> Any:
        one = functools.partial(trial, num_steps, solver)
        return lambda p, u: jax.lax.map(lambda pair: one(*pair), (p, u), batch_size=block)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def single(block: int, num_steps: int, problems: Any, u0: Any) -> Any:
        return in_blocks(block, num_steps)(problems, u0)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def spread(block: int, num_steps: int, problems: Any, u0: Any) -> Any:
        mesh = jax.make_mesh((jax.device_count(),), ("trials",), axis_types=(AxisType.Auto,))
        over = PartitionSpec("trials")
        work = in_blocks(block, num_steps)
        return jax.shard_map(work, mesh=mesh, in_specs=over, out_specs=over, check_vma=False)(
            problems, u0
        )

    variants: dict[str, Callable[[int], Any]] = {}
    for block in (1, 4, 16, len(u0)):
        variants[f"block size {block}"] = functools.partial(_call, single, block, problems, u0)
    devices = jax.device_count()
    if devices > 1 and len(u0) % devices == 0:
        mesh = jax.make_mesh((devices,), ("trials",), axis_types=(AxisType.Auto,))
        layout = jax.sharding.NamedSharding(mesh, PartitionSpec("trials"))
        placed = jax.device_put((problems, u0), layout)
        name = f"block size 1 on {devices} devices"
        variants[name] = functools.partial(_call, spread, 1, *placed)
    return variants


def _call(program: Any, block: int, problems: Any, u0: Any, num_steps: int) -> Any:
    return jax.block_until_ready(program(block, num_steps, problems, u0))


def torch_variants(problems: Any, u0: Any, step_size: float, compile_too: bool) -> Any:
    """Return ways to run all trials in PyTorch on the same arrays."""
    import _torch_subgradient as peer
    import torch

    arrays = (*problems.prior.params, problems.operator.matrix, problems.y)
    weights = tuple(torch.from_numpy(np.array(array)) for array in arrays)
    start = torch.from_numpy(np.array(u0))
    cores, trials = _machine.num_cores(), len(u0)
    steps = dict(peer.STEPS)
    if compile_too:
        for block in (8, trials):
            example = (tuple(w[:block] for w in weights), start[:block], step_size)
            step = peer.compiled(peer.step_rows, example)
            if step is not None:
                steps[f"rows, compiled for {block}"] = step
    variants = {}
    for name, step in steps.items():
        for block in (trials, 16, 8):
            if "compiled" in name and not name.endswith(f" {block}"):
                continue
            for threads, workers in sorted({(1, 1), (cores, 1), (1, cores)}):
                text = f"{name}, batch {block}, {threads} threads"
                text += f" x {workers} workers" if workers > 1 else ""
                variants[text] = functools.partial(
                    _descend_in_torch,
                    peer.descend,
                    step,
                    weights,
                    start,
                    step_size,
                    block,
                    threads,
                    workers,
                )
    return variants


def _descend_in_torch(
    descend: Any,
    step: Any,
    weights: Any,
    u0: Any,
    step_size: float,
    block: int,
    threads: int,
    workers: int,
    num_steps: int,
) -> Any:
    u, loss = descend(
        step,
        weights,
        u0,
        step_size,
        num_steps,
        block=block,
        num_threads=threads,
        num_workers=workers,
    )
    return u.numpy(), loss.numpy()


def fastest(variants: Any, num_steps: int, repetitions: int, unit: float) -> list[str]:
    """Try every variant for a few steps and return their names, fastest first."""
    works = {name: functools.partial(work, num_steps) for name, work in variants.items()}
    for work in works.values():
        work()
    times = _machine.interleaved(works, repetitions)
    medians = {name: statistics.median(values.wall) for name, values in times.items()}
    names = sorted(medians, key=lambda name: medians[name])
    for name in names:
        print(f"  {name:45s} {medians[name] * unit / num_steps:8.1f} us a step and trial")
    return names


def accuracy(result: Any, truth: Any) -> dict[str, float]:
    """Return the median final loss and relative error over trials."""
    u, loss = (np.asarray(part) for part in result)
    truth = np.asarray(truth)
    errors = np.linalg.norm(u - truth, axis=1) / np.linalg.norm(truth, axis=1)
    return {"loss": float(np.median(loss)), "relative_error": float(np.median(errors))}


def _network(weights: Any, z: Any) -> Any:
    return Relu(weights)(z)


def compare(options: Any) -> dict[str, Any]:
    """Time Algorithm 1 on both sides."""
    trials, num_steps, repetitions = (16, 200, 3) if options.quick else (64, 500, 7)
    unit = 1e6 / trials
    family = ji.problems.generative(WIDTHS, NUM_MEASUREMENTS)
    keys = jax.random.split(jax.random.key(0), trials)
    problems = jax.jit(family.batch)(keys)
    u0 = jax.vmap(family.initial)(keys)
    step_size = PUBLISHED_STEP / 2 ** (len(WIDTHS) - 1)
    solver = ji.solvers.subgradient(step_size)
    # the same network as a function: nothing is known of its pieces
    plain = ji.generators.from_function(_network, problems.prior.params)
    kinds = {"piece kept": problems, "dense": problems._replace(prior=plain)}
    print(f"Algorithm 1, {trials} trials of {WIDTHS}, m = {NUM_MEASUREMENTS}, {num_steps} steps")
    print("jaxinv, every variant:")
    ours = {
        f"{kind}, {name}": work
        for kind, held in kinds.items()
        for name, work in jax_variants(held, u0, solver).items()
    }
    order = fastest(ours, num_steps, 3, unit)  # units switch mostly in the first steps
    best = order[0]
    chosen = {"jaxinv": best, "jaxinv, dense": next(n for n in order if n.startswith("dense"))}
    works: dict[str, Any] = {
        side: functools.partial(ours[name], num_steps) for side, name in chosen.items()
    }
    try:
        print("PyTorch, every variant:")
        peers = torch_variants(problems, u0, step_size, not options.quick)
    except ImportError as error:
        print(f"  PyTorch is missing ({error}): install benchmarks/requirements-peers.txt")
    else:
        names = fastest(peers, max(10, num_steps // 25), 3, unit)
        whole = next(name for name in names if f"batch {trials}," in name)
        chosen |= {"torch": names[0], "torch, one batch": whole}
        works |= {
            side: functools.partial(peers[chosen[side]], num_steps)
            for side in ("torch", "torch, one batch")
        }
    scores = {side: accuracy(work(), problems.truth.u) for side, work in works.items()}
    times = _machine.interleaved(works, repetitions)
    scale = unit / num_steps
    per_step = {side: statistics.median(t.wall) * scale for side, t in times.items()}
    processor = {side: statistics.median(t.cpu) * scale for side, t in times.items()}
    print("in turns, all steps, us a step and trial (and of processor time):")
    for side in works:
        error, loss = scores[side]["relative_error"], scores[side]["loss"]
        print(
            f"  {side:17s} {per_step[side]:7.1f} ({processor[side]:6.1f}); median relative error "
            f"{error:.1e}, loss {loss:.1e}  [{chosen[side]}]"
        )
    ratios = {side: _machine.ratio(times[side].wall, times["jaxinv"].wall) for side in works}
    ratios_cpu = {side: _machine.ratio(times[side].cpu, times["jaxinv"].cpu) for side in works}
    for side in list(works)[1:]:
        print(
            f"jaxinv is {ratios[side]:.1f}x faster than {side} (median of {repetitions} rounds; "
            f"{ratios_cpu[side]:.1f}x in processor time)"
        )
    return {
        "trials": trials,
        "num_steps": num_steps,
        "variants": chosen,
        "accuracy": scores,
        "microseconds_per_step_and_trial": per_step,
        "processor_microseconds_per_step_and_trial": processor,
        "seconds": {side: t.wall for side, t in times.items()},
        "times_faster": ratios,
        "times_faster_in_processor_time": ratios_cpu,
        "limits": {
            side: against_limit(side, per_step[side], chosen[side])
            for side in ("jaxinv", "jaxinv, dense")
        },
    }


def against_limit(side: str, microseconds: float, variant: str) -> dict[str, float]:
    """Compare a step with reading from cache what it must: weights twice, forward and backward.

    Of a kept piece these are its map, k x n_2, and the operator, and the first layer once.
    """
    k, first, last = WIDTHS
    if variant.startswith("piece kept"):
        numbers = first * k + 2 * (k * last + NUM_MEASUREMENTS * last)
    else:
        numbers = 2 * (first * k + first * last + NUM_MEASUREMENTS * last)
    cores = jax.device_count() if "devices" in variant else 1
    bandwidth = cores * _machine.cached_bandwidth(4 * numbers)
    fastest_us = 4 * numbers / bandwidth * 1e6
    share = fastest_us / microseconds
    print(
        f"limit: reading {4 * numbers / 1e3:.0f} kB at {bandwidth / 1e9:.0f} GB/s ({cores} cores, "
        f"from cache) takes {fastest_us:.1f} us: {side} runs at {share:.0%} of it"
    )
    return {"bytes_per_second": bandwidth, "microseconds": fastest_us, "share": share}


def sweep_rate(options: Any, gemm_flops: float) -> dict[str, float]:
    """Time the two-layer preset with Levenberg-Marquardt, once compiled."""
    chosen = preset("nonexpansive-2layer")
    values = (40, 135) if options.quick else (5, 20, 40, 60, 80, 100, 120, 135, 150)
    num_trials = 4 if options.quick else 10
    marks: list[tuple[float, int]] = []

    def progress(report: Any) -> None:
        marks.append((time.perf_counter(), report.num_done))

    results = ji.sweep(
        chosen.trial("levenberg-marquardt"),
        {chosen.axis: list(values)},
        key=jax.random.key(0),
        num_trials=num_trials,
        traced=(chosen.axis,),
        progress=progress,
    )
    first = next(mark for mark in marks if mark[1] > 0)
    rate = (marks[-1][1] - first[1]) / (marks[-1][0] - first[0])
    steps = float(results["num_steps"].mean())
    k, n1, n2, m = 150, 700, 600, 300
    flops_per_step = _roofline.levenberg_marquardt_operations(k, n1, n2, m)
    share = rate * steps * flops_per_step / gemm_flops
    print(
        f"two-layer sweep, Levenberg-Marquardt: {rate:.1f} trials/s, {steps:.1f} steps a trial, "
        f"{share:.0%} of the machine's GEMM rate ({gemm_flops / 1e9:.0f} GFLOP/s)"
    )
    return {"trials_per_second": rate, "mean_steps": steps, "share_of_gemm_rate": share}


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    if jax.config.jax_platforms in (None, "", "cpu"):
        jax.config.update("jax_num_cpu_devices", _machine.num_cores())
    limits = _machine.limits()
    comparison = compare(options)
    rate = sweep_rate(options, limits["gemm_flops"])
    _machine.write(
        options.out,
        "phase_diagram",
        {
            "algorithm_1": comparison,
            "two_layer_sweep": rate,
            "machine": limits,
        },
    )


if __name__ == "__main__":
    main()
