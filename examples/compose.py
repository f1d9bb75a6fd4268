"""Compose with your own JAX: a custom operator, a custom prior, any optax transformation."""

import jax
import jax.numpy as jnp
import optax

import jaxinv as ji

SIZE = 128


def blur_and_sample(x):
    """Average four neighbors, keep every other sample: any linear JAX function will do."""
    return sum(jnp.roll(x, shift) for shift in range(4))[::2] / 4


def bumps(params, z):
    """Make a signal of Gaussian bumps: z holds centers and log-widths, params the heights."""
    centers, widths = z[: z.size // 2], jnp.exp(z[z.size // 2 :])
    grid = jnp.linspace(0.0, 1.0, SIZE)
    return params @ jnp.exp(-(((grid - centers[:, None]) / widths[:, None]) ** 2))


def wide(z):
    """Penalize widths far from 0.1, as a regularizer of the unknown."""
    return 1e-4 * jnp.sum((z[z.size // 2 :] - jnp.log(0.1)) ** 2)


def main(num_restarts=8, max_steps=1500):
    """Recover bumps from blurred, decimated, noisy samples; returns the relative error."""
    key = jax.random.key(0)
    A = ji.operators.from_function(blur_and_sample, (SIZE,), jnp.float32)
    G = ji.generators.from_function(bumps, jnp.array([1.0, 0.7, 0.4]), in_shape=(6,))
    z_true = jnp.array([0.2, 0.5, 0.8, *jnp.log(jnp.array([0.05, 0.1, 0.08]))])
    x_true = G(z_true)
    y = A(x_true) + 0.01 * jax.random.normal(key, A.out_shape, jnp.float32)
    problem = ji.Problem(A, y, G)  # no truth: a real measurement

    centers = jax.random.uniform(key, (num_restarts, 3), jnp.float32)
    starts = jnp.concatenate([centers, jnp.full((num_restarts, 3), jnp.log(0.1))], axis=1)
    solver = ji.solvers.gradient(optax.adam(0.02), regularizer=wide, num_restarts=num_restarts)
    solution = ji.solve(solver, problem, starts, tol=1e-5, max_steps=max_steps)
    error = float(ji.metrics.relative_error(solution.x, x_true))
    print(f"{ji.describe(solution.status).split(':')[0]}: relative error {error:.3f}")

    # the whole solve is a JAX function: differentiate the estimate in the measurements
    refine = ji.solvers.gradient(optax.sgd(0.002))

    def first_sample(y):
        state, _ = ji.trace(refine, problem._replace(y=y), solution.u, 20)
        return G(state.u)[0]

    print("sensitivity of the first sample:", jax.grad(first_sample)(y)[:3])
    return error


if __name__ == "__main__":
    main()
