"""HMC and NUTS of blackjax against a Gaussian posterior in closed form; paths that diverge."""

import sys

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal

import jaxinv as ji

KEY = jax.random.key(0)
MATRIX = np.array([[3.0, 0.4, 0.0], [0.0, 1.2, 0.3], [0.5, -0.3, 0.6], [1.0, 0.0, -0.2]])
MEASURED = np.array([1.0, -0.5, 0.3, 0.8])
PRECISION = MATRIX.T @ MATRIX / 0.25 + np.eye(3)
COV = np.linalg.inv(PRECISION)
MEAN = COV @ MATRIX.T @ MEASURED / 0.25


def problem():
    dtype = jnp.result_type(float)
    prior = ji.generators.from_function(jnp.matmul, jnp.asarray(MATRIX, dtype), in_shape=3)
    return ji.Problem(ji.operators.identity(4), jnp.asarray(MEASURED, dtype), prior)


def assert_right(draws):
    """The covariance within 10 %, and means within what the effective sizes say."""
    u = np.asarray(draws.u, float).reshape(-1, 3)
    assert np.linalg.norm(np.cov(u.T) - COV) < 0.1 * np.linalg.norm(COV)
    assert np.all(np.abs(u.mean(0) - MEAN) < 4 * np.sqrt(np.diag(COV) / np.asarray(draws.ess)))
    assert set(np.asarray(draws.status).tolist()) == {ji.Status.SAMPLED}


def test_nuts_and_a_tuned_one_draw_from_the_posterior():
    starts = normal(KEY, (8, 3))
    tuned = ji.samplers.tune(
        ji.samplers.nuts(1.0, 0.5), problem(), starts[0], key=KEY, dense=True, num_steps=600
    )
    draws = ji.sample(tuned, problem(), starts, key=KEY, num_steps=500, burn_in=100)
    assert_right(draws)
    assert np.all(np.asarray(draws.info.events["diverging"]) == 0)
    found = np.asarray(tuned.parameters["inverse_mass_matrix"], float)
    assert found.shape == (3, 3)
    assert np.linalg.norm(found - COV) < 0.6 * np.linalg.norm(COV)
    assert 0.6 < float(draws.accepted.mean()) < 0.98


def test_any_kernel_of_blackjax_and_any_tree():
    sampler = ji.samplers.from_blackjax(blackjax.mhmc, 0.5, step_size=0.2, num_integration_steps=5)
    columns = jnp.asarray(MATRIX, jnp.result_type(float))
    prior = ji.generators.from_function(_in_parts, columns)
    starts = {"a": normal(KEY, (16, 2)), "b": normal(jax.random.key(1), (16,))}
    split = problem()._replace(prior=prior)
    draws = ji.sample(sampler, split, starts, key=KEY, num_steps=800, burn_in=50)
    joined = jnp.concatenate([draws.u["a"], draws.u["b"][..., None]], -1)
    ess = jnp.concatenate([draws.ess["a"], draws.ess["b"][None]])
    assert_right(draws._replace(u=joined, ess=ess))


def _in_parts(columns, u):
    return columns[:, :2] @ u["a"] + columns[:, 2] * u["b"]


def test_paths_that_diverge_are_counted_and_said():
    draws = ji.sample(
        ji.samplers.hmc(1.5, 0.5, 8), problem(), normal(KEY, (4, 3)), key=KEY, num_steps=20
    )
    assert float(draws.info.events["diverging"].mean()) > 0.5
    assert set(np.asarray(draws.status).tolist()) == {ji.Status.LONG_STEP}
    with pytest.raises(RuntimeError, match="LONG_STEP"):
        ji.raise_if_failed(draws)


def test_other_metrics_and_a_missing_package_are_refused(monkeypatch):
    narrow = ji.samplers.hmc(0.1, 0.5, 2, inverse_mass_matrix=np.ones(2))
    with pytest.raises(ValueError, match=r"inverse_mass_matrix must have shape \(3,\) or \(3, 3\)"):
        ji.sample(narrow, problem(), normal(KEY, (4, 3)), key=KEY, num_steps=20)
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ModuleNotFoundError, match=r"nuts: .* pip install 'jaxinv\[sampling\]'"):
        ji.samplers.nuts(0.1, 1.0)


def test_algorithms_whose_draws_would_be_off_are_refused():
    """One that counts the prior twice, one that takes the likelihood, one that never refuses."""
    make = ji.samplers.from_blackjax
    for algorithm in (blackjax.mgrad_gaussian, blackjax.elliptical_slice):
        with pytest.raises(ValueError, match="algorithm must take the log density of the post"):
            make(algorithm, 0.5, mean=np.zeros(3))
    sampler = make(blackjax.mclmc, 0.5, L=1.0, step_size=0.1)
    with pytest.raises(ValueError, match="algorithm must report its acceptance"):
        ji.sample(sampler, problem(), normal(KEY, (4, 3)), key=KEY, num_steps=8)


def test_draws_go_to_arviz(monkeypatch):
    draws = ji.sample(
        ji.samplers.hmc(1.5, 0.5, 8), problem(), normal(KEY, (4, 3)), key=KEY, num_steps=20
    )
    pytest.importorskip("arviz", reason="heavy, and not needed for anything else")
    found = draws.to_arviz()
    np.testing.assert_array_equal(found.posterior["u"].values, draws.u)
    assert found.posterior["x"].shape == (4, 20, 4)
    assert found.sample_stats["diverging"].dtype == bool
    np.testing.assert_array_equal(found.sample_stats["lp"].values, draws.info.log_density)
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ModuleNotFoundError, match=r"to_arviz: .* pip install arviz"):
        draws.to_arviz()
