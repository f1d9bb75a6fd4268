"""Figures of draws: what is drawn, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import image

import jaxinv as ji
from jaxinv.viz import _samples


def draws(shape, status=ji.Status.SAMPLED):
    x = np.random.default_rng(0).uniform(size=(2, 5, *shape))
    ones = jnp.ones(2)
    return ji.Samples(x, x, ones, ones, ones, jnp.full(2, status, jnp.int32))


def test_images_side_by_side_and_intervals_of_signals(tmp_path):
    path = ji.viz.plot_samples(draws((8, 6)), tmp_path / "images.png", truth=np.ones((8, 6)))
    assert image.imread(path).std() > 0.05
    ji.viz.plot_samples(draws((8, 6, 3)), tmp_path / "colors.png", num_draws=30)
    path = ji.viz.plot_samples(draws((20,)), tmp_path / "signal.png", truth=np.ones(20))
    assert image.imread(path).std() > 0.05


def test_the_panels_hold_mean_spread_and_draws(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(_samples, "draw", lambda path, panels, **_: drawn.extend(panels))
    some = draws((8, 6), ji.Status.UNMIXED)
    ji.viz.plot_samples(some, tmp_path / "a.png", num_draws=3)
    mean, std, *rest = drawn
    assert "UNMIXED, 2 chains" in mean.title
    np.testing.assert_allclose(mean.pixels * some.x.mean((0, 1)).max(), some.x.mean((0, 1)), 1e-5)
    np.testing.assert_allclose(std.pixels, some.x.std((0, 1)), rtol=1e-5)
    largest = some.x.mean((0, 1)).max()
    for panel, (chain, index) in zip(rest, [(0, 4), (1, 4), (0, 3)], strict=True):
        np.testing.assert_allclose(panel.pixels * largest, some.x[chain, index], rtol=1e-5)


def test_other_signals_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"plot_samples: draws\.x must have signals of shape"):
        ji.viz.plot_samples(draws((2, 3, 4)), tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"plot_samples: truth must have shape \(8, 6\)"):
        ji.viz.plot_samples(draws((8, 6)), tmp_path / "a.png", truth=np.ones((6, 8)))
    with pytest.raises(TypeError, match="plot_samples: draws must be Samples"):
        ji.viz.plot_samples(np.ones((2, 5, 8, 6)), tmp_path / "a.png")
