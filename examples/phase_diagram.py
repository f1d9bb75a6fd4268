"""A phase diagram: success over latents and measurements
======================================================

Sizes that vary are padded and traced, so the whole grid is one compiled program. With ``store=``
the sweep can be stopped and continued.
"""

import tempfile

import jax
import matplotlib.pyplot as plt
from jax.tree_util import Partial

import jaxinv as ji


def trial(family, solver, key, *, k, m):
    """Draw one problem with k latents and m measurements, solve it, score it."""
    family = family.with_active(latent=k, measurements=m)
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=60)
    return {"error": ji.metrics.relative_error(solution.x, problem.truth.x)}


ks, ms = (2, 4, 8, 12), (4, 8, 16, 32)
family = ji.problems.generative((max(ks), 60, 50), max(ms))
results = ji.sweep(
    Partial(trial, family, ji.solvers.levenberg_marquardt()),
    {"k": ks, "m": ms},
    key=jax.random.key(0),
    num_trials=8,
    traced=("k", "m"),
)
rates = ji.sweeps.success_rate(results["error"] < 1e-3)
print(rates["rate"].to_pandas().round(2))

# %%
# The library's own figure of it, read back to stand here:
path = ji.viz.plot_phase_diagram(tempfile.mkdtemp() + "/phase.png", rates, title="(k, 60, 50)")
fig, ax = plt.subplots(figsize=(6, 4.5))
ax.imshow(plt.imread(path))
ax.axis("off")
fig.tight_layout()
plt.show()

assert float(rates["rate"].sel(k=2, m=32)) > 0.6
assert float(rates["rate"].sel(k=12, m=4)) < 0.5  # fewer measurements than latents
