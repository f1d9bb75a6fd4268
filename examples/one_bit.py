"""Signs alone: one-bit measurements with a generative prior
=========================================================

Only the signs of dithered products are kept. Carried back to the signal they are a problem of
denoising, and the error falls like the square root of k / m.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

DITHER = 3.0
sizes = [500, 1000, 2000, 4000]
solver = ji.solvers.levenberg_marquardt()
family = ji.problems.one_bit((5, 100, 80), max(sizes), dither=DITHER)
keys = jax.random.split(jax.random.key(0), 10)


def at(m, key):  # sizes are padded and traced: one compiled program for all of them
    smaller = family.with_active(measurements=m)
    problem = smaller.sample(key)
    denoising = ji.problems.back_projected(problem, DITHER / m)
    solution = ji.solve(solver, denoising, smaller.initial(key))
    return ji.metrics.relative_error(solution.x, problem.truth.x)


errors = jax.jit(jax.vmap(jax.vmap(at, (None, 0)), (0, None)))(jnp.array(sizes), keys).mean(1)
law = DITHER * jnp.sqrt(5 / jnp.array(sizes))
for m, error, predicted in zip(sizes, errors, law, strict=True):
    print(f"m = {m:4d}: mean error {error:.3f}, law {predicted:.3f}")

fig, ax = plt.subplots(figsize=(5, 3))
ax.loglog(sizes, errors, "o", label="mean of 10 draws")
ax.loglog(sizes, law, "-", color="#222222", label="λ √(k/m)")
ax.set(xlabel="measurements m", ylabel="relative error")
ax.legend()
fig.tight_layout()
plt.show()

assert jnp.all(jnp.abs(errors / law - 1) < 0.5)
