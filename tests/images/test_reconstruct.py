"""Reconstruction of an image from measurements of one's own."""

import jax
import numpy as np
import pytest

import jaxinv as ji
from jaxinv import data, operators
from jaxinv.viz import plot_reconstruction

KEY = jax.random.key(0)
X = data.image("camera", size=32)


@pytest.fixture(scope="module")
def mask():
    return operators.mask(operators.random_mask(KEY, X.shape, 0.5))


@pytest.fixture(scope="module")
def y(mask):
    return np.asarray(mask @ X)


@pytest.fixture(scope="module")
def found(mask, y):
    return ji.reconstruct(y, mask, prior="tv", truth=X)


def test_half_the_pixels_give_the_image(found, y):
    assert found.chosen == "tv"
    error = np.mean((found.x - X) ** 2)
    assert abs(found.scores["psnr"] + 10 * np.log10(error)) < 1e-3
    assert found.scores["psnr"] > found.scores["input_psnr"] + 10
    assert np.allclose(found.input, y, atol=1e-6)
    assert found.spread.shape == X.shape
    error, (low, high) = np.abs(found.x - X), np.quantile(found.spread, [0.25, 0.75])
    assert error[found.spread > high].mean() > 2 * error[found.spread < low].mean()


def test_the_truth_only_scores(found, mask, y):
    blind = ji.reconstruct(y, mask, prior="tv")
    assert np.array_equal(blind.x, found.x)
    assert set(blind.scores) == {"held_out", "misfit"}


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(found, mask, y, unit):
    other = ji.reconstruct(np.float32(unit) * y, mask, prior="tv")
    assert np.allclose(other.x / unit, found.x, atol=1e-4)
    assert abs(other.scores["held_out"] - found.scores["held_out"]) < 1e-3


def test_figures_with_and_without_a_truth(found, tmp_path):
    for name, one in (("with", found), ("without", found._replace(truth=None))):
        assert plot_reconstruction(one, tmp_path / f"{name}.png").endswith(".png")


def test_bad_input_is_refused_in_one_line(mask, y):
    refused = {
        "prior must be one of auto, wavelet": lambda: ji.reconstruct(y, mask, prior="tw"),
        r"y must have shape \(32, 32\)": lambda: ji.reconstruct(y[:9], mask),
        "y must be finite": lambda: ji.reconstruct(y * np.nan, mask),
        "y must not be zero": lambda: ji.reconstruct(0 * y, mask),
        "y / 255": lambda: ji.reconstruct(np.uint8(255 * y), mask),
        "below the root mean square": lambda: ji.reconstruct(y, mask, noise_std=3.0),
        r"truth must have shape \(32, 32\)": lambda: ji.reconstruct(y, mask, truth=y[:9]),
    }
    for message, call in refused.items():
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
