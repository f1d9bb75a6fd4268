"""The study of intervals at toy size: what passes, what is refused, and what stays undecided."""

import jax
import numpy as np
import pytest
from reproduction_toys import check

import jaxinv as ji
from jaxinv.reproductions import Settings, calibration
from jaxinv.reproductions.claims import REFUTED, REPRODUCED, UNDECIDED
from jaxinv.sweeps._ranks import judged

TOY = calibration.CalibrationStudy(
    num_bins=4, num_steps=600, num_held_back=40, num_splits=40, flow_steps=10, decoder_steps=120
)
SETTINGS = Settings(jax.random.key(0), 20)


def made(ranks, status=ji.Status.SAMPLED, rhat=1.01):
    count = len(ranks)
    chains = np.full(count, rhat), np.full(count, 400.0), np.full(count, int(status))
    return judged(("u",), ranks[:, None], 39, 4, (0.5, 0.9), chains)


def test_a_claim_is_decided_by_ranks_of_chains_that_mix_alone():
    uniform = np.tile(np.arange(40), 20)
    assert calibration._claim("a", made(uniform)).verdict == REPRODUCED
    narrow = np.where(uniform < 20, 0, 39)
    assert calibration._claim("a", made(narrow)).verdict == REFUTED
    for ranks in (uniform, narrow):
        claim = calibration._claim("a", made(ranks, ji.Status.UNMIXED, 1.7))
        assert claim.verdict == UNDECIDED
        assert "largest R-hat 1.7" in claim.rule


@pytest.mark.slow
def test_the_study_runs(tmp_path):
    outcome = check("calibration", calibration._calibration(TOY, SETTINGS), tmp_path)
    digits = [row for row in outcome.rows if row["width"]]
    assert digits[0]["coverage"] < 0.5  # of the posterior, on digits that no decoder drew
    assert all(0.85 < row["coverage"] < 1 for row in digits[1:])
