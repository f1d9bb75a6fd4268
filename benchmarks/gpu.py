"""Accelerators: every kernel of the library's sweeps, against the device's own limits and a CPU.

For each kernel, one step of 256 problems at once: time, share of the measured copy bandwidth and
of the float32 GEMM rate (bytes and operations by the compiler's account, which does not see into
the vendor's factorizations), and the difference from the same step on the CPU. Then trials a
second of whole sweeps, and whether a second run gives the same bits. Without an accelerator it
says so and ends; ``--device cpu`` runs it anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import _machine
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxinv as ji
from jaxinv.reproductions._nonexpansive import family as draws
from jaxinv.reproductions.presets import PRESETS
from jaxinv.sweeps import sweep

BATCH = 256
IN_FLIGHT = 10  # calls begun before the first is waited for: launching is not what is measured


class Kernel(NamedTuple):
    """A function of one batch of inputs."""

    name: str
    step: Callable[..., Any]
    inputs: tuple[Any, ...]


def solver_kernels(key: Any, batch: int) -> list[Kernel]:
    """One step of solvers on random problems with an operator, or a network, each."""
    sparse = ji.problems.sparse(num_measurements=250, signal_size=500, sparsity=0.1)
    generative = draws(hidden=(700, 600), largest_k=64, dtype=jnp.float32)
    solvers = ji.solvers
    on_sparse = {
        "ista": solvers.ista(step_size=0.2, penalty=0.1),
        "fista": solvers.fista(step_size=0.2, penalty=0.1),
        "admm": solvers.admm(0.1),
        "amp": solvers.amp(),
        "vamp": solvers.vamp(noise_std=0.01),
        "iht": solvers.iht(50, 0.2),
        "omp": solvers.omp(50),
        "cosamp": solvers.cosamp(50),
    }
    on_generative = {
        "subgradient": solvers.subgradient(0.1),
        "levenberg-marquardt": solvers.levenberg_marquardt(),
        "adam": solvers.gradient(optax.adam(0.01)),
    }
    rows = [(*row, sparse.sample, 500) for row in on_sparse.items()]
    rows += [(*row, generative.sample, 64) for row in on_generative.items()]
    return [_kernel(name, solver, draw, size, key, batch) for name, solver, draw, size in rows]


def _kernel(name: str, solver: Any, draw: Any, size: int, key: Any, batch: int) -> Kernel:
    def begin(key: Any) -> Any:
        problem = draw(key)
        u0 = 0.1 * jax.random.normal(jax.random.fold_in(key, 1), (size,), jnp.float32)
        prepared = solver.prepare(problem)
        return prepared, problem, prepared.init(problem, u0)

    inputs = jax.jit(jax.vmap(begin))(jax.random.split(key, batch))

    def step(solvers: Any, problems: Any, states: Any) -> Any:
        def one(solver: Any, problem: Any, state: Any) -> Any:
            return solver.step(problem, state)[0]

        return jax.vmap(one)(solvers, problems, states)

    return Kernel(f"{name}, a step", step, inputs)


def network_kernels(key: Any, batch: int) -> list[Kernel]:
    """Passes through unfolded networks, and the gradient that trains one."""
    A = jax.random.normal(key, (250, 500), jnp.float32)
    A = ji.operators.dense(A / jnp.linalg.norm(A, axis=0))
    family = ji.problems.sparse(operator=A)
    draw = jax.vmap(family.sample, out_axes=family.axes)
    problems = jax.jit(draw)(jax.random.split(key, batch))
    networks = {
        "alista": ji.unfolded.alista(A, 16),
        "hyperlista": ji.unfolded.hyperlista(A, 16),
        "lista-cp": ji.unfolded.lista_cp(A, 16),
    }

    def run(layers: Any, problems: Any) -> Any:
        return jax.vmap(partial(ji.unfold, layers), in_axes=(family.axes,))(problems)

    def loss(layers: Any, problems: Any) -> Any:
        return jnp.sum(jnp.square(run(layers, problems) - problems.truth.x))

    rows = [Kernel(f"{name}, 16 layers", run, (n, problems)) for name, n in networks.items()]
    train = Kernel("lista-cp, gradient", jax.grad(loss), (networks["lista-cp"], problems))
    return [*rows, train]


def product_kernels(key: Any, batch: int) -> list[Kernel]:
    """What the inner loops are made of: products, transforms, convolutions of a decoder."""
    a = jax.random.normal(key, (batch, 300, 600), jnp.float32)
    x = jax.random.normal(key, (batch, 600), jnp.float32)
    images = jax.random.normal(key, (batch, 64, 64), jnp.float32)
    mask = ji.operators.fourier_lines(key, (64, 64), 4, 0.08)
    scan = ji.operators.mri(mask, real=True)
    prior = ji.generators.deep_decoder((64, 64), num_channels=32, num_layers=3)
    params = jax.vmap(prior.init)(jax.random.split(key, batch))

    def relu_layer(a: Any, x: Any) -> Any:
        return jax.nn.relu(jnp.einsum("bmn,bn->bm", a, x, precision="highest"))

    def decode(params: Any) -> Any:
        def loss(params: Any) -> Any:
            return jnp.sum(jnp.square(prior(params)))

        return jax.vmap(jax.grad(loss))(params)

    return [
        Kernel("relu layer, a matrix each", relu_layer, (a, x)),
        Kernel("mri and its adjoint", jax.vmap(scan.gram), (images,)),
        Kernel("deep decoder, gradient", decode, (params,)),
    ]


def measure(kernel: Kernel, device: Any, repetitions: int) -> tuple[float, Any, Any]:
    """Return seconds of one step, its cost by the compiler, and its result."""
    inputs = jax.device_put(kernel.inputs, device)
    compiled = jax.jit(kernel.step).lower(*inputs).compile()
    result = jax.block_until_ready(compiled(*inputs))

    def several() -> None:
        jax.block_until_ready([compiled(*inputs) for _ in range(IN_FLIGHT)])

    best = min((_machine.seconds(several) for _ in range(repetitions)), default=0.0) / IN_FLIGHT
    cost = compiled.cost_analysis() or {}
    return best, cost, jax.device_get(result)


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


def main() -> None:
    """Run the benchmark."""
    parser = _machine.parser(__doc__)
    parser.add_argument("--device", choices=("accelerator", "cpu"), default="accelerator")
    options = parser.parse_args()
    device = jax.devices()[0]
    if options.device == "accelerator" and device.platform == "cpu":
        print("no accelerator here: nothing to measure (--device cpu runs it on the CPU)")
        return
    cpu = jax.devices("cpu")[0]
    small = options.quick or device.platform == "cpu"
    batch, repetitions = (8, 2) if options.quick else (BATCH, 5)
    bandwidth = copy_bandwidth(device, 256 if small else 2048)
    rate = _machine.gemm_rate(2048 if small else 8192)
    print(f"{device.device_kind}: copy {bandwidth / 1e9:.1f} GB/s, GEMM {rate / 1e9:.0f} GFLOP/s")
    kernels: dict[str, Any] = {}
    key = jax.random.key(0)
    makers = (product_kernels, solver_kernels, network_kernels)
    for kernel in (kernel for make in makers for kernel in make(key, batch)):
        best, cost, result = measure(kernel, device, repetitions)
        moved, done = cost.get("bytes accessed", 0.0) / best, cost.get("flops", 0.0) / best
        shares = {"of_bandwidth": moved / bandwidth, "of_gemm": done / rate}
        apart = difference(result, measure(kernel, cpu, 0)[2])
        print(
            f"{kernel.name}: {1e3 * best:.3f} ms for {batch}, {shares['of_bandwidth']:.0%} of copy "
            f"bandwidth, {shares['of_gemm']:.0%} of GEMM, {apart:.1e} from the CPU",
            flush=True,
        )
        kernels[kernel.name] = {"seconds": best, **shares, "difference": apart}
    limits = {"copy_bytes_per_s": bandwidth, "gemm_flops": rate}
    name = f"gpu-{device.device_kind.lower().replace(' ', '-')}"
    results = {"batch": batch, "limits": limits, "kernels": kernels}
    _machine.write(options.out, name, {**results, "sweeps": sweeps(options.quick)})


if __name__ == "__main__":
    main()
