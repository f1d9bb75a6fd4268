"""Reproductions of decoders and of bounds on untrained networks at toy size: that they run."""

import jax
import pytest
from reproduction_toys import check

from jaxinv.reproductions import (
    Settings,
    generative_off_range,
    generative_outliers,
    generative_plugin,
    generative_projected,
    untrained_bounds,
)
from jaxinv.reproductions.claims import REPRODUCED

SETTINGS = Settings(jax.random.key(0), 2)


def test_decoders_over_the_range(tmp_path):
    study = generative_projected.ProjectedStudy((2, 12, 20), (8, 16), 16)
    outcome = check(
        "generative-projected", generative_projected._projected(study, SETTINGS), tmp_path
    )
    assert {row["decoder"] for row in outcome.rows} == {"LM", "projected", "accelerated", "ADMM"}


def test_plugin(tmp_path):
    study = generative_plugin.PluginStudy((1, 2), (5, 40), (2, 20, 40, 40), (0.05, 0.2))
    outcome = check("generative-plugin", generative_plugin._plugin(study, SETTINGS), tmp_path)
    assert [(row["k"], row["n"]) for row in outcome.rows] == [(1, 5), (1, 40), (2, 5), (2, 40)]


@pytest.mark.slow
def test_signals_off_the_range(tmp_path):
    study = generative_off_range.OffRangeStudy(
        (2, 12, 24), 20, (0.1,), num_nonzeros=2, max_steps=20
    )
    outcome = check(
        "generative-off-range", generative_off_range._off_range(study, SETTINGS), tmp_path
    )
    assert len(outcome.rows) == 6


@pytest.mark.slow
def test_outliers(tmp_path):
    study = generative_outliers.OutlierStudy((2, 12, 24), 40, shares=(0.0, 0.05), max_steps=20)
    outcome = check("generative-outliers", generative_outliers._outliers(study, SETTINGS), tmp_path)
    assert {row["share"] for row in outcome.rows} == {0.0, 0.05}


@pytest.mark.slow
def test_bounds_on_untrained_networks(tmp_path):
    study = untrained_bounds.BoundsStudy(num_channels=128, num_steps=50)
    outcome = check("untrained-bounds", untrained_bounds._run(study, SETTINGS), tmp_path)
    assert {claim.verdict for claim in outcome.claims} == {REPRODUCED}
