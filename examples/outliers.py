"""Measurements that are wrong: a misfit that leaves them out
==========================================================

One measurement in ten is replaced by a gross error. Squares follow it; Huber's misfit and the
trimmed one do not, and the trimmed one says which they were.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

clean = ji.problems.generative((3, 40, 80), 60)
family = ji.problems.corrupted(clean, outlier_share=0.1, outlier_value=3.0)
solver = ji.solvers.levenberg_marquardt()
misfits = {
    "squares": ji.misfits.squared(),
    "Huber": ji.misfits.huber(0.05),
    "trimmed": ji.misfits.trimmed(0.1),
}


def run(misfit, key):
    problem = family.sample(key)._replace(misfit=misfit)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=100)
    return ji.metrics.relative_error(solution.x, problem.truth.x)


keys = jax.random.split(jax.random.key(0), 12)
medians = {}
for name, misfit in misfits.items():
    medians[name] = float(jnp.median(jax.jit(jax.vmap(run, (None, 0)))(misfit, keys)))
    print(f"{name:8s} median error {medians[name]:.1e}")

fig, ax = plt.subplots(figsize=(4.5, 3))
ax.bar(list(medians), list(medians.values()), color="#1f6fb4")
ax.set(ylabel="median relative error", yscale="log")
fig.tight_layout()
plt.show()

assert medians["trimmed"] < medians["squares"] / 10
