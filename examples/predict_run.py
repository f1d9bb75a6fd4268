"""Predict a run of an untrained network before running it
=======================================================

A wide two-layer network learns each frequency at a rate that its kernel gives. So its error at
every step, and the best step, are known beforehand.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxinv as ji

SIZE, NUM_STEPS = 64, 60
grid = jnp.arange(SIZE)
kernel = jnp.exp(-jnp.square(jnp.minimum(grid, SIZE - grid) / (0.03 * SIZE)))
kernel = kernel / jnp.linalg.norm(kernel)
# a smooth signal, nine functions of the basis, in noise of its own size
x = jnp.sqrt(SIZE) * ji.ntk.trigonometric_basis(SIZE)[:, :9] @ jnp.ones(9) / 3
y = x + jax.random.normal(jax.random.key(0), (SIZE,))

prior = ji.generators.two_layer(kernel, 2048, key=jax.random.key(1))
step_size = 0.1 / float(jnp.max(ji.ntk.spectrum(kernel))) ** 2
start = prior(prior.params)
path = ji.ntk.linearized_denoising(kernel, y, step_size, jnp.arange(NUM_STEPS), start=start)
predicted = jnp.linalg.norm(path - x, axis=1) / jnp.linalg.norm(x)


def signal(problem, state):
    return problem.signal(state.u)


solver = ji.solvers.gradient(optax.sgd(step_size))
problem = ji.Problem(ji.operators.identity((SIZE,)), y, prior)
_, (_, signals) = ji.trace(solver, problem, prior.params, NUM_STEPS - 1, measure=signal)
signals = jnp.concatenate([start[None], signals])
measured = jnp.linalg.norm(signals - x, axis=1) / jnp.linalg.norm(x)
best = int(predicted.argmin())
print(f"predicted: best after {best} steps, error {predicted[best]:.3f}")
print(f"measured:  best after {int(measured.argmin())} steps, error {measured.min():.3f}")

fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(measured, "o", markersize=3, label="measured")
ax.plot(predicted, "-", color="#222222", label="predicted")
ax.set(xlabel="step", ylabel="relative error")
ax.legend()
fig.tight_layout()
plt.show()

assert 0 < best < 30
assert jnp.max(jnp.abs(predicted / measured - 1)[: 3 * best]) < 0.05
