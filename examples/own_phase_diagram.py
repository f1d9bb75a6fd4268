"""A phase diagram of your own operator and your own generator: 16 cells, one compile.

Run: python examples/own_phase_diagram.py
"""

import argparse

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

import jaxinv as ji

SIGNAL, HIDDEN = 128, 64


def circulant(key):
    """Draw your operator: a random circulant matrix, of which the first m rows will measure."""
    kernel = jax.random.normal(key, (SIGNAL,), jnp.float32) / SIGNAL**0.5
    return ji.operators.convolution(kernel, (SIGNAL,))


def network(weights, z):
    """Apply your generator: two layers with a smooth rectifier."""
    hidden = weights["first"] @ z
    return weights["second"] @ (hidden * jax.nn.sigmoid(4 * hidden))


def generator(largest_k, key):
    """Draw your generator with as many latents as the grid has at most."""
    first, second = jax.random.split(key)
    weights = {
        "first": jax.random.normal(first, (HIDDEN, largest_k), jnp.float32) * HIDDEN**-0.5,
        "second": jax.random.normal(second, (SIGNAL, HIDDEN), jnp.float32) * SIGNAL**-0.5,
    }
    return ji.generators.from_function(network, weights, in_shape=(largest_k,))


def trial(family, solver, key, *, k, m):
    """Draw one problem with k latents and m measurements, solve it, name what is measured."""
    family = family.with_active(latent=k, measurements=m)
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=50)
    error = ji.metrics.relative_error(solution.x, problem.truth.x)
    return {"error": error, "recovered": error < 1e-3, "steps": solution.num_steps}


def main(ks=(2, 4, 8, 12), ms=(4, 8, 16, 32), num_trials=50, plot=None):
    """Run the grid; returns the success rates."""

    def own_generator(key):
        return generator(max(ks), key)

    family = ji.problems.padded(circulant, own_generator)
    results = ji.sweep(
        Partial(trial, family, ji.solvers.levenberg_marquardt()),
        {"k": ks, "m": ms},
        key=jax.random.key(0),
        num_trials=num_trials,
        traced=("k", "m"),  # padded sizes: all cells are one program
        progress=True,
    )
    rates = ji.sweeps.success_rate(results["recovered"])
    print(rates["rate"].to_pandas().round(2))
    if plot is not None:
        print(ji.viz.plot_phase_diagram(plot, rates))
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", default=None)
    main(plot=parser.parse_args().plot)
