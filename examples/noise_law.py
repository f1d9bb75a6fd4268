"""How noise passes through a generative prior
===========================================

The error of the best estimate is that of least squares with k unknowns, ‖noise‖ √(k / (m − k − 1)):
whatever the size of the signal and the depth of the network.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

NOISE_NORM, LARGEST = 0.01, 16
family = ji.problems.generative((LARGEST, 120, 150), 80, noise_norm=NOISE_NORM)
solver = ji.solvers.levenberg_marquardt()


def error(k, key):
    smaller = family.with_active(latent=k)
    problem = smaller.sample(key)
    solution = ji.solve(solver, problem, smaller.initial(key), max_steps=60)
    return jnp.linalg.norm(solution.x - problem.truth.x)


latents = jnp.array([2, 4, 8, 16])
keys = jax.random.split(jax.random.key(0), 20)
errors = jax.jit(jax.vmap(jax.vmap(error, (None, 0)), (0, None)))(latents, keys)
measured = jnp.median(errors, axis=1)
law = ji.theory.noise_law(NOISE_NORM, num_measurements=80, latent_size=latents)
for k, ours, theirs in zip(latents, measured, law, strict=True):
    print(f"k = {int(k):2d}: median error {float(ours):.5f}, law {float(theirs):.5f}")

fig, ax = plt.subplots(figsize=(5, 3))
ax.loglog(latents, measured, "o", label="median of 20 draws")
ax.loglog(latents, law, "-", color="#222222", label="law")
ax.set(xlabel="latents k", ylabel="error")
ax.legend()
fig.tight_layout()
plt.show()

assert jnp.all(jnp.abs(measured / law - 1) < 0.3)
