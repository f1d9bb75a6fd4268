"""A product of two unknown signals
================================

Only the entrywise product of two signals is measured, each from a network of its own. The unknown
is a pair of latents, and the solver moves the pair.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.blind_demodulation((2, 30, 80), (3, 40, 80))
key = jax.random.key(0)
problem = family.sample(key)
solver = ji.solvers.levenberg_marquardt(num_restarts=8)
solution = ji.solve(solver, problem, family.initial(key, 8))
error = float(ji.metrics.relative_error(solution.x, problem.truth.x))
print(f"relative error {error:.1e}; the unknown: {[part.shape for part in solution.u]}")

fig, ax = plt.subplots(figsize=(6, 2.6))
ax.plot(problem.y, color="#8a8a8a", label="measured product")
ax.plot(solution.x, "--", color="#d1602a", label="found")
ax.set(xlabel="entry")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert error < 1e-4
