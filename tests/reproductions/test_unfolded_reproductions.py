"""Reproductions of unfolded networks at toy size: that they run, not what they find."""

import jax
import numpy as np
import optax
import pytest

import jaxinv as ji
from jaxinv.reproductions import (
    Settings,
    linear_rates,
    overall,
    unfolded_condition,
    unfolded_noise,
    unfolded_noiseless,
    write,
)
from jaxinv.reproductions import unfolded_robustness as robustness
from jaxinv.reproductions._unfolded import Study
from jaxinv.reproductions.claims import REPRODUCED
from jaxinv.unfolded._catalog import NETWORKS

STUDY = Study(
    num_measurements=16,
    signal_size=32,
    sparsity=0.05,
    num_layers=2,
    num_problems=40,
    steps=dict.fromkeys(NETWORKS, 4),
    options={
        "batch_size": 8,
        "validation_size": 16,
        "validate_every": 2,
        "optimizer": optax.sgd(1e-3),
    },
)


@pytest.fixture
def settings():
    reports = []
    yield Settings(jax.random.key(0), None, reports.append)
    done = [report.num_done for report in reports]
    assert done == sorted(done)
    assert done[-1] == reports[-1].num_trials


@pytest.fixture
def quick_tune(monkeypatch):
    tune = ji.unfolded.tune
    options = {"num_problems": 16, "num_candidates": 6, "num_rounds": 1, "width": 2}
    monkeypatch.setattr("jaxinv.unfolded._catalog.tune", lambda *given: tune(*given, **options))


@pytest.mark.slow
def test_without_noise(settings, tmp_path):
    outcome = unfolded_noiseless._noiseless(("alista", "alista-momentum"), STUDY, settings)
    assert [claim.published for claim in outcome.claims] == [-68, -66, -95, -95]
    assert {row["layer"] for row in outcome.rows} == {1, 2}
    paths = write(tmp_path, unfolded_noiseless.ENTRIES[0], outcome, 0.0)
    assert set(paths) == {"json", "csv", "png"}


@pytest.mark.slow
def test_with_noise(settings, tmp_path):
    outcome = unfolded_noise._noisy(("alista", "lamp"), STUDY, settings)
    assert [claim.published for claim in outcome.claims] == [
        -42.0, -42.31, -45.0, 0.02, 0.02, -21.5, -21.8, -23.3, 0.02,
    ]  # fmt: skip
    assert {row["network"] for row in outcome.rows} == {"alista", "lamp", "AMP, posterior mean"}
    assert {row["scenario"] for row in outcome.rows} == {"40 dB", "30 dB", "20 dB"}
    limits = unfolded_noise._limits(Study(), 40)
    assert abs(limits["least squares on the true support"] + 46.02) < 0.01
    assert abs(limits["Bayes state evolution"][-1] + 45.6) < 0.1
    assert write(tmp_path, unfolded_noise.ENTRIES[0], outcome, 0.0)


@pytest.mark.slow
def test_bad_conditions(settings, quick_tune, tmp_path):
    outcome = unfolded_condition._conditioned(("hyperlista", "alista-published"), STUDY, settings)
    assert [claim.published for claim in outcome.claims] == [0, 0, 0, -80, -90]
    assert len({row["nmse_db"] for row in outcome.rows}) == 12
    assert write(tmp_path, unfolded_condition.ENTRIES[0], outcome, 0.0)


def test_shifts(settings, quick_tune, tmp_path):
    outcome = robustness._robustness(("hyperlista", "alista-published"), STUDY, settings)
    assert outcome.claims[0].measured == 0  # the rules are exact in powers of two
    assert outcome.claims[0].verdict == REPRODUCED
    shifts = [row for row in outcome.rows if row["network"] == "alista-published"]
    assert len({row["nmse_db"] for row in shifts if row["shift"] == "amplitude"}) == 5
    assert write(tmp_path, robustness.ENTRIES[0], outcome, 0.0)


def test_scaled_families_scale():
    family = ji.problems.sparse(16, 32, 0.2, 30.0)
    key = jax.random.key(3)
    plain, scaled = family.sample(key), robustness.Scaled(family, 4.0).sample(key)
    np.testing.assert_array_equal(scaled.y, 4 * plain.y)
    np.testing.assert_array_equal(scaled.truth.u, 4 * plain.truth.u)
    np.testing.assert_array_equal(scaled.operator.matrix, plain.operator.matrix)


@pytest.mark.slow
def test_linear_rates(tmp_path):
    outcome = linear_rates._run(Settings(jax.random.key(1), num_trials=20))
    assert overall(outcome.claims) == REPRODUCED, "\n".join(map(str, outcome.claims))
    assert write(tmp_path, linear_rates.ENTRIES[0], outcome, 0.0)
