"""Spikes of a network: the linear posterior mean by matrices, and the demo's order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats

import jaxinv as ji

S = ji.solvers


def family(k, noise_std, slope=1.0):
    W = jax.random.normal(jax.random.key(0), (k, k), floats()) / k
    G = ji.generators.from_weights([W * (2 / (1 + slope**2)) ** 0.5], negative_slope=slope)
    return ji.problems.spiked(generator=G, noise_std=noise_std, dtype=floats())


def gap(estimate, problem):
    x = np.asarray(problem.truth.x, float)
    return min(np.sum((sign * np.asarray(estimate) - x) ** 2) for sign in (1, -1))


def by_hand(M, W, x, noise_std, num_steps):
    """Message passing with the Gaussian posterior mean, matrices and all."""
    n, k = W.shape
    previous, variance = np.zeros(n), 0.0
    for _ in range(num_steps):
        a = n / noise_std**2 * (x @ x)
        b = n / noise_std**2 * (M @ x - n * variance * previous)
        covariance = W @ np.linalg.inv(np.eye(k) + a * W.T @ W) @ W.T
        previous, x, variance = x, covariance @ b, np.trace(covariance) / n
    return x, variance


def test_one_linear_layer_is_what_matrices_give():
    drawn = family(40, 0.5)
    problem = drawn.sample(jax.random.key(1))
    u0 = drawn.initial(jax.random.key(2))
    found = S.spiked_amp(problem, u0, 0.5, num_steps=6)
    W = np.asarray(problem.prior.params["weights"][0], float)
    x = W @ np.asarray(u0, float)
    x = 0.1 * x / np.linalg.norm(x) * np.linalg.norm(W)
    expected, variance = by_hand(np.asarray(problem.y, float), W, x, 0.5, 6)
    np.testing.assert_allclose(found.x, expected, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found.variance[-1], variance, rtol=2e-3)


def test_the_prior_helps_and_message_passing_most():
    drawn = family(300, 0.5**0.5)
    errors = []
    for seed in range(3):
        key = jax.random.key(seed)
        problem = drawn.sample(key)
        u0 = drawn.initial(jax.random.fold_in(key, 1))
        root = problem.prior.params["weights"][0]
        found = S.spiked_amp(problem, u0, 0.5**0.5)
        estimates = (found.x, S.spiked_spectral(problem, root), S.spiked_spectral(problem))
        errors.append([gap(x, problem) for x in estimates])
    amp, lamp, pca = np.mean(errors, 0)
    assert amp < lamp < pca
    assert 0.2 < amp < 0.42  # .319 by state evolution, for large ones


def test_a_prior_with_a_mean_keeps_the_sign():
    drawn = family(100, 0.5, slope=0.0)
    problem = drawn.sample(jax.random.key(3))
    found = S.spiked_amp(problem, drawn.initial(jax.random.key(4)), 0.5)
    assert float(ji.metrics.relative_error(found.x, problem.truth.x)) < 0.5
    assert float(jnp.sum(found.x)) > 0


def test_they_name_what_they_refuse():
    drawn = family(6, 0.5)
    problem = drawn.sample(jax.random.key(0))
    with pytest.raises(ValueError, match="root must have 6 rows"):
        S.spiked_spectral(problem, jnp.ones((5, 2)))
    linear = ji.Problem(ji.operators.identity(6), jnp.ones(6), problem.prior)
    with pytest.raises(TypeError, match=r"operator must be operators\.outer.*ml_vamp"):
        S.spiked_amp(linear, jnp.ones(6), 0.5)
