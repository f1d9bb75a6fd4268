"""Reproductions of compressed sensing with trained priors at toy size: that they run and judge."""

import jax
import pytest
from reproduction_toys import check

from jaxinv import data
from jaxinv.reproductions import Settings, csgm_digits, csgm_mnist, csgm_untrained
from jaxinv.reproductions.claims import REPRODUCED

SETTINGS = Settings(jax.random.key(0), 4)


@pytest.mark.slow
def test_digits(tmp_path):
    study = csgm_digits.DIGITS._replace(
        measurements=(16,), repeated=(16,), hidden=(32,), num_steps=600, num_seeds=2
    )
    outcome = check("csgm-digits", csgm_digits._digits(study, SETTINGS), tmp_path)
    assert outcome.claims[0].verdict == REPRODUCED
    methods = {row["method"] for row in outcome.rows}
    assert {"VAE, tuned", "Lasso, wavelet", "nearest of the range"} < methods


@pytest.mark.slow
def test_mnist(tmp_path, monkeypatch):
    images, labels = data.mnist()
    monkeypatch.setattr(data, "mnist", lambda: (images[::50], labels[::50]))
    study = csgm_mnist.STUDY._replace(
        measurements=(50, 400), repeated=(50,), hidden=(16,), num_steps=60, num_seeds=2,
        num_held_back=20, num_restarts=2, max_steps=3,
    )  # fmt: skip
    outcome = check("csgm-mnist", csgm_mnist._mnist(study, SETTINGS, {50: 1.0}), tmp_path)
    assert outcome.claims[0].verdict == REPRODUCED
    assert {"turned digits, ILO", "Greek letters, CSGM"} < {row["method"] for row in outcome.rows}


@pytest.mark.slow
def test_trained_against_untrained(tmp_path):
    study = csgm_untrained.RivalStudy(
        measurements=(25, 50, 100), num_digits=2, num_steps=30, num_restarts=1
    )
    outcome = check("csgm-untrained", csgm_untrained._rivals(study, SETTINGS), tmp_path)
    assert outcome.claims[0].measured < 1  # 30 steps do not fit a network
