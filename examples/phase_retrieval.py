"""Magnitudes alone: phase retrieval with a generative prior
=========================================================

The signs of the products are lost. From one start a solver may end in a wrong place; the best of
several starts is chosen by the loss, never by the truth.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.phase_retrieval((5, 60, 120), 25)
keys = jax.random.split(jax.random.key(0), 10)


def run(solver, num_starts, key):
    problem = family.sample(key)
    starts = family.initial(key, num_starts)
    solution = ji.solve(solver, problem, starts, max_steps=100)
    return ji.metrics.relative_error(solution.x, problem.truth.x)


recovered = {}
for num_starts in (2, 8):
    solver = ji.solvers.levenberg_marquardt(num_restarts=num_starts)
    errors = jax.jit(jax.vmap(run, (None, None, 0)), static_argnums=1)(solver, num_starts, keys)
    recovered[num_starts] = int((errors < 1e-4).sum())
    print(f"{num_starts} starts: {recovered[num_starts]} of 10 recovered")

fig, ax = plt.subplots(figsize=(4.5, 3))
ax.bar([str(n) for n in recovered], list(recovered.values()), color="#1f6fb4")
ax.set(xlabel="starts", ylabel="recovered of 10", ylim=(0, 10))
fig.tight_layout()
plt.show()

assert recovered[8] >= 8
assert recovered[8] >= recovered[2]
