"""Predict a run of an untrained network before running it: its error at every step.

Run: python examples/predict_run.py
"""

import jax
import jax.numpy as jnp
import optax

import jaxinv as ji


def main(size=256, num_channels=4096, num_steps=200, noise_std=1.0):
    """Return the predicted and the measured error of each step, relative to the signal."""
    grid = jnp.arange(size)
    kernel = jnp.exp(-jnp.square(jnp.minimum(grid, size - grid) / (0.03 * size)))
    kernel = kernel / jnp.linalg.norm(kernel)
    basis = ji.ntk.trigonometric_basis(size)
    x = jnp.sqrt(size) * basis[:, :9] @ jnp.ones(9) / 3  # smooth: nine functions of the basis
    y = x + noise_std * jax.random.normal(jax.random.key(0), (size,))

    # a wide two-layer network learns frequency f as 1 - (1 - step sigma_f^2)^t
    prior = ji.generators.two_layer(kernel, num_channels, key=jax.random.key(1))
    step_size = 0.1 / float(jnp.max(ji.ntk.spectrum(kernel))) ** 2
    steps = jnp.arange(num_steps)
    start = prior(prior.params)
    path = ji.ntk.linearized_denoising(kernel, y, step_size, steps, start=start)
    predicted = jnp.linalg.norm(path - x, axis=1) / jnp.linalg.norm(x)
    best = int(predicted.argmin())
    print(f"predicted: best after {best} steps, error {predicted[best]:.3f}")

    solver = ji.solvers.gradient(optax.sgd(step_size))
    problem = ji.Problem(ji.operators.identity((size,)), y, prior)
    signals = ji.trace(solver, problem, prior.params, num_steps - 1, measure=signal)[1][1]
    signals = jnp.concatenate([start[None], signals])
    measured = jnp.linalg.norm(signals - x, axis=1) / jnp.linalg.norm(x)
    print(f"measured:  best after {int(measured.argmin())} steps, error {measured.min():.3f}")
    gap = jnp.max(jnp.abs(predicted / measured - 1)[: 3 * best])
    print(f"largest departure up to three times the best step: {100 * float(gap):.1f} %")
    return predicted, measured


def signal(problem, state):
    """Return the network's output."""
    return problem.signal(state.u)


if __name__ == "__main__":
    main()
