"""Samples of the posterior, and whether to believe them
=====================================================

A solver gives one estimate; chains of Langevin steps give the spread too. R-hat compares the
chains: above 1.01 they have not found the same density yet.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

key = jax.random.key(0)
G = ji.generators.relu(key, (2, 20, 30))
family = ji.problems.generative(generator=G, num_measurements=20, noise_std=0.3)
problem = family.sample(key)
sampler = ji.samplers.langevin(step_size=0.03, noise_std=0.3)
starts = family.initial(key, 8)

for num_steps, burn_in, thin in ((300, 50, 1), (12_000, 2000, 10)):
    draws = ji.sample(
        sampler,
        problem,
        starts,
        key=key,
        num_steps=num_steps,
        burn_in=burn_in,
        thin=thin,
    )
    rhat, ess = float(draws.rhat.max()), float(draws.ess.min())
    print(f"{num_steps:6d} steps: R-hat {rhat:.3f}, {ess:.0f} independent draws", end="; ")
    print(ji.describe(draws.status).split(":")[0])

mean, spread = draws.x.mean((0, 1)), draws.x.std((0, 1))
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.fill_between(range(30), mean - 2 * spread, mean + 2 * spread, alpha=0.3, label="± 2 spreads")
ax.plot(mean, label="posterior mean")
ax.plot(problem.truth.x, "k.", label="truth")
ax.set(xlabel="entry")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert rhat < 1.05
assert float(ji.metrics.relative_error(mean, problem.truth.x)) < 0.5
