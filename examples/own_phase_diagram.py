"""A phase diagram of your own operator and generator, in one compile
==================================================================

``problems.padded`` makes any operator and any generator paddable: the first m rows measure, the
first k latents vary. So all cells of the grid are one program.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from jax.tree_util import Partial

import jaxinv as ji

SIGNAL, HIDDEN, LARGEST = 64, 32, 8


def circulant(key):
    """Draw your operator: a random circulant matrix, of which the first m rows will measure."""
    kernel = jax.random.normal(key, (SIGNAL,), jnp.float32) / SIGNAL**0.5
    return ji.operators.convolution(kernel, (SIGNAL,))


def network(weights, z):
    """Apply your generator: two layers with a smooth rectifier."""
    hidden = weights["first"] @ z
    return weights["second"] @ (hidden * jax.nn.sigmoid(4 * hidden))


def generator(key):
    """Draw your generator with as many latents as the grid has at most."""
    first, second = jax.random.split(key)
    weights = {
        "first": jax.random.normal(first, (HIDDEN, LARGEST), jnp.float32) * HIDDEN**-0.5,
        "second": jax.random.normal(second, (SIGNAL, HIDDEN), jnp.float32) * SIGNAL**-0.5,
    }
    return ji.generators.from_function(network, weights, in_shape=(LARGEST,))


def trial(family, solver, key, *, k, m):
    """Draw one problem with k latents and m measurements, solve it, name what is measured."""
    family = family.with_active(latent=k, measurements=m)
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=50)
    error = ji.metrics.relative_error(solution.x, problem.truth.x)
    return {"error": error, "recovered": error < 1e-3, "steps": solution.num_steps}


results = ji.sweep(
    Partial(trial, ji.problems.padded(circulant, generator), ji.solvers.levenberg_marquardt()),
    {"k": (2, 4, 8), "m": (4, 8, 16, 32)},
    key=jax.random.key(0),
    num_trials=10,
    traced=("k", "m"),  # padded sizes: all cells are one program
)
rates = ji.sweeps.success_rate(results["recovered"])["rate"]
print(rates.to_pandas().round(2))

fig, ax = plt.subplots(figsize=(5, 3))
for k in (2, 4, 8):
    ax.plot(rates["m"], rates.sel(k=k), "o-", label=f"k = {k}")
ax.set(xlabel="measurements m", ylabel="success rate", xticks=rates["m"].values)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert float(rates.sel(k=2, m=32)) > 0.6
assert float(rates.sel(k=8, m=4)) == 0  # fewer measurements than latents
