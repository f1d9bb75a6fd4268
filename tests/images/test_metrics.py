"""Image scores against scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jaxinv import metrics
from jaxinv.data import image


def _pair(color: bool) -> tuple[np.ndarray, np.ndarray]:
    truth = image("astronaut" if color else "camera", size=(48, 40))
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape).astype(np.float32)
    return truth + noise, truth


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("data_range", [1.0, 2.5])
def test_ssim_equals_scikit_image(color, data_range):
    estimate, truth = _pair(color)
    expected = structural_similarity(
        estimate.astype(np.float64),
        truth.astype(np.float64),
        data_range=data_range,
        channel_axis=-1 if color else None,
    )
    found = jax.jit(metrics.ssim)(estimate, truth, data_range=data_range)
    assert abs(float(found) - expected) < 1e-5
    assert found.dtype == jnp.float32


@pytest.mark.parametrize("color", [False, True])
def test_psnr_equals_scikit_image(color):
    estimate, truth = _pair(color)
    expected = peak_signal_noise_ratio(truth, estimate, data_range=1.0)
    assert abs(float(metrics.psnr(estimate, truth)) - expected) < 1e-4


def test_ssim_is_one_only_for_equal_images_and_is_batched():
    estimate, truth = _pair(False)
    batch = jnp.stack([jnp.asarray(truth), jnp.asarray(estimate)])
    scores = jax.vmap(metrics.ssim, in_axes=(0, None))(batch, truth)
    assert abs(float(scores[0]) - 1) < 1e-6
    assert float(scores[1]) < 0.9


def test_ssim_of_flat_images_keeps_its_digits():
    bright, brighter = jnp.full((16, 16), 0.9), jnp.full((16, 16), 0.95)
    c1 = 1e-4
    expected = (2 * 0.9 * 0.95 + c1) / (0.9**2 + 0.95**2 + c1)  # no variance: contrast term is 1
    assert abs(float(metrics.ssim(bright, brighter)) - expected) < 5e-6


@pytest.mark.parametrize("broken", [0, 1])
def test_nan_is_never_a_perfect_score(broken):
    pair = [jnp.ones(3), jnp.ones(3)]
    pair[broken] = pair[broken].at[1].set(jnp.nan)
    for score in (metrics.relative_error, metrics.nmse, metrics.nmse_db, metrics.psnr):
        assert jnp.isnan(score(*pair)), score


SCORES = (metrics.relative_error, metrics.nmse, metrics.nmse_db, metrics.psnr, metrics.ssim)


@pytest.mark.parametrize("score", SCORES)
def test_scores_do_not_depend_on_the_unit(score):
    estimate, truth = _pair(False)

    def of(unit):
        ranged = {"data_range": unit} if score in (metrics.psnr, metrics.ssim) else {}
        return float(score(estimate * np.float32(unit), truth * np.float32(unit), **ranged))

    for unit in (1e-30, 1e-20, 1e-18, 1e-10, 1e10, 1e18, 1e20, 1e30):
        assert of(unit) == pytest.approx(of(1.0), rel=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_gradients_are_finite_at_equality_and_right_elsewhere(score):
    estimate, truth = (part[:8, :8] for part in _pair(False))

    @jax.jit
    def value_and_slope(x, unit):
        ranged = {"data_range": unit} if score in (metrics.psnr, metrics.ssim) else {}
        return jax.value_and_grad(lambda x: score(unit * x, unit * truth, **ranged))(x)

    direction = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    step = 2e-3
    for unit in (1e-18, 1.0, 1e18):
        assert np.isfinite(value_and_slope(truth, unit)[1]).all()
        sides = [float(value_and_slope(estimate + s * direction, unit)[0]) for s in (step, -step)]
        found = float(jnp.sum(value_and_slope(estimate, unit)[1] * direction))
        assert found == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_integer_images_have_the_range_of_their_type(dtype):
    estimate, truth = (
        np.clip(part, 0, 1) * np.float32(np.iinfo(dtype).max if dtype != "bool" else 1)
        for part in _pair(False)
    )
    estimate, truth = (np.round(part).astype(dtype) for part in (estimate, truth))
    largest = 1 if dtype == "bool" else np.iinfo(dtype).max
    wide = estimate.astype(float), truth.astype(float)
    found = float(metrics.psnr(estimate, truth))
    assert found == pytest.approx(peak_signal_noise_ratio(*wide, data_range=largest), abs=1e-3)
    expected = structural_similarity(*wide, data_range=largest)
    assert float(jax.jit(metrics.ssim)(estimate, truth)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("estimate", "truth", "message"),
    [
        (np.zeros((8, 8), np.int32), np.zeros((8, 8), np.int32), "images of int32"),
        (np.zeros((8, 8)), np.zeros((8, 8), np.uint8), "images of float and uint8"),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint16), "images of uint16 and uint8"),
        (np.zeros((8, 8)), np.linspace(0, 255, 64).reshape(8, 8), "spans 255. Pass data_range=255"),
    ],
)
@pytest.mark.parametrize("score", [metrics.psnr, metrics.ssim])
def test_images_without_a_clear_range_are_refused(score, estimate, truth, message):
    name = score.__name__
    with pytest.raises(ValueError, match=f"{name}: data_range must be given .*{message}"):
        score(estimate, truth)
    assert score(truth, truth, data_range=255) > 0
