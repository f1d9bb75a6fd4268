"""Scores of networks, against a plain loop; the catalog of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.unfolded import _catalog as catalog
from jaxinv.unfolded import _scoring as scoring

OPERATOR = ji.problems.sparse(16, 32).sample(jax.random.key(0)).operator
FAMILY = ji.problems.sparse(16, 32, 0.1, operator=OPERATOR)
LAYERS = ji.unfolded.hyperlista(OPERATOR, 3)
KEY = jax.random.key(5)


def loop(family, num_problems):
    """Return squared errors after every layer (T, N) and energies (N,), one by one."""
    errors, energies = [], []
    for key in jax.random.split(KEY, num_problems):
        problem = family.sample(key)
        truth = np.asarray(problem.truth.u, float)
        outputs = np.asarray(ji.unfold(LAYERS, problem, all_layers=True), float)
        errors.append(((outputs - truth) ** 2).sum(1))
        energies.append((truth**2).sum())
    return np.array(errors).T, np.array(energies)


def test_scores_are_those_of_a_loop(monkeypatch):
    errors, energies = loop(FAMILY, 20)
    found = ji.unfolded.evaluate(KEY, LAYERS, FAMILY, num_problems=20, threshold_db=-12)
    nmse = 10 * np.log10(errors.sum(1) / energies.sum())
    ratios = np.where(energies > 0, errors / np.maximum(energies, 1e-30), 0)
    np.testing.assert_allclose(found.layer_nmse_db, nmse, rtol=1e-4)
    np.testing.assert_allclose(10 ** (found.layer_median_db / 10), np.median(ratios, 1), rtol=1e-3)
    np.testing.assert_allclose(found.layer_failure_rate, (ratios > 10**-1.2).mean(1))
    assert 0 < found.failure_rate < 1
    monkeypatch.setattr(scoring, "_CHUNK", 7)  # the last chunk is not full
    done = []
    chunked = ji.unfolded.evaluate(
        KEY, LAYERS, FAMILY, num_problems=20, threshold_db=-12, progress=done.append
    )
    assert done == [7, 14, 20]
    np.testing.assert_allclose(chunked.errors, found.errors, rtol=1e-4, atol=1e-12)
    assert chunked.failure_rate == found.failure_rate


def test_the_interval_is_that_of_a_bootstrap_and_the_ten_worst_are_counted():
    generator = np.random.default_rng(0)
    errors = generator.lognormal(sigma=1.5, size=(2, 3000))
    energies = generator.chisquare(4, size=3000)
    found = scoring._summary(errors, energies, -30.0)
    chosen = generator.integers(3000, size=(1000, 3000))
    draws = 10 * np.log10(errors[1][chosen].sum(1) / energies[chosen].sum(1))
    assert found.interval_db[0] < found.nmse_db < found.interval_db[1]
    np.testing.assert_allclose(found.interval_db, np.quantile(draws, (0.025, 0.975)), atol=0.1)
    worst = sum(sorted(errors[1])[-10:]) / sum(errors[1])
    np.testing.assert_allclose(found.worst_share, worst)
    np.testing.assert_allclose(found.layer_worst_share[1], worst)
    few = scoring._summary(errors[:, :1], energies[:1], -30.0)
    assert few.worst_share == 1
    assert few.interval_db == (few.nmse_db, few.nmse_db)


def test_signals_of_zero_count_as_solved_and_nan_as_failed():
    empty = ji.problems.sparse(16, 32, num_nonzeros=0, operator=OPERATOR)
    found = ji.unfolded.evaluate(KEY, LAYERS, empty, num_problems=3)
    assert found.failure_rate == 0
    assert found.nmse_db == found.median_db == -np.inf
    assert (found.interval_db, found.worst_share) == ((-np.inf, -np.inf), 0)
    broken = ji.unfolded.hyperlista(OPERATOR, 3)
    broken = broken.merge({**broken.partition()[0], "threshold_rate": jnp.asarray(jnp.nan)})
    found = ji.unfolded.evaluate(KEY, broken, FAMILY, num_problems=20)
    assert found.nmse_db == np.inf
    assert (found.interval_db, found.worst_share) == ((np.inf, np.inf), 1)
    assert found.failure_rate > 0.8  # all but the signals of zero


@pytest.mark.parametrize("name", catalog.NETWORKS)
def test_networks_of_the_catalog_are_ready_to_run(name):
    network = catalog.network("test", name)
    signals = catalog.Signals(0.05)
    layers = network.make(KEY, OPERATOR, 3, signals)
    assert layers.num_layers == 3
    assert layers.trainable
    problem = FAMILY.sample(jax.random.key(1))
    better = float(ji.metrics.nmse(ji.unfold(layers, problem), problem.truth.u))
    assert better < 1
    if getattr(layers.solver, "bypass", None) is not None:
        np.testing.assert_allclose(layers.solver.bypass, [0.006, 0.012, 0.018], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(catalog.NETWORKS) - {"hyperlista"}))
def test_training_improves_every_network_and_moves_each_trained_field(name):
    layers = catalog.network("test", name).make(KEY, OPERATOR, 3, catalog.Signals(0.1))
    sizes = {"num_steps": 30, "batch_size": 32, "validation_size": 128, "validate_every": 15}
    loss = "lasso" if name == "step-lista" else "log_nmse"
    result = ji.unfolded.fit(jax.random.key(5), layers, FAMILY, loss=loss, **sizes)
    assert result.history.validation[-1] < result.history.validation[0] - 1e-3
    for field, value in layers.partition()[0].items():
        trained = jax.tree.leaves(getattr(result.layers.solver, field))
        for before, after in zip(jax.tree.leaves(value), trained, strict=True):
            assert np.any(before != after), field
