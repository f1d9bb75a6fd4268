"""A grid over a hyper-parameter, by vmap
======================================

A hyper-parameter is a leaf of the solver, so a solver with an axis more is a grid: all penalties of
the Lasso, on all problems, in one program.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

SIZE = 100
family = ji.problems.sparse(SIZE // 2, SIZE, sparsity=0.05, snr_db=20.0)
problems = family.batch(jax.random.split(jax.random.key(0), 10))
penalties = jnp.geomspace(1e-3, 1.0, 9, dtype=jnp.float32)


def error(penalty, problem):
    solver = ji.solvers.fista(penalty=penalty)
    solution = ji.solve(solver, problem, jnp.zeros(SIZE, jnp.float32), max_steps=300)
    return ji.metrics.nmse(solution.x, problem.truth.x)


over_problems = jax.vmap(error, in_axes=(None, family.axes))
errors = jax.jit(jax.vmap(over_problems, in_axes=(0, None)))(penalties, problems)
mean_db = 10 * jnp.log10(errors.mean(axis=1))
for penalty, value in zip(penalties, mean_db, strict=True):
    print(f"penalty {float(penalty):6.3f}: NMSE {float(value):6.1f} dB")

fig, ax = plt.subplots(figsize=(5, 3))
ax.semilogx(penalties, mean_db, "o-")
ax.set(xlabel="penalty", ylabel="NMSE (dB)")
fig.tight_layout()
plt.show()

assert 0 < int(mean_db.argmin()) < 8  # neither no penalty nor all penalty
