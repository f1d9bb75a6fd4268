"""Reconstruction of one image from few measurements."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv import Status, data, operators
from jaxinv.images import _measured, _shrinking, simulate
from jaxinv.viz import plot_reconstruction

module = importlib.import_module("jaxinv.images._path")


@jax.jit
def apply(operator, x):
    return operator(x)


@jax.jit
def pull(operator, y):
    return operator.adjoint(y)


@jax.jit
def warm(prox, v, step_size, memory):
    return prox.warm(v, step_size, memory)


@pytest.fixture(scope="module")
def found():
    return simulate("camera", size=64)  # as the example does: one compilation for both


def test_scores_are_those_of_the_images(found):
    assert found.status == Status.CONVERGED
    error = np.mean((found.estimate.astype(np.float64) - found.truth) ** 2)
    assert abs(found.psnr + 10 * np.log10(error)) < 1e-3
    assert np.array_equal(found.truth, data.image("camera", size=64))
    assert found.estimate.dtype == np.float32
    assert 0 <= found.estimate.min() <= found.estimate.max() <= 1
    assert found.settings["ratio"] == 0.25
    assert found.num_steps == 300


def test_baseline_is_the_solution_of_least_norm(found):
    A = operators.gaussian(jax.random.key(0), 30, 50)
    y = np.random.default_rng(0).normal(size=30).astype(np.float32)
    expected = np.linalg.lstsq(np.asarray(A.todense(), np.float64), y, rcond=None)[0]
    error = np.linalg.norm(_measured.minimum_norm(A, y) - expected)
    assert error < 1e-2 * np.linalg.norm(expected)
    # a quarter of the rows of an orthogonal matrix: the part of the image in their span
    operator_key, _, _ = jax.random.split(jax.random.key(0), 3)
    rows = operators.subsampled_hadamard(operator_key, 64 * 64 // 4, (64, 64))
    seen = np.asarray(pull(rows, apply(rows, found.truth)))
    assert np.abs(found.baseline - seen / 4).max() < 1e-4


def test_same_key_same_result_and_another_key_another(found):
    again = simulate("camera", size=64, key=jax.random.key(0))
    other = simulate("camera", size=64, key=jax.random.PRNGKey(1))
    assert np.array_equal(found.estimate, again.estimate)
    assert not np.array_equal(found.estimate, other.estimate)
    assert abs(found.psnr - other.psnr) < 2


# gain over the baseline in decibels: half of what was measured on this image
@pytest.mark.parametrize(
    ("operator", "prior", "gain"),
    [
        ("fourier", "dct", 0.5),
        ("gaussian", "dct", 8.0),
        ("mask", "tv", 7.0),
        ("blur", "tv", 0.5),
        ("downsample", "tv", 1.0),
    ],
)
def test_every_operator_and_prior_beats_its_baseline(operator, prior, gain):
    found = simulate("camera", size=48, operator=operator, prior=prior)
    assert found.status == Status.CONVERGED
    assert found.estimate.shape == (48, 48)
    assert found.psnr > found.baseline_psnr + gain
    assert found.ssim > found.baseline_ssim


def test_all_measurements_determine_the_image(found):
    full = simulate("camera", size=64, ratio=1.0)
    assert full.psnr > 40 > found.psnr + 3


def test_noise_stops_the_path_where_the_misfit_is_the_noise():
    clean, noisy = (
        simulate("camera", size=64, operator="mask", ratio=0.5, snr_db=snr_db)
        for snr_db in (40.0, 15.0)
    )
    assert clean.status == noisy.status == Status.CONVERGED
    assert noisy.settings["thresholds"][0] > 4 * clean.settings["thresholds"][0]
    assert noisy.num_steps < clean.num_steps < 300
    assert noisy.psnr < clean.psnr
    # pixels of the image itself: the misfit is known without the solver
    seen = noisy.baseline != 0
    sigma = np.sqrt(np.mean(noisy.truth[seen] ** 2)) * 10 ** (-15 / 20)
    misfit = np.sqrt(np.mean((noisy.estimate - noisy.baseline)[seen] ** 2))
    assert 0.6 * sigma < misfit < 1.1 * sigma


def test_noise_that_is_never_reached_is_said(monkeypatch):
    monkeypatch.setattr(module, "THRESHOLDS", [0.5, 0.4])
    found = simulate("camera", size=64, snr_db=60.0)
    assert found.status == Status.MAX_STEPS
    assert found.num_steps == 20


def test_color_by_channel_with_one_compile(found):
    before = module._stage._cache_size()
    seen = []
    color = simulate(
        data.image("astronaut", size=(64, 64)),
        progress=lambda text, fraction: seen.append((text, fraction)),
    )
    assert module._stage._cache_size() == before  # that of the gray image, three times
    assert color.estimate.shape == color.baseline.shape == (64, 64, 3)
    assert color.psnr > color.baseline_psnr + 5
    assert len(color.settings["thresholds"]) == 3
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert seen[1][0].startswith("channel 1 of 3, threshold 0.5")


def test_sizes_that_no_transform_divides():
    photo = data.image("chelsea", size=(31, 29), gray=True)
    found = simulate(photo, ratio=0.5)
    assert found.estimate.shape == (31, 29)
    assert found.psnr > found.baseline_psnr + 8
    cut = simulate(photo, operator="downsample", prior="dct")
    assert cut.estimate.shape == (30, 28)
    assert np.array_equal(cut.truth, photo[:30, :28])


@pytest.mark.parametrize("prior", ["wavelet", "dct"])
def test_cycle_spinning_is_an_exact_prox_under_each_shift(prior):
    shrinking = _shrinking.make_prior(prior, (32, 32), jax.random.key(0))
    prox = shrinking.prox
    prox = type(prox)(0.3, prox.transform, prox.weights, prox.key, prox.period)
    v = jnp.asarray(np.random.default_rng(0).normal(size=(32, 32)), jnp.float32)
    weights = np.asarray(prox.weights)
    memory, results = prox.start(v), []
    for _ in range(3):
        before = memory
        w, memory = warm(prox, v, 0.5, memory)
        folded = jax.random.fold_in(prox.key, before)
        shift = jax.random.randint(folded, (2,), 0, prox.period, "int32")
        roll = tuple(int(entry) for entry in shift)
        coefficients = np.asarray(apply(prox.transform, np.roll(v, roll, (0, 1))))
        shrunk = np.sign(coefficients) * np.maximum(np.abs(coefficients) - 0.15 * weights, 0)
        back = pull(prox.transform, shrunk)
        expected = np.roll(back, [-entry for entry in roll], (0, 1))
        assert np.allclose(w, expected, atol=1e-5)
        results.append(np.asarray(w))
    assert not np.allclose(results[0], results[1], atol=1e-3)


def test_figure(found, tmp_path):
    from PIL import Image

    path = plot_reconstruction(found, tmp_path / "figure.png")
    with Image.open(path) as drawn:
        assert drawn.width > 3 * drawn.height
        assert np.asarray(drawn.convert("RGB")).std(axis=(0, 1)).min() > 10
    color = found._replace(
        **{
            name: np.repeat(getattr(found, name)[:, :20, None], 3, axis=2)
            for name in ("truth", "estimate", "baseline")
        }
    )
    assert plot_reconstruction(color, tmp_path / "color.svg").endswith("color.svg")
    with pytest.raises(ValueError, match=r"end in \.png"):
        plot_reconstruction(found, tmp_path / "figure.txt")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["color.svg", "figure.png"]


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match=r"operator must be one of hadamard, .*Did you mean"):
        simulate("camera", operator="hadamar")
    with pytest.raises(ValueError, match="prior must be one of wavelet, dct, tv"):
        simulate("camera", prior="l2")
    for ratio in (0.0, -0.5, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"ratio must be in \(0, 1\]"):
            simulate("camera", ratio=ratio)
    with pytest.raises(ValueError, match="snr_db must be in"):
        simulate("camera", snr_db=1e6)
    with pytest.raises(ValueError, match=r'64\.0 GiB for 65536 x 262144.*operator="hadamard"'):
        simulate("camera", operator="gaussian")
    with pytest.raises(ValueError, match="Did you mean camera"):
        simulate("camra")
    with pytest.raises(ValueError, match="must exist"):
        simulate(tmp_path / "none.png")
    with pytest.raises(ValueError, match="the array must be finite"):
        simulate(np.full((32, 32), np.nan))
    with pytest.raises(ValueError, match="at least 16 pixels a side"):
        simulate("camera", size=8)
    with pytest.raises(ValueError, match="left out for an array"):
        simulate(np.zeros((32, 32)), size=16)
    with pytest.raises(TypeError, match="a name, a path or an array"):
        simulate(3)
    with pytest.raises(TypeError, match="JAX PRNG key"):
        simulate("camera", key=3)


@pytest.mark.slow
def test_camera_from_a_quarter_of_the_measurements():
    found = simulate("camera", operator="hadamard", ratio=0.25, prior="wavelet")
    assert found.psnr >= 27.0  # measured: 30.16
    assert 5.5 < found.baseline_psnr < 6.5
