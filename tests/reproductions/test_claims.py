"""What reproduced, beaten, refuted and undecided mean, each comparison by hand."""

import numpy as np
import pytest

import jaxinv as ji
from jaxinv.reproductions import REPRODUCTIONS, Claim, overall
from jaxinv.reproductions.claims import (
    BEATEN,
    REFUTED,
    REPRODUCED,
    UNDECIDED,
    at_least,
    at_most,
    compare_at_most,
    compare_exponent,
    compare_mean,
    compare_prediction,
    compare_rates,
    compare_ratio,
    compare_vectors,
    equals,
    holds,
    median_at_most,
    nmse_at_most,
    within_factor,
)


def test_reproductions_know_their_source():
    for name, item in REPRODUCTIONS.items():
        assert item.name == name
        assert "(" in item.source
        assert item.title
        assert item.cost


def test_verdicts():
    assert compare_rates("x", np.ones(30), 0.5, 30).verdict == BEATEN
    assert compare_rates("x", np.zeros(30), 0.5, 30).verdict == REFUTED
    assert compare_rates("x", np.arange(30) % 2, 0.6, 30).verdict == REPRODUCED
    noise = np.random.default_rng(0).normal(size=400)
    assert compare_mean("x", 1 + 0.1 * noise, 1.0, tolerance=0.0).verdict == REPRODUCED
    assert compare_mean("x", 2 + 0.1 * noise, 1.0, tolerance=0.05).verdict == REFUTED
    lower = compare_mean("x", 0.5 + 0.1 * noise, 1.0, tolerance=0.05, lower_is_better=True)
    assert lower.verdict == BEATEN
    claims = [Claim("", 0, 0, 0, 0, verdict, "") for verdict in (REPRODUCED, BEATEN)]
    assert overall(claims) == BEATEN
    claims.append(claims[0]._replace(verdict=UNDECIDED))
    assert overall(claims) == UNDECIDED
    assert overall([*claims, claims[0]._replace(verdict=REFUTED)]) == REFUTED


def test_claims_by_hand():
    samples = [1.0, 2.0, 3.0]  # 99 % of Student's t, two degrees of freedom: 9.925 / √3
    claim = at_least("x", samples, 1.9)
    assert claim.verdict == UNDECIDED
    assert at_least("x", samples, 8.0).verdict == REFUTED
    assert at_least("x", samples, -4.0).verdict == REPRODUCED
    assert abs(claim.high - claim.measured - 9.925 / np.sqrt(3)) < 1e-3
    assert at_least("x", samples, 1.9, certain=False).verdict == REPRODUCED
    assert at_most("x", samples, 1.9, certain=False).verdict == REFUTED
    assert at_most("x", samples, 8.0).verdict == REPRODUCED
    assert at_most("x", samples, 2.1).verdict == UNDECIDED
    assert at_most("x", samples, -4.0).verdict == REFUTED
    assert equals("x", 2.0001, 2.0, 1e-4).verdict == REPRODUCED
    assert equals("x", 2.0003, 2.0, 1e-4).verdict == REFUTED
    assert within_factor("x", [4.0, 4.0], 7.9, 2.0).verdict == REPRODUCED
    assert within_factor("x", [4.0, 4.0], 8.1, 2.0).verdict == REFUTED


def test_claims_against_bounds():
    def verdict(measured, low, high, **options):
        return compare_at_most("x", measured, -40, low=low, high=high, **options).verdict

    assert verdict(-40.5, -42, -39) == REPRODUCED
    assert verdict(-39.5, -42, -39) == REFUTED
    assert verdict(-41, -42, -40.5, is_target=False) == BEATEN
    assert verdict(-40.5, -42, -39, is_target=False) == REPRODUCED
    assert verdict(-39, -39.9, -38, is_target=False) == REFUTED
    assert verdict(-39, -39.9, -38, is_target=False, tolerance=0.2) == REPRODUCED


def test_intervals_are_of_the_right_width():
    """The bootstrap of a mean of exponentials: 10/ln 10 * 2.576 / √N on either side, in dB."""
    errors = np.random.default_rng(1).exponential(size=2000)
    found = ji.unfolded.Evaluation(
        10 * np.log10(errors.mean()), (0.0, 0.0), 0.0, 10 * np.log10(np.median(errors)), 0.0,
        *(np.zeros(1),) * 5, errors, np.ones(2000), -30.0,
    )  # fmt: skip
    claim = nmse_at_most("x", found, 0.0)
    expected = 10 / np.log(10) * 2.576 / np.sqrt(2000)
    assert claim.low < found.nmse_db < claim.high
    assert abs((claim.high - claim.low) / 2 - expected) < 0.15 * expected
    assert median_at_most("x", found, 0.0).verdict == REPRODUCED


def test_exponents_of_power_laws():
    generator = np.random.default_rng(0)
    values = np.array([1.0, 2.0, 4.0, 8.0])
    samples = 3 * values[:, None] ** 0.5 * generator.gamma(100, 0.01, (4, 5000))
    claim = compare_exponent("x", values, samples, 0.5)
    assert claim.verdict == REPRODUCED
    assert claim.low < 0.5 < claim.high
    # of the slope: one part in ten of noise, weights of the fit ln 2 apart
    expected = 2.576 * 0.1 / np.sqrt(5000) / (np.log(2) * np.sqrt(5))
    assert abs((claim.high - claim.low) / 2 / expected - 1) < 0.05
    assert compare_exponent("x", values, samples, 0.9).verdict == REFUTED
    assert compare_exponent("x", values, samples, 0.9, is_bound=True).verdict == REPRODUCED
    assert compare_exponent("x", values, samples, 0.1, is_bound=True).verdict == REFUTED
    assert compare_exponent("x", values, samples - 9, 0.5).verdict == REFUTED  # has no exponent


def test_few_successes_decide_nothing():
    """Three trials, all alike: Wilson's 99 % interval of 0 of 3 ends at z²/(3 + z²) = .689."""
    none, every = np.zeros(3, bool), np.ones(3, bool)
    claim = at_most("x", none, 0.1)
    assert claim.verdict == UNDECIDED
    assert claim.low == 0
    assert abs(claim.high - 0.6886) < 1e-3
    assert at_least("x", every, 0.95).verdict == UNDECIDED
    assert at_most("x", every, 0.1).verdict == REFUTED
    assert at_least("x", np.ones(1000, bool), 0.95).verdict == REPRODUCED
    assert compare_mean("x", none, 0.5, tolerance=0.0).verdict == REPRODUCED
    assert compare_mean("x", none, 0.9, tolerance=0.0).verdict == REFUTED
    values, draws = np.array([4.0, 16.0, 64.0]), np.random.default_rng(0).random((3, 2000))
    successes = draws < 1 / values[:, None]
    assert compare_exponent("x", values, successes, -1.0, slack=0.3).verdict == REPRODUCED
    assert compare_exponent("x", values, successes, 0.5).verdict == REFUTED
    assert compare_exponent("x", values, successes[:, :3], -1.0).verdict == UNDECIDED
    assert compare_exponent("x", values, np.ones((3, 3), bool), -1.0).verdict == UNDECIDED


def test_what_is_no_number_decides_nothing():
    broken = np.array([1.0, np.nan])
    assert compare_mean("x", broken, 1.0, tolerance=0.1).verdict == UNDECIDED
    found = compare_at_most("x", np.nan, 1.0, low=np.nan, high=np.nan, is_target=False)
    assert found.verdict == UNDECIDED


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.0)])
def test_vectors_by_the_radius_of_their_mean(stds):
    """One Gaussian mean in a hundred lies outside: in 2000 draws, by counting."""
    draws = np.array(stds) * np.random.default_rng(0).standard_normal((2000, 200, 3))
    law = np.array([2.0, 0.0, 0.0])
    verdicts = [compare_vectors("x", d + law, law, tolerance=0.0).verdict for d in draws]
    assert 7 <= verdicts.count(REFUTED) <= 40
    far = compare_vectors("x", draws[0] + 1.5 * law, law, tolerance=0.05)
    assert far.verdict == REFUTED
    assert far.low < 0.5 < far.high


def test_means_beside_predictions_and_slacks():
    noise = np.random.default_rng(0).normal(size=400)
    noise -= noise.mean()
    close = {"tolerance": 0.05, "standard_errors": 3.0}
    assert compare_prediction("x", 1.04 + 0.01 * noise, 1.0, **close).verdict == REPRODUCED
    assert compare_prediction("x", 1.06 + 0.01 * noise, 1.0, **close).verdict == REFUTED
    assert compare_prediction("x", 1.06 + noise, 1.0, **close).verdict == UNDECIDED
    assert compare_mean("x", 0.01 + 0.001 * noise, 0.0, tolerance=0.0).verdict == REFUTED
    small = compare_mean("x", 0.01 + 0.001 * noise, 0.0, tolerance=0.0, slack=0.02)
    assert small.verdict == REPRODUCED


def test_ratios_of_paired_samples():
    ours, theirs = np.linspace(1, 2, 50), np.linspace(2, 3, 50)
    claim = compare_ratio("x", ours, theirs)
    assert claim.verdict == REPRODUCED
    assert claim.low < claim.measured == 0.6 < claim.high
    assert compare_ratio("x", ours, theirs, below=False).verdict == REFUTED
    assert compare_ratio("x", theirs, theirs[::-1]).verdict == UNDECIDED


def test_a_condition_decides():
    assert holds("x", 1.0, 0.5, np.bool_(True), "").verdict == REPRODUCED
    assert holds("x", 1.0, 0.5, False, "").verdict == REFUTED
