"""Laplace's approximation against closed forms and integrals on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji
from jaxinv.samplers._laplace import _inverse_root

KEY = jax.random.key(2)


def linear(columns, y, **options):
    prior = ji.generators.from_function(
        lambda p, z: p @ z, jnp.asarray(columns), in_shape=columns.shape[1], **options
    )
    return ji.Problem(ji.operators.identity(len(columns)), jnp.asarray(y), prior)


def gaussian_of(problem, noise_std, k=3):
    state = ji.samplers.laplace(noise_std).init(problem, normal(KEY, (k,)), KEY)
    return np.asarray(state.center), np.asarray(state.root @ state.root.T)


@pytest.mark.parametrize("noise_std", [0.02, 0.5, 30.0])
def test_it_is_the_posterior_of_a_linear_model(noise_std):
    rng = np.random.default_rng(0)
    columns, y = rng.normal(size=(5, 3)).astype(floats()), rng.normal(size=5).astype(floats())
    mean, cov = gaussian_of(linear(columns, y), noise_std)
    expected = np.linalg.inv(columns.T @ columns / noise_std**2 + np.eye(3))
    np.testing.assert_allclose(cov, expected, rtol=1e-4, atol=1e-5 * expected.max())
    at = expected @ columns.T @ y / noise_std**2
    assert np.all(np.abs(mean - at) < 2e-3 * np.sqrt(np.diag(expected)))


def test_it_counts_complex_squares_twice_and_takes_another_prior():
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(4, 3)).astype(floats())
    precision = np.diag([1.0, 4.0, 9.0]).astype(floats())

    def energy(p, z):
        return 0.5 * z @ precision @ z

    phase = np.exp(1j * np.arange(4)).astype(np.result_type(floats(), 1j))
    operator = ji.operators.dense(jnp.diag(jnp.asarray(phase)))
    problem = linear(columns, columns @ np.ones(3, floats()), energy=lambda z: energy(None, z))
    problem = problem._replace(operator=operator, y=operator(problem.y))
    mean, cov = gaussian_of(problem, 0.4)
    expected = np.linalg.inv(2 * columns.T @ columns / 0.4**2 + precision)
    np.testing.assert_allclose(cov, expected, rtol=1e-4, atol=1e-6)
    assert np.all(np.abs(mean - expected @ columns.T @ columns @ np.ones(3) * 2 / 0.16) < 1e-3)


def curved(params, z):
    return jnp.sinh(z)


def test_adjusted_draws_have_the_moments_of_a_curved_posterior():
    prior = ji.generators.from_function(curved, None, in_shape=1)
    problem = ji.Problem(ji.operators.identity(1), jnp.ones(1, floats()), prior)
    grid = np.linspace(-6, 6, 20001)
    weight = np.exp(-0.5 * (np.sinh(grid) - 1) ** 2 - 0.5 * grid**2)
    mean = np.sum(grid * weight) / weight.sum()
    variance = np.sum((grid - mean) ** 2 * weight) / weight.sum()
    starts = jnp.full((8, 1), 0.5, floats())

    def moments(adjust):
        sampler = ji.samplers.laplace(1.0, adjust=adjust)
        draws = ji.sample(sampler, problem, starts, key=KEY, num_steps=4000)
        u = np.asarray(draws.u, float)
        assert 0.7 < float(draws.accepted.min()) < 0.97  # the Gaussian is not the posterior
        return abs(u.mean() - mean) / np.sqrt(variance), u.var() / variance

    shift, ratio = moments(True)
    assert shift < 0.03
    assert 0.95 < ratio < 1.05
    shift, ratio = moments(False)
    assert shift > 0.12
    assert ratio > 1.15


def test_the_status_is_that_of_the_solve():
    prior = ji.generators.from_function(curved, None, in_shape=1)
    problem = ji.Problem(ji.operators.identity(1), jnp.full(1, 5.0, floats()), prior)
    starts = normal(KEY, (2, 1))
    draws = ji.sample(
        ji.samplers.laplace(0.1, max_steps=1), problem, starts, key=KEY, num_steps=300
    )
    assert draws.status.tolist() == [ji.Status.MAX_STEPS] * 2
    draws = ji.sample(ji.samplers.laplace(0.1), problem, starts, key=KEY, num_steps=300)
    assert draws.status.tolist() == [ji.Status.SAMPLED] * 2


def test_a_density_that_is_not_peaked_has_no_draws():
    root = _inverse_root(jnp.diag(jnp.array([1.0, -1.0, 2.0], floats())))
    assert np.all(np.isnan(root[:, 1]))


def test_a_tree_is_drawn_as_its_vector():
    prior = ji.generators.from_function(lambda p, z: z["a"] + 2 * z["b"], None)
    problem = ji.Problem(ji.operators.identity(2), jnp.ones(2, floats()), prior)
    starts = {"a": normal(KEY, (4, 2)), "b": normal(KEY, (4, 2))}
    draws = ji.sample(ji.samplers.laplace(1.0), problem, starts, key=KEY, num_steps=500)
    np.testing.assert_allclose(draws.u["b"].mean((0, 1)), 2 / 6, atol=0.1)
    np.testing.assert_allclose(draws.u["a"].var((0, 1)), 5 / 6, rtol=0.15)
