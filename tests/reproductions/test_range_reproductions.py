"""Reproductions of conditions and bounds at toy size: that they run and judge."""

import jax
import pytest
from reproduction_toys import check

from jaxinv.reproductions import (
    Settings,
    generative_descent,
    range_certificates,
    range_recovery,
    sparse_tents,
)
from jaxinv.reproductions.claims import REPRODUCED

SETTINGS = Settings(jax.random.key(0), 2)


def test_bounds_hold_on_a_dozen_problems(tmp_path):
    outcome = check("range-recovery", range_recovery._bounds(SETTINGS), tmp_path)
    assert [claim.verdict for claim in outcome.claims[:3]] == [REPRODUCED] * 3
    assert "12 problems" in outcome.claims[0].what
    assert all(row["mean"] < row["law"] for row in outcome.rows)


def test_tents(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse_tents, "_SIZES", (4, 64))
    outcome = check("sparse-tents", sparse_tents._run(SETTINGS._replace(num_trials=200)), tmp_path)
    assert outcome.claims[0].verdict == REPRODUCED
    assert [row["n"] for row in outcome.rows] == [4, 64]


def test_descent_of_small_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(generative_descent, "_WIDE", (3, 100, 200))
    monkeypatch.setattr(generative_descent, "_MANY", 150)
    check("descent-guarantee", generative_descent._theorem(SETTINGS), tmp_path)


@pytest.mark.slow
def test_certificates_and_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(range_certificates, "_MEASUREMENTS", (8, 20))
    outcome = check("range-certificates", range_certificates._eigenvalues(SETTINGS), tmp_path)
    assert {claim.verdict for claim in outcome.claims} == {REPRODUCED}
    check("weight-distribution", range_certificates._weights(SETTINGS), tmp_path)
    monkeypatch.setattr(generative_descent, "_DEPTHS", (1, 2))
    check("noise-gain", generative_descent._gain(SETTINGS), tmp_path)
