"""A sweep that can be stopped, continued and grown
================================================

Results go into one SQLite file. The same call again computes nothing; more trials, or more values,
compute only what is new, and nothing of the old changes, to the bit.
"""

import tempfile

import jax
from jax.tree_util import Partial

import jaxinv as ji


def trial(family, solver, key, *, m):
    """Draw a problem with m measurements, solve it, score it."""
    family = family.with_active(measurements=m)
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=60)
    return {"error": ji.metrics.relative_error(solution.x, problem.truth.x)}


family = ji.problems.generative((3, 40, 60), 30)
run = Partial(trial, family, ji.solvers.levenberg_marquardt())
store = tempfile.mkdtemp() + "/sweep.sqlite"
settings = {"key": jax.random.key(0), "traced": ("m",), "store": store}

first = ji.sweep(run, {"m": [6, 30]}, num_trials=8, **settings)
grown = ji.sweep(run, {"m": [6, 12, 30]}, num_trials=16, **settings)
again = ji.sweep(run, {"m": [6, 12, 30]}, num_trials=16, **settings)
for name, found in {"first": first, "grown": grown, "again": again}.items():
    print(f"{name}: {found.sizes['m']} values of m, {found.sizes['trial']} trials each")
rates = ji.sweeps.success_rate(grown["error"] < 1e-3)
print(rates["rate"].to_pandas())

assert grown.sel(m=[6, 30]).isel(trial=slice(8))["error"].equals(first["error"])
assert again.equals(grown)
assert ji.sweeps.open_store(store).equals(grown)
