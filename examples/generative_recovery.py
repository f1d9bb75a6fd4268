"""A generative prior: fewer measurements than unknowns
====================================================

A signal of 200 numbers comes from a random network with four latents. Forty products suffice: the
latent is found by least squares over the range of the network, by two solvers.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.generative(widths=(4, 80, 200), num_measurements=40)
keys = jax.random.split(jax.random.key(0), 10)
solvers = {
    "Levenberg-Marquardt": (ji.solvers.levenberg_marquardt(), 60),
    "subgradient descent": (ji.solvers.subgradient(0.3), 600),
}


def trace(solver, num_steps, key):
    problem = family.sample(key)
    _, info = ji.trace(solver, problem, family.initial(key), num_steps)
    return info.loss / jnp.sum(problem.y**2)


fig, ax = plt.subplots(figsize=(5, 3))
reached = {}
for (name, (solver, num_steps)), color in zip(solvers.items(), ("#1f6fb4", "#d1602a"), strict=True):
    losses = jax.jit(jax.vmap(trace, (None, None, 0)), static_argnums=1)(solver, num_steps, keys)
    reached[name] = int((losses[:, -1] < 1e-8).sum())
    print(f"{name}: {reached[name]} of 10 fit y to 1e-8 in {num_steps} steps")
    ax.loglog(jnp.arange(1, num_steps + 1), losses.T, color=color, lw=0.8)
    ax.plot([], [], color=color, label=name)
ax.set(xlabel="step", ylabel="loss / |y|²")
ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
fig.tight_layout()
plt.show()

assert reached["Levenberg-Marquardt"] >= 8
