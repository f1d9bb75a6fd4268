"""Conformal intervals: the radius by a sort of NumPy, and the coverage that is promised."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.sweeps import conformal

RNG = np.random.default_rng(0)


def test_the_radius_is_the_sorted_score_of_its_place():
    estimates, truths = RNG.normal(size=(2, 24, 3, 2))
    scales = RNG.uniform(0.5, 2, size=(24, 3, 2))
    scores = np.sort(np.abs(truths - estimates) / scales, axis=0)
    found = conformal(estimates, truths, level=0.8, scales=scales)
    np.testing.assert_allclose(found.radius, scores[19], rtol=1e-6)  # 25 * 0.8 = 20
    low, high = found(estimates[:5], scales[:5])
    np.testing.assert_allclose(high - low, 2 * scores[19] * scales[:5], rtol=1e-5)
    np.testing.assert_allclose((high + low) / 2, estimates[:5], atol=1e-6)
    found = conformal(estimates, truths, level=0.8, scales=scales[:, 0, 0], per="signal")
    largest = np.abs(truths - estimates).max((1, 2)) / scales[:, 0, 0]
    np.testing.assert_allclose(found.radius, np.sort(largest)[19], rtol=1e-6)
    low, high = jax.jit(found)(estimates[0], 2.0)
    np.testing.assert_allclose(high - low, 4 * np.sort(largest)[19], rtol=1e-5)


@pytest.mark.parametrize("count", [9, 10, 50])
def test_it_covers_as_often_as_it_promises_for_any_number_of_signals(count):
    """Every entry is an experiment of its own: 20 000 of them."""
    truths = RNG.standard_cauchy(size=(count + 1, 20000))
    found = conformal(np.zeros((count, 20000)), truths[:-1])
    expected = np.ceil((count + 1) * 0.9) / (count + 1)
    rate = float(found.covers(np.zeros(20000), truths[-1]).mean())
    assert abs(rate - expected) < 4 * np.sqrt(expected * (1 - expected) / 20000)


def test_all_entries_of_a_signal_lie_in_their_intervals_at_once():
    rates = []
    for _ in range(150):
        truths = RNG.normal(size=(119, 10)) * RNG.uniform(0.5, 3, size=(119, 1))
        found = conformal(np.zeros((19, 10)), truths[:19], per="signal")
        held = found.covers(np.zeros((100, 10)), truths[19:])
        assert held.shape == (100,)
        rates.append(float(held.mean()))
    assert abs(np.mean(rates) - 0.9) < 4 * np.std(rates) / np.sqrt(150)
    assert np.std(rates) > 0.03  # one set of 19 signals promises little by itself


def test_failures_count_as_infinitely_far_off():
    truths, estimates = RNG.normal(size=(50, 4)), np.zeros((50, 4))
    estimates[:3] = np.nan
    few = conformal(estimates, truths)
    without = conformal(estimates[3:], truths[3:])
    assert np.all(few.radius > without.radius)
    estimates[:6] = np.inf
    with pytest.raises(ValueError, match="be finite for 46 of 50 signals, got 6 that are not"):
        conformal(estimates, truths)


ONES: Any = np.ones((20, 3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"estimates": ONES[:8], "truths": ONES[:8]}, "at least 9 signals at level 0.9, got 8"),
        ({"level": 0.99}, "at least 99 signals at level 0.99, got 20"),
        ({"level": 1.0}, "level must be below 1"),
        ({"level": 0.0}, r"level must be in \(0, 1\]"),
        ({"truths": ONES[:19]}, r"truths must have shape \(20, 3\)"),
        ({"truths": ONES * np.nan}, "truths must be finite"),
        ({"estimates": 1j * ONES}, "must be real"),
        ({"scales": 0 * ONES}, "scales must be finite and > 0"),
        ({"scales": ONES[0]}, r"scales must have shape \(20, 3\) or \(20,\)"),
        ({"per": "pixel"}, "per must be one of entry, signal"),
    ],
)
def test_bad_input_is_refused_in_one_line(changes, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        conformal(**{"estimates": ONES, "truths": ONES, **changes})
    assert len(str(caught.value).splitlines()) == 1


def test_bad_estimates_and_scales_of_a_new_signal_are_refused():
    plain, scaled = conformal(ONES, ONES), conformal(ONES, ONES, scales=ONES)
    with pytest.raises(ValueError, match=r"estimate must end in shape \(3,\)"):
        plain(jnp.ones(4))
    with pytest.raises(ValueError, match="scale must be None"):
        plain(jnp.ones(3), jnp.ones(3))
    with pytest.raises(ValueError, match="scale must be given"):
        scaled(jnp.ones(3))
