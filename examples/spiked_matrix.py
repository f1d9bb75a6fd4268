"""A spike in a noisy matrix: principal components with a prior
============================================================

A symmetric matrix of rank one is seen through noise. Its leading eigenvector ignores where spikes
come from; least squares over the range of the network uses it.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.spiked((3, 50, 150), noise_std=0.6)
solver = ji.solvers.levenberg_marquardt(num_restarts=4)


def run(key):
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key, 4))
    values, vectors = jnp.linalg.eigh(problem.y)
    leading = jnp.sqrt(jnp.maximum(values[-1], 0)) * vectors[:, -1]
    leading = leading * jnp.sign(leading @ problem.truth.x)  # only for the score
    score = ji.metrics.relative_error
    return score(solution.x, problem.truth.x), score(leading, problem.truth.x)


runs = [run(key) for key in jax.random.split(jax.random.key(0), 4)]
with_prior, without = zip(*runs, strict=True)
for a, b in zip(with_prior, without, strict=True):
    print(f"error with the prior {float(a):.3f}, of the leading eigenvector {float(b):.3f}")

fig, ax = plt.subplots(figsize=(4.5, 3))
ax.plot(without, with_prior, "o")
ax.plot([0, 1], [0, 1], "--", color="#8a8a8a")
ax.set(xlabel="error of the leading eigenvector", ylabel="error with the prior")
fig.tight_layout()
plt.show()

assert all(a < b / 2 for a, b in zip(with_prior, without, strict=True))
