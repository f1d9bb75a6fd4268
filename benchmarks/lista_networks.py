"""Sixteen LISTA-CP networks trained at once, a matrix each, against PyTorch batched by hand.

Networks of 8 untied layers for 50 x 100 matrices, batches of 64, Adam; the losses after the first
steps must agree. jaxinv trains them by ``vmap``, one after another, and one a core at a time
(``shard_map`` over the cores of the machine as devices); PyTorch multiplies all of them by one
``baddbmm``, eager, with fused Adam and compiled, with one thread and with all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import _machine
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxinv as ji

RATE = 1e-4
TOLERANCE = 1e-3  # of the losses after the first steps, float32 on both sides


def main() -> None:
    options = _machine.parser(__doc__).parse_args()
    jax.config.update("jax_num_cpu_devices", _machine.num_cores())
    sizes = (4, 20, 40, 2, 16) if options.quick else (16, 50, 100, 8, 64)
    num_steps, rounds = (5, 2) if options.quick else (20, 9)
    _machine.write(options.out, "lista_networks", compare(sizes, num_steps, rounds))


def compare(sizes: tuple[int, int, int, int, int], num_steps: int, rounds: int) -> dict[str, Any]:
    """Train in every way, check that the losses agree, and time them in turn."""
    num_networks, m, n, num_layers, batch = sizes
    networks, y, x = draw(*sizes)
    works = jaxinv_ways(networks, y, x, num_steps)
    works |= {f"torch {name}": run for name, run in peers(networks, y, x, num_steps).items()}
    losses = {name: np.asarray(work()).tolist() for name, work in works.items()}
    for name, values in losses.items():
        if not np.allclose(values, losses["vmap"], atol=TOLERANCE):
            raise SystemExit(f"{name} trains other networks: {values}, {losses['vmap']}")
    times = _machine.interleaved(works, rounds)
    gemm = _machine.gemm_rate()
    per = 1e3 / num_steps / num_networks
    milliseconds = {name: per * float(np.median(t.wall)) for name, t in times.items()}
    ours = min((n for n in works if "torch" not in n), key=lambda name: milliseconds[name])
    ratios = {
        name: _machine.ratio(times[name].wall, times[ours].wall) for name in works if name != ours
    }
    share = 5 * 2 * m * n * batch * num_layers / milliseconds[ours] / 1e-3 / gemm
    print(
        f"{num_networks} networks: {milliseconds[ours]:.3f} ms a step and network ({ours})", end=""
    )
    print(f", {share:.0%} of {gemm / 1e9:.0f} GFLOP/s")
    _machine.ranking(milliseconds)
    return {
        "sizes": dict(zip(("networks", "m", "n", "layers", "batch"), sizes, strict=True)),
        "milliseconds_a_step_and_network": milliseconds,
        "fastest": ours,
        "times_faster_than": ratios,
        "gemm_rate": gemm,
        "fraction_of_gemm_rate": share,
    }


def draw(num_networks: int, m: int, n: int, num_layers: int, batch: int) -> tuple[Any, Any, Any]:
    """Return networks, measurements and signals, stacked over networks."""
    networks, problems = [], []
    for key in jax.random.split(jax.random.key(0), num_networks):
        A = ji.problems.sparse(m, n).sample(key).operator
        networks.append(ji.unfolded.lista_cp(A, num_layers, initial_weights="adjoint"))
        family = ji.problems.sparse(m, n, operator=A)
        problems.append(family.batch(jax.random.split(key, batch)))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    y = jnp.stack([problem.y for problem in problems])
    return stacked, y, jnp.stack([problem.truth.x for problem in problems])


def loss_of(free: Any, frozen: ji.Layers, y: Any, x: Any) -> jax.Array:
    """Return the logarithm of the NMSE over a batch; trained are weights and log thresholds."""
    network = frozen.merge({**free, "threshold": jnp.exp(free["threshold"])})
    operator = network.solver.operator
    u = jax.vmap(lambda part: ji.unfold(network, ji.Problem(operator, part)))(y)
    return jnp.log(jnp.sum(jnp.square(u - x)) / jnp.sum(jnp.square(x)))


def train(num_steps: int, network: ji.Layers, y: Any, x: Any) -> jax.Array:
    """Train one network; return the loss at the last step."""
    trainable, frozen = network.partition()
    free = {**trainable, "threshold": jnp.log(trainable["threshold"])}
    optimizer = optax.adam(RATE)

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        free, moments = carry
        value, gradient = jax.value_and_grad(loss_of)(free, frozen, y, x)
        update, moments = optimizer.update(gradient, moments, free)
        return (optax.apply_updates(free, update), moments), value

    return jax.lax.scan(step, (free, optimizer.init(free)), None, length=num_steps)[1][-1]


def jaxinv_ways(networks: Any, y: Any, x: Any, num_steps: int) -> dict[str, Any]:
    """Return each way to train all of them."""
    one = partial(train, num_steps)

    def in_turn(*values: Any) -> jax.Array:
        return jax.lax.map(lambda part: one(*part), values)

    values = (networks, y, x)
    ways = {"vmap": (jax.jit(jax.vmap(one)), values), "in turn": (jax.jit(in_turn), values)}
    cores = jax.device_count()
    if cores > 1 and len(y) % cores == 0:
        mesh = jax.make_mesh((cores,), ("networks",), axis_types=(AxisType.Auto,))
        over = PartitionSpec("networks")
        placed = jax.device_put(values, NamedSharding(mesh, over))
        spread = jax.shard_map(in_turn, mesh=mesh, in_specs=over, out_specs=over, check_vma=False)
        ways[f"one a core, {cores} cores"] = (jax.jit(spread), placed)
    return {
        name: lambda program=program, held=held: jax.block_until_ready(program(*held))
        for name, (program, held) in ways.items()
    }


def peers(networks: Any, y: Any, x: Any, num_steps: int) -> dict[str, Any]:
    """Return the PyTorch trainers, none where PyTorch is not installed."""
    try:
        import _torch_lista as peer
    except ImportError:
        print("PyTorch is not installed: jaxinv alone is timed")
        return {}
    solver = networks.solver
    arrays = (solver.operator.matrix, solver.weights, solver.threshold)
    make = partial(peer.ListaCpNetworks, *arrays)
    return {name: partial(run, num_steps) for name, run in peer.trainers(make, y, x, RATE).items()}


if __name__ == "__main__":
    main()
