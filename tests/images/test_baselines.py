"""Reconstructions without a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso

import jaxinv as ji
from jaxinv import data, denoisers
from jaxinv.images._baseline import METHODS, baseline

O = ji.operators
KEY = jax.random.key(4)
SHAPE = (32, 32)


def head():
    return jnp.asarray(data.image("mri_head", size=SHAPE))


def camera():
    return jnp.asarray(data.image("camera", size=SHAPE))


def denoiser_of(method):
    return denoisers.total_variation() if method == "damp" else None


def test_the_lasso_is_that_of_scikit_learn():
    side = 16
    A = O.gaussian(KEY, 100, side**2)
    y = A @ jnp.asarray(data.image("camera", size=side)).ravel()
    found = baseline(A, y, "lasso_dct", shape=(side, side))
    synthesis = np.asarray(O.dct((side, side)).todense(), np.float64).T
    columns = np.asarray(A.matrix, np.float64) @ synthesis
    # the mean is not penalized: project it out, as an intercept is
    mean = columns[:, 0] / np.linalg.norm(columns[:, 0])
    rest = columns[:, 1:] - np.outer(mean, mean @ columns[:, 1:])
    target = np.asarray(y, np.float64) - mean * (mean @ np.asarray(y, np.float64))
    lasso = Lasso(alpha=found.penalty / 100, fit_intercept=False, tol=1e-8, max_iter=100000)
    lasso.fit(rest, target)
    coefficients = np.concatenate([[0], lasso.coef_])
    coefficients[0] = mean @ (y - columns @ coefficients) / np.linalg.norm(columns[:, 0])

    def objective(u):
        misfit = 0.5 * np.sum((columns @ u - np.asarray(y)) ** 2)
        return misfit + found.penalty * np.sum(np.abs(u[1:]))

    ours = objective(synthesis.T @ found.image.ravel())
    least = objective(coefficients)
    assert least * (1 - 1e-4) <= ours <= 1.05 * least


@pytest.mark.parametrize("method", METHODS)
def test_every_method_beats_the_zero_filled_image(method):
    x = head()
    # the mask that the bound below was measured on
    mask = O.fourier_lines(KEY, SHAPE, 3, 0.12, "bernoulli")
    A = O.multicoil_mri(mask, O.coil_maps(SHAPE, 4))
    y = A @ x
    found = baseline(A, y, method, denoiser=denoiser_of(method))
    assert found.image.shape == SHAPE
    assert found.status in (ji.Status.CONVERGED, ji.Status.MAX_STEPS)
    zero_filled = float(ji.metrics.psnr(jnp.abs(A.adjoint(y)), x))
    # half of what the weakest method gained on this image
    assert float(ji.metrics.psnr(np.abs(found.image), x)) > zero_filled + 1.2
    size = np.linalg.norm(np.asarray(A @ found.image) - y) / np.linalg.norm(y)
    assert found.misfit == pytest.approx(size, rel=1e-3)
    assert found.misfit < 0.05


def test_flat_images_and_units():
    x = camera()
    A = O.gaussian(KEY, 400, 1024)
    first = baseline(A, A @ x.ravel(), "tv", shape=SHAPE)
    other = baseline(A, A @ (300 * x).ravel(), "tv", shape=SHAPE)
    np.testing.assert_allclose(first.image, other.image / 300, atol=5e-3)
    assert float(ji.metrics.psnr(first.image, x)) > 24


@pytest.mark.parametrize("method", ["tv", "damp"])
def test_the_unit_of_the_operator_does_not_matter(method):
    x = np.asarray(camera())[:16, :16]
    A = O.subsampled_hadamard(KEY, 128, x.shape)
    first = baseline(A, A @ x, method, denoiser=denoiser_of(method))
    for unit in (1e-18, 1e18):
        found = baseline(unit * A, (A @ x) * 1e9, method, denoiser=denoiser_of(method))
        image = np.asarray(found.image, np.float64) * unit / 1e9
        np.testing.assert_allclose(image, first.image, atol=1e-3)
        assert found.status == first.status
        assert found.misfit == pytest.approx(first.misfit, rel=1e-2)
        if method == "tv":
            assert found.penalty == pytest.approx(first.penalty * unit * 1e9, rel=1e-3)


def test_each_coil_is_reconstructed_by_itself():
    mask = O.fourier_lines(KEY, SHAPE, 2, 0.15)
    images = O.coil_maps(SHAPE, 2) * head()
    A = O.multicoil_mri(mask, num_coils=2)
    found = baseline(A, A @ images, "tv")
    single = O.mri(mask)
    for coil in range(2):
        one = baseline(single, single @ images[coil], "tv")
        np.testing.assert_allclose(found.image[coil], one.image, atol=1e-5)


def test_the_path_stops_at_the_noise():
    x = camera()
    A = O.subsampled_hadamard(KEY, 600, SHAPE)
    noise = 0.1 * jax.random.normal(KEY, (600,))
    y, size = A @ x + noise, float(jnp.linalg.norm(noise))
    stopped = baseline(A, y, "tv", noise_norm=size)
    fitted = baseline(A, y, "tv")
    assert stopped.status == ji.Status.CONVERGED
    assert 0.5 * size < stopped.misfit * float(jnp.linalg.norm(y)) <= size
    assert stopped.penalty > 5 * fitted.penalty
    assert float(ji.metrics.psnr(stopped.image, x)) > float(ji.metrics.psnr(fitted.image, x)) + 1


A = O.mri(np.eye(16, dtype=bool))
ONES = np.ones((16, 16), np.float32)
BAD = {
    "method": (lambda: baseline(A, ONES, "lasso"), "method must be one of lasso_dct"),
    "operator": (lambda: baseline(ONES, ONES, "tv"), "operator must be a linear operator"),
    "y": (lambda: baseline(A, ONES[:4], "tv"), r"y must have shape \(16, 16\)"),
    "nan": (lambda: baseline(A, ONES * np.nan, "tv"), "y must be finite"),
    "zero": (lambda: baseline(A, 0 * ONES, "tv"), "y must not be zero"),
    "flat": (lambda: baseline(O.identity(256), ONES.ravel(), "tv"), "Pass shape="),
    "shape": (lambda: baseline(A, ONES, "tv", shape=(8, 16)), "256 pixels"),
    "small": (lambda: baseline(O.identity((8, 8)), ONES[:8, :8], "tv"), "at least 16 a side"),
    "noise": (lambda: baseline(A, ONES, "tv", noise_norm=-1.0), "noise_norm must be"),
    "denoiser": (
        lambda: baseline(A, ONES, "tv", denoiser=denoisers.total_variation()),
        "denoiser must be left out",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name):
    call, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
