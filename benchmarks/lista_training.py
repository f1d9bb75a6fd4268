"""One training step of LISTA-CP against PyTorch, and against the rate of matrix products.

Both train the same network (m = 250, n = 500, 16 untied layers) from the same weights on the
same batch, with Adam; the losses after the first steps must agree. PyTorch runs eager, with
fused Adam, and compiled where it can be; the ratio is to the best of these. The rate counts the
five products a layer of a step, and nothing else, against a 1024 x 1024 product on all cores.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import _machine
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxinv as ji

RATE = 1e-4


def main() -> None:
    options = _machine.parser(__doc__).parse_args()
    m, n, num_layers = (64, 128, 4) if options.quick else (250, 500, 16)
    batches, num_steps, rounds = ((16,), 5, 2) if options.quick else ((64, 512, 1024), 10, 9)
    results = [compare(m, n, num_layers, size, num_steps, rounds) for size in batches]
    _machine.write(options.out, "lista_training", {"results": results})


def compare(
    m: int, n: int, num_layers: int, batch: int, num_steps: int, rounds: int
) -> dict[str, Any]:
    """Train with both, check that they agree, and time them in turn."""
    key = jax.random.key(0)
    A = ji.problems.sparse(m, n).sample(key).operator
    family = ji.problems.sparse(m, n, operator=A)
    problems = family.batch(jax.random.split(key, batch))
    layers = ji.unfolded.lista_cp(A, num_layers)
    works = {"jaxinv": trainer(layers, family.axes, problems)}
    works |= {f"torch {name}": run for name, run in peers(layers, problems).items()}
    works, losses = checked(works, num_steps)
    times = _machine.interleaved(
        {name: partial(run, num_steps) for name, run in works.items()}, rounds
    )
    gemm = _machine.gemm_rate()
    ratios = {
        name: _machine.ratio(times[name].wall, times["jaxinv"].wall)
        for name in works
        if name != "jaxinv"
    }
    best = min(ratios, key=lambda name: ratios[name], default=None)
    work = 5 * 2 * m * n * batch * num_layers * num_steps
    seconds = float(np.median(times["jaxinv"].wall))
    fraction = work / seconds / gemm
    print(f"batch {batch}: jaxinv {1e3 * seconds / num_steps:.1f} ms a step", end="")
    print(f", {100 * fraction:.0f} % of {gemm / 1e9:.0f} GFLOP/s", end="")
    print(f"; {ratios[best]:.2f} times faster than {best}" if best else "; no PyTorch here")
    milliseconds = {name: 1e3 * float(np.median(t.wall)) / num_steps for name, t in times.items()}
    _machine.ranking(milliseconds)
    return {
        "sizes": {"m": m, "n": n, "layers": num_layers, "batch": batch},
        "milliseconds_per_step": milliseconds,
        "times_faster_than": ratios,
        "gemm_rate": gemm,
        "fraction_of_gemm_rate": fraction,
        "losses": losses,
    }


def checked(works: dict[str, Any], num_steps: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Run each once, drop those that this machine cannot run, and require equal losses."""
    losses = {}
    for name, run in list(works.items()):
        try:
            losses[name] = run(num_steps)
        except Exception as error:
            print(f"{name} does not run here: {str(error).splitlines()[0][:90]}")
            del works[name]
    for name, loss in losses.items():
        if not math.isclose(loss, losses["jaxinv"], rel_tol=1e-3):
            raise SystemExit(f"{name} trains another network: loss {loss}, {losses['jaxinv']}")
    return works, losses


def loss_of(axes: ji.Problem, free: Any, frozen: ji.Layers, problems: ji.Problem) -> jax.Array:
    """Return the logarithm of the NMSE over a batch; trained are weights and log thresholds."""
    network = frozen.merge({**free, "threshold": jnp.exp(free["threshold"])})
    u = jax.vmap(ji.unfold, in_axes=(None, axes))(network, problems)
    truth = problems.truth.x
    return jnp.log(jnp.sum(jnp.square(u - truth)) / jnp.sum(jnp.square(truth)))


def trainer(layers: ji.Layers, axes: ji.Problem, problems: ji.Problem) -> Any:
    """Return ``run(num_steps) -> loss``, which goes on from where it was."""
    trainable, frozen = layers.partition()
    start = {**trainable, "threshold": jnp.log(trainable["threshold"])}
    optimizer = optax.adam(RATE)
    loss = partial(loss_of, axes)

    @partial(jax.jit, static_argnums=1, donate_argnums=0)
    def steps(carry: Any, num_steps: int, frozen: ji.Layers, problems: ji.Problem) -> Any:
        def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
            free, moments = carry
            value, gradient = jax.value_and_grad(loss)(free, frozen, problems)
            update, moments = optimizer.update(gradient, moments, free)
            return (optax.apply_updates(free, update), moments), value

        return jax.lax.scan(step, carry, None, length=num_steps)

    carry = (start, optimizer.init(start))

    def run(num_steps: int) -> float:
        nonlocal carry
        carry, values = steps(carry, num_steps, frozen, problems)
        return float(values[-1])

    return run


def peers(layers: ji.Layers, problems: ji.Problem) -> dict[str, Any]:
    """Return the PyTorch trainers, none where PyTorch is not installed."""
    try:
        import _torch_lista
    except ImportError:
        return {}

    def make() -> Any:
        solver = layers.solver
        return _torch_lista.ListaCp(solver.operator.matrix, solver.weights, solver.threshold)

    return _torch_lista.trainers(make, problems.y, problems.truth.x, RATE)


if __name__ == "__main__":
    main()
