"""Chains in Gauss-Newton's coordinates against ill-conditioned posteriors in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import normal

import jaxinv as ji

KEY = jax.random.key(0)
DTYPE = jnp.result_type(float)
SCALES = np.array([100.0, 3.0, 0.1])


def _split(matrix, u):
    return matrix[:, :2] @ u["a"] + matrix[:, 2] * u["b"]


def posed(matrix, y, apply=jnp.matmul):
    prior = ji.generators.from_function(apply, jnp.asarray(matrix))
    return ji.Problem(ji.operators.identity(len(y)), jnp.asarray(y), prior)


def rotated():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    return (SCALES[:, None] * rotation).astype(DTYPE)


def assert_posterior(u, cov, ess):
    u = np.asarray(u, float).reshape(-1, 3)
    whiten = np.linalg.inv(np.linalg.cholesky(cov))
    assert np.linalg.norm(np.cov((u @ whiten.T).T) - np.eye(3)) < 0.1
    assert np.all(np.abs(u.mean(0)) < 4 * np.sqrt(np.diag(cov) / np.asarray(ess)))


def test_many_times_more_independent_draws_where_scales_differ():
    """Precisions of 10001 and 1: a step for one is far too short for the other."""
    problem = posed(rotated(), np.zeros(3, DTYPE))
    cov = np.linalg.inv(rotated().T.astype(float) @ rotated().astype(float) + np.eye(3))
    options = {"key": KEY, "num_steps": 2100, "burn_in": 100}
    starts = normal(KEY, (8, 3))
    quick = ji.samplers.preconditioned(ji.samplers.langevin(0.6, 1.0))
    draws = ji.sample(quick, problem, starts, **options)
    assert_posterior(draws.u, cov, draws.ess)
    assert set(np.asarray(draws.status).tolist()) == {ji.Status.SAMPLED}
    plain = ji.sample(ji.samplers.langevin(1e-4, 1.0), problem, starts, **options)
    assert 0.4 < float(plain.accepted.mean()) < 0.9  # as long as its steps can be
    assert set(np.asarray(plain.status).tolist()) == {ji.Status.UNMIXED}
    assert float(draws.ess.min() / plain.ess.min()) > 100


def test_trees_and_complex_measurements():
    """E|η|² = σ² of complex noise: squares count twice in the metric as in the density."""
    matrix = rotated() * (1 + 1j) / np.sqrt(2)
    matrix = matrix.astype(jnp.result_type(DTYPE, jnp.complex64))
    problem = posed(matrix, np.zeros(3, matrix.dtype), _split)
    cov = np.linalg.inv(2 * rotated().T.astype(float) @ rotated().astype(float) + np.eye(3))
    starts = {"a": normal(KEY, (8, 2)), "b": normal(jax.random.key(1), (8,))}
    sampler = ji.samplers.preconditioned(ji.samplers.hmc(0.5, 1.0, 3))
    draws = ji.sample(sampler, problem, starts, key=KEY, num_steps=1100, burn_in=100)
    u = jnp.concatenate([draws.u["a"], draws.u["b"][..., None]], -1)
    assert_posterior(u, cov, [*np.asarray(draws.ess["a"]), float(draws.ess["b"])])
    assert float(draws.accepted.mean()) > 0.8  # in w the precision is 1, whatever the scales
