"""Your own operator, prior and optimizer
======================================

Any linear JAX function is an operator, any JAX function is a prior, any transformation of optax a
solver. The whole solve stays a JAX function: the estimate is differentiated in the measurements.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxinv as ji

SIZE = 128


def blur_and_sample(x):
    """Average four neighbors, keep every other sample."""
    return sum(jnp.roll(x, shift) for shift in range(4))[::2] / 4


def bumps(heights, z):
    """Make a signal of Gaussian bumps: z holds centers and log-widths."""
    centers, widths = z[:3], jnp.exp(z[3:])
    grid = jnp.linspace(0.0, 1.0, SIZE)
    return heights @ jnp.exp(-(((grid - centers[:, None]) / widths[:, None]) ** 2))


def wide(z):
    """Penalize widths far from 0.1, as a regularizer of the unknown."""
    return 1e-4 * jnp.sum((z[3:] - jnp.log(0.1)) ** 2)


key = jax.random.key(0)
A = ji.operators.from_function(blur_and_sample, (SIZE,), jnp.float32)
print(f"dot test: {float(ji.operators.dot_test(A, key)):.1e}")  # <A x, y> against <x, A* y>
G = ji.generators.from_function(bumps, jnp.array([1.0, 0.7, 0.4]), in_shape=(6,))
x = G(jnp.array([0.2, 0.5, 0.8, *jnp.log(jnp.array([0.05, 0.1, 0.08]))]))
y = A(x) + 0.01 * jax.random.normal(key, A.out_shape, jnp.float32)
problem = ji.Problem(A, y, G)  # no truth: a real measurement

centers = jax.random.uniform(key, (4, 3), jnp.float32)
starts = jnp.concatenate([centers, jnp.full((4, 3), jnp.log(0.1))], axis=1)
solver = ji.solvers.gradient(optax.adam(0.02), regularizer=wide, num_restarts=4)
solution = ji.solve(solver, problem, starts, tol=1e-5, max_steps=800)
error = float(ji.metrics.relative_error(solution.x, x))
print(f"{ji.describe(solution.status).split(':')[0]}: relative error {error:.3f}")

# %%
# How the first sample of the estimate moves with each measurement:
refine = ji.solvers.gradient(optax.sgd(0.002))


def first_sample(y):
    state, _ = ji.trace(refine, problem._replace(y=y), solution.u, 20)
    return G(state.u)[0]


print("sensitivity:", jax.grad(first_sample)(y)[:3])

fig, ax = plt.subplots(figsize=(6, 2.6))
ax.plot(x, color="#222222", label="truth")
ax.plot(jnp.arange(0, SIZE, 2), y, ".", color="#8a8a8a", label="measured")
ax.plot(solution.x, "--", color="#d1602a", label="found")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert error < 0.05
