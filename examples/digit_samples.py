"""Samples and intervals for one digit
===================================

Fifty noisy measurements of a digit of 784 pixels leave something open. Chains over the latents of
a trained decoder say what: the mean, where it is unsure, and an interval for every pixel. The
measurements fix some latents and say little of others, so that the chains run in Gauss-Newton's
coordinates, from points that fit the measurements.
"""

import tempfile

import jax
import jax.numpy as jnp
import matplotlib.image
import matplotlib.pyplot as plt

import jaxinv as ji

key, noise_std = jax.random.key(3), 0.5
decoder = ji.trained.pretrained("mnist")  # 20 latents, N(0, I), to 28 x 28 pixels
family = ji.problems.generative(generator=decoder, num_measurements=50, noise_std=noise_std)
problem = family.sample(key)

solver = ji.solvers.levenberg_marquardt(latent_penalty=noise_std**2)
find = jax.jit(jax.vmap(lambda u: ji.solve(solver, problem, u, max_steps=30).u))
starts = find(family.initial(key, 8))
sampler = ji.samplers.preconditioned(
    ji.samplers.hmc(step_size=0.3, noise_std=noise_std, num_integration_steps=8)
)
draws = ji.sample(sampler, problem, starts, key=key, num_steps=700, burn_in=100)
print(ji.describe(draws.status[0]).split(":")[0], end=": ")
print(f"R-hat {draws.rhat.max():.3f}, {draws.ess.min():.0f} independent draws of each latent")

x = problem.truth.x
found = ji.samplers.summary(draws, level=0.9)  # would refuse chains that have not mixed
inside = float(jnp.mean((found.low <= x) & (x <= found.high)))
print(f"the truth lies within the 90 % intervals at {100 * inside:.0f} % of the pixels")

path = tempfile.mkdtemp() + "/digit.png"
ji.viz.plot_samples(draws, path, truth=x)
plt.figure(figsize=(10, 2))
plt.imshow(matplotlib.image.imread(path))
plt.axis("off")
plt.show()

of_draws = float(jnp.mean((draws.x - x) ** 2))
of_mean = float(jnp.mean((found.mean - x) ** 2))
print(f"squared error per pixel: {of_mean:.4f} of the mean, {of_draws:.4f} of a draw")
assert of_mean < of_draws
