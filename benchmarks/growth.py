"""Growth: how the time of the main kernels grows with trials, n, m, k, layers and batch.

One size is varied at a time, the others stay at the base. The slope of the least-squares line
through log time over log size is printed with its standard error. Times are the least of several
rounds over all sizes of a kernel: other work on the machine only adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import _machine
import jax
import jax.numpy as jnp
import lista_training
import untrained

import jaxinv as ji
from jaxinv.sweeps._estimate import power_law

KEY = jax.random.key(0)
WIDTH = 350  # of hidden layers


class Kernel(NamedTuple):
    """A work by its sizes: ``build(**sizes)`` returns a call; ``varied`` has the values of each."""

    name: str
    build: Callable[..., Callable[[], Any]]
    base: Mapping[str, int]
    varied: Mapping[str, tuple[int, ...]]


def kernels(quick: bool) -> list[Kernel]:
    """Return the kernels with the sizes that are measured."""
    if quick:
        generative = {"trials": 1, "batch": 1, "k": 8, "n": 60, "m": 30, "layers": 2}
        sparse = {"trials": 1, "batch": 1, "n": 64, "m": 32}
        network = {"batch": 16, "n": 64, "m": 32, "layers": 3}
        decoder = {"n": 32 * 32, "k": 8, "layers": 3}
    else:
        generative = {"trials": 1, "batch": 1, "k": 50, "n": 600, "m": 300, "layers": 2}
        sparse = {"trials": 1, "batch": 1, "n": 400, "m": 200}
        network = {"batch": 64, "n": 500, "m": 125, "layers": 8}
        decoder = {"n": 64 * 64, "k": 64, "layers": 3}
    steps = 20 if quick else 500

    def around(base: Mapping[str, int], **factors: tuple[float, ...]) -> dict[str, Any]:
        found = {name: tuple(round(base[name] * by) for by in factors[name]) for name in factors}
        few = slice(3 if quick else None)  # every size is a compile
        return {"base": base, "varied": {name: values[few] for name, values in found.items()}}

    up, both = (1, 2, 4, 8), (0.5, 1, 2, 4)
    grid = around(generative, trials=up, batch=up, k=both, n=both, m=both, layers=(1, 1.5, 2, 3))
    return [
        Kernel("trial by subgradient", partial(subgradient, steps), **grid),
        Kernel(
            "trial by FISTA",
            partial(fista, steps),
            **around(sparse, trials=up, batch=up, n=both, m=both),
        ),
        Kernel(
            "LISTA-CP training step",
            lista_cp,
            **around(network, batch=both, n=both, m=(0.25, 0.5, 1, 2), layers=both[1:]),
        ),
        Kernel(
            "deep decoder step",
            deep_decoder,
            **around(decoder, n=(0.25, 1, 4, 16), k=both, layers=(2 / 3, 1, 4 / 3, 5 / 3)),
        ),
    ]


def subgradient(
    num_steps: int, *, trials: int, batch: int, k: int, n: int, m: int, layers: int
) -> Callable[[], Any]:
    """Draw and solve: a generator (k, 350, ..., n) and m measurements a trial."""
    widths = (k, *[WIDTH] * (layers - 1), n)
    family = ji.problems.generative(widths, m)
    return recoveries(family, ji.solvers.subgradient(0.7 / 2**layers), num_steps, trials, batch)


def fista(num_steps: int, *, trials: int, batch: int, n: int, m: int) -> Callable[[], Any]:
    """Draw and solve: a matrix (m, n) a trial."""
    family = ji.problems.sparse(m, n, sparsity=0.1)
    return recoveries(family, ji.solvers.fista(0.2, 0.1), num_steps, trials, batch)


def recoveries(
    family: Any, solver: Any, num_steps: int, trials: int, batch: int
) -> Callable[[], Any]:
    """Return a call of ``trials`` blocks, one after another, of ``batch`` trials at once."""
    blocks = jax.random.split(KEY, (trials, batch))
    return lambda: jax.block_until_ready([block(family, solver, num_steps, key) for key in blocks])


@partial(jax.jit, static_argnums=2)
def block(family: Any, solver: Any, num_steps: int, keys: jax.Array) -> jax.Array:
    """Draw a problem a key and solve it; returns the last losses."""

    def recover(key: jax.Array) -> jax.Array:
        problem = family.sample(key)
        return ji.trace(solver, problem, family.initial(key), num_steps)[1].loss[-1]

    if keys.shape[0] == 1:  # as a sweep on a CPU runs it
        return recover(keys[0])[None]
    return jax.vmap(recover)(keys)


def lista_cp(*, batch: int, n: int, m: int, layers: int) -> Callable[[], Any]:
    """One step of Adam over all layers."""
    A = ji.problems.sparse(m, n).sample(KEY).operator
    family = ji.problems.sparse(m, n, operator=A)
    problems = family.batch(jax.random.split(KEY, batch))
    run = lista_training.trainer(ji.unfolded.lista_cp(A, layers), family.axes, problems)
    return partial(run, 1)


def deep_decoder(*, n: int, k: int, layers: int) -> Callable[[], Any]:
    """One step of Adam on an image of n pixels, k channels."""
    side = round(n**0.5)
    prior = ji.generators.deep_decoder((side, side), k, layers)
    return partial(untrained.trainer(prior, untrained.picture((side, side))), 1)


def measure(kernel: Kernel, rounds: int) -> dict[str, Any]:
    """Time a kernel at all of its sizes in turns, and fit a line to each."""
    works: dict[str, Callable[[], Any]] = {}
    for name, values in kernel.varied.items():
        for value in values:
            sizes = {**kernel.base, name: value}
            if str(sizes) not in works:
                works[str(sizes)] = kernel.build(**sizes)
                works[str(sizes)]()  # compiles
    times = {key: min(found.wall) for key, found in _machine.interleaved(works, rounds).items()}
    base = times[str(kernel.base)]
    print(f"{kernel.name} at {', '.join(f'{k} = {v}' for k, v in kernel.base.items())}: ", end="")
    print(f"{1e3 * base:.3g} ms")
    growth = {}
    for name, values in kernel.varied.items():
        seconds = [times[str({**kernel.base, name: value})] for value in values]
        slopes, errors = power_law(values, seconds)
        print(f"  time ~ {name}^{slopes[0]:.2f} +- {errors[0]:.2f}, {name} = {values}")
        growth[name] = {
            "sizes": values,
            "seconds": seconds,
            "slope": slopes[0],
            "standard_error": errors[0],
        }
    return {"base": kernel.base, "seconds": base, "growth": growth}


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    rounds = 2 if options.quick else 7
    results = {kernel.name: measure(kernel, rounds) for kernel in kernels(options.quick)}
    _machine.write(
        options.out, "growth", {"dtype": str(jnp.result_type(float)), "kernels": results}
    )


if __name__ == "__main__":
    main()
