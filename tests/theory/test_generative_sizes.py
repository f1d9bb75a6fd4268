"""Sizes that the theorems ask for, and their statements on random draws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.generators._relu import Relu
from jaxinv.theory import (
    check_expansive_conditions,
    check_noise_gain,
    check_range_isometry,
    check_range_weights,
    contractive_widths,
    necessary_measurements,
    noise_gain,
    regions,
    sufficient_measurements,
    width_conditions,
)
from jaxinv.theory.generative._random_conditions import _pull
from jaxinv.theory.generative._search import largest


def test_measurements_of_the_theorems_by_hand():
    widths = (20, 700, 600)
    covering = {"lipschitz": 2.0, "radius": 3.0, "delta": 0.01}
    expected = {
        "relu": 20 * 2 * math.log(700),
        "isometry": 20 * math.log((math.e * 35) * (math.e * 30)),
        "conditions": 20 * 2 * math.log(700 * 600),
    }
    for theorem, value in expected.items():
        found = sufficient_measurements(theorem, widths, constant=3.0)
        assert found == pytest.approx(3 * value)
    found = sufficient_measurements("lipschitz", (20, 600), **covering)
    assert found == pytest.approx(20 * math.log(600))
    assert necessary_measurements("lipschitz", (20, 600), **covering) == pytest.approx(found)
    assert necessary_measurements("lipschitz", (20, 30), **covering) == 30
    assert necessary_measurements("wide", widths) == pytest.approx(20 * math.log(700))
    assert necessary_measurements("deep", widths, constant=0.5) == 20
    log = math.log(700) / math.log(600)
    assert necessary_measurements("wide_deep", widths) == pytest.approx(40 * log)
    for theorem in ("wide", "wide_deep"):  # never more than enough
        assert necessary_measurements(theorem, widths) <= sufficient_measurements("relu", widths)


def test_widths_of_the_theorems():
    found = width_conditions((5, 50, 60, 40))
    second = 5 * math.log(math.e * 10)
    third = 5 * math.log(math.e * 10 * math.e * 12)
    assert found.required == pytest.approx((5, second, third))
    assert found.holds
    assert found.contractive == (3,)
    assert width_conditions((5, 9), 2.0).holds is False
    expansive = width_conditions((5, 50, 60), theorem="expansive")
    assert expansive.required == pytest.approx((5 * math.log(5), 50 * math.log(50)))
    assert not expansive.holds


@pytest.mark.parametrize(("k", "depth", "constant"), [(1, 1, 1.0), (5, 3, 1.0), (20, 6, 0.3)])
def test_contractive_widths_meet_the_condition_and_shrink(k, depth, constant):
    widths = contractive_widths(k, depth, constant)
    needed = 16 * k / (constant * math.log(2))
    assert all(n / math.log(n) >= needed for n in widths[1:])
    last = widths[-1] - 1
    assert last / math.log(last) < needed  # the least
    assert list(widths[1:]) == sorted(set(widths[1:]), reverse=True)
    assert not width_conditions(widths, theorem="expansive").holds or depth == 1


def test_noise_gain_formula_and_both_scalings():
    log = math.log(5 * (math.e * 35) * (math.e * 30))
    root = math.sqrt(13 / 12) * math.sqrt(20 / 300)
    assert noise_gain((20, 700, 600), 300) == pytest.approx(2 * root * log)
    assert noise_gain((20, 700, 600), 300, 1.0) == pytest.approx(root * log)


def test_noise_gain_found_is_below_that_of_all_pieces():
    G = ji.generators.relu(jax.random.key(0), (2, 8, 12))
    pull = np.random.default_rng(0).standard_normal(12).astype(np.float32)
    exact = np.linalg.norm(regions(G).maps.transpose(0, 2, 1) @ pull, axis=1).max()
    parts = (G, jnp.asarray(pull))
    found, _ = largest(_pull, parts, jax.random.key(0), (1, 2), jnp.float32, 500, "search")
    assert 0.95 * exact < float(found) <= exact * (1 + 1e-5)
    checked = check_noise_gain(jax.random.key(1), (2, 8, 12), 6, num_trials=4)
    assert checked.bound == noise_gain((2, 8, 12), 6)
    assert checked.holds.all()
    assert 0.99 < checked.probability < 1


def test_isometry_of_random_draws_falls_with_the_root_of_m():
    few, many = (
        np.median(check_range_isometry(jax.random.key(0), (3, 12, 16), m, num_trials=16).measured)
        for m in (100, 1600)
    )
    assert 3 < few / many < 5.3  # √16, the largest of samples
    key, options = jax.random.key(0), {"constant": 2.0, "num_trials": 2}
    found = check_range_isometry(key, (3, 12, 16), 20, 0.1, **options)
    assert not found.premise
    assert not found.holds.any()


def test_weights_behind_a_layer_need_width_of_k_only():
    """A layer of 40 units behind one of 60 keeps the plane of two rays, and has no WDC."""
    found = check_range_weights(jax.random.key(0), (1, 60, 40), num_trials=6)
    assert found.premise
    assert found.holds.all()
    whole = check_expansive_conditions(jax.random.key(0), (1, 60, 40), 400, num_trials=2)
    assert not whole.premise
    assert whole.measured.min() > found.measured.max()


def test_refusals():
    cases = [
        (lambda: sufficient_measurements("lipschitz", (2, 9)), "lipschitz must be given"),
        (lambda: sufficient_measurements("relu", (2, 9), delta=1.0), "delta must be None"),
        (lambda: necessary_measurements("wide", (2, 9)), "2 layers"),
        (
            lambda: necessary_measurements(
                "lipschitz", (2, 9), lipschitz=1.0, radius=1.0, delta=0.9
            ),
            "at least 1",
        ),
        (lambda: noise_gain((5,), 3), r"\(k, n_1"),
        (lambda: regions(Relu((jnp.zeros((4, 2)),))), "rank 2"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
