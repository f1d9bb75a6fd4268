"""Does a sampler draw from the posterior?
=======================================

Where the truth is drawn from the prior, its rank among draws of the posterior is uniform. One
program checks that over many problems: a sampler with the noise of the data passes, one with
less noise gives intervals that are too narrow.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

key = jax.random.key(0)
matrix = jax.random.normal(key, (20, 5)) / 5**0.5
G = ji.generators.from_function(jax.numpy.matmul, matrix, in_shape=5)
family = ji.problems.generative(generator=G, num_measurements=12, noise_std=0.4)

fig, axes = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True)
found = {}
for ax, noise_std in zip(axes, (0.4, 0.28), strict=True):
    sampler = ji.samplers.laplace(noise_std)
    found[noise_std] = each = ji.sweeps.calibration(
        family, sampler, key=key, num_trials=500, num_steps=100, num_draws=99, block_size=20
    )
    print(f"noise {noise_std}: {each.verdict}")
    ax.bar(range(20), each.histogram[0], width=1.0, edgecolor="white")
    ax.axhline(25, color="k", linestyle="--")
    ax.set(title=f"sampler's noise {noise_std}, data's 0.4", xlabel="rank of u[0] (20 bins)")
axes[0].set_ylabel("problems")
fig.tight_layout()
plt.show()

assert [each.holds for each in found.values()] == [True, False]
