"""Reproductions of measurement models at toy size: that they run and judge, not what they find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reproduction_toys import check

from jaxinv.reproductions import (
    Settings,
    blind_demodulation,
    fourier_coherence,
    negation,
    one_bit,
    phase_retrieval,
    single_index,
    spiked_wigner,
    spiked_wishart,
)


@pytest.fixture
def settings():
    reports = []
    yield Settings(jax.random.key(0), 2, reports.append)
    assert reports[-1].num_done == reports[-1].num_trials


def test_wigner(settings, tmp_path):
    study = spiked_wigner.WignerStudy((8, 12), (2, 3), (0.01, 0.4), 2)
    outcome = spiked_wigner._wigner(study, settings)
    check("spiked-wigner", outcome, tmp_path)
    laws = {(row["k"], row["p"]): row["law"] for row in outcome.rows}
    # p √((k − ½)/k) / √log(n_1² n)
    assert laws[2, 0.4] == pytest.approx(0.4 * np.sqrt(0.75 / np.log(64 * 12)))


@pytest.mark.slow
def test_wishart(settings, tmp_path):
    study = spiked_wishart.WishartStudy((2, 8, 12), (3, 4), (9,), 2)
    outcome = spiked_wishart._wishart(study, settings)
    check("spiked-wishart", outcome, tmp_path)
    assert [row["N"] for row in outcome.rows] == [3, 4, 9]


def test_phase_retrieval(settings, tmp_path):
    study = phase_retrieval.PhaseStudy((2, 8, 12), (6, 9), (1, 2))
    outcome = phase_retrieval._phase(study, settings)
    check("phase-retrieval", outcome, tmp_path)
    assert [(row["starts"], row["m"]) for row in outcome.rows] == [(1, 6), (1, 9), (2, 6), (2, 9)]


@pytest.mark.slow
def test_one_bit(settings, tmp_path):
    study = one_bit.OneBitStudy((2, 8, 12), (9, 18), num_restarts=2)
    outcome = one_bit._one_bit(study, settings)
    check("one-bit", outcome, tmp_path)
    assert outcome.claims[-1].published == pytest.approx(0.6827, abs=1e-4)


@pytest.mark.slow
def test_blind_demodulation(settings, tmp_path):
    study = blind_demodulation.BlindStudy((2, 8), (2,), (9, 12), 2)
    check("blind-demodulation", blind_demodulation._blind(study, settings), tmp_path)


@pytest.mark.slow
def test_negation(settings, tmp_path):
    study = negation.NegationStudy((negation.Network((2, 8, 12), 6, (0.9, 0.8)),), max_steps=20)
    outcome = negation._negation(study, settings)
    check("negation", outcome, tmp_path)
    assert len(outcome.claims) == 3


@pytest.mark.slow
def test_fourier_coherence(settings, tmp_path):
    study = fourier_coherence.CoherenceStudy((2, 4, 12), (0.0, 1.0), (4, 8), 2)
    outcome = fourier_coherence._coherence(study, settings)
    check("fourier-coherence", outcome, tmp_path)
    alphas = {row["beta"]: row["coherence"] for row in outcome.rows}
    assert alphas[1.0] == pytest.approx(1, abs=1e-5)
    assert 4 / 12 < alphas[0.0] ** 2 < 1  # the mean over the rows is n_1/n


@pytest.mark.slow
def test_single_index(settings, tmp_path):
    study = single_index.IndexStudy((2, 8, 12), (12, 24), 2)
    outcome = single_index._index(study, settings)
    check("single-index", outcome, tmp_path)
    assert len(outcome.claims) == 5


@pytest.mark.parametrize("name", ["signs", "tanh"])
def test_moments_of_a_link_are_those_of_least_squares_on_a_subspace(name):
    """m times the squared error of least squares in k unknowns, simulated in numpy."""
    k, m, num_trials = 5, 1000, 500
    rng = np.random.default_rng(1)
    function = {"signs": np.sign, "tanh": np.tanh}[name]
    slope, across, along = single_index.moments({"signs": jnp.sign, "tanh": jnp.tanh}[name])
    errors = []
    for _ in range(num_trials):
        basis = np.linalg.qr(rng.normal(size=(12, k)))[0]
        x = basis @ rng.normal(size=k)
        x /= np.linalg.norm(x)
        A = rng.normal(size=(m, 12))
        found = basis @ np.linalg.lstsq(A @ basis, function(A @ x), rcond=None)[0]
        errors.append(m * np.sum((found - slope * x) ** 2))
    standard_error = np.std(errors, ddof=1) / np.sqrt(num_trials)
    law = (k - 1) * across + along
    # least squares has m − k − 1 degrees of freedom where the law has m
    assert abs(np.mean(errors) - law) < 4 * standard_error + (k + 1) / m * law
    if name == "signs":
        assert (slope**2, across, along) == pytest.approx((2 / np.pi, *[1 - 2 / np.pi] * 2), 1e-4)
    else:
        assert np.mean(errors) - k * across > 8 * standard_error  # not σ² k
