"""Reconstruction of an image from measurements of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv import data, operators
from jaxinv.images import _judges, _priors, _smooth
from jaxinv.images._learned import FromImage
from jaxinv.images._measurement import Planes, measurement
from jaxinv.operators import LinearOperator
from jaxinv.viz import plot_reconstruction

KEY = jax.random.key(0)
X = data.image("camera", size=32)
SMALL = X[:16, 8:24]


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
    error = np.mean((found.x - X) ** 2)
    assert abs(found.scores["psnr"] + 10 * np.log10(error)) < 1e-3
    assert found.scores["psnr"] > found.scores["input_psnr"] + 10
    assert np.allclose(found.input, y, atol=1e-6)
    error, (low, high) = np.abs(found.x - X), np.quantile(found.spread, [0.25, 0.75])
    assert error[found.spread > high].mean() > 2 * error[found.spread < low].mean()
    assert found.chosen == found.candidates[0].name == "tv"
    assert found.scores["held_out"] == found.candidates[0].held_out
    assert found.status == ji.Status.CONVERGED
    assert repr(found).startswith("Reconstruction(tv, CONVERGED; held_out ")
    assert len(repr(found)) < 300  # no arrays


def test_the_truth_only_scores(found, mask, y):
    blind = ji.reconstruct(y, mask, prior="tv")
    assert np.array_equal(blind.x, found.x)
    assert set(blind.scores) == {"held_out", "misfit"}


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(found, mask, y, unit):
    other = ji.reconstruct(np.float32(unit) * y, mask, prior="tv")
    assert np.allclose(other.x / unit, found.x, atol=1e-4)
    assert abs(other.scores["held_out"] - found.scores["held_out"]) < 1e-3


def test_a_noisy_photo_is_denoised_at_a_level_nobody_told():
    noisy = X + 0.1 * np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    found = ji.reconstruct(noisy, operators.identity(X.shape), truth=X)
    assert [one.name for one in found.candidates] == ["tv", "wavelet", "nlm"]
    assert found.scores["psnr"] > found.scores["input_psnr"] + 4
    assert found.status == ji.Status.STOPPED
    assert abs(found.settings["noise_std"] - 0.1) < 0.02
    # what the judge promises is the distance to the same pixels measured again
    expected = np.sqrt(np.mean((found.x - X) ** 2) + 0.01) / np.sqrt(np.mean(noisy**2))
    assert abs(found.scores["held_out"] - expected) < 0.1 * expected


def test_a_prox_of_your_own_is_solved_as_it_is():
    A = operators.subsampled_hadamard(KEY, 128, SMALL.shape)
    y, penalty = np.float32(10) * np.asarray(A @ SMALL), ji.prox.soft(3.0)
    found = ji.reconstruct(y, A, prior=penalty, num_steps=200)
    problem = ji.Problem(A, y)
    x = ji.solve(ji.solvers.fista(prox=penalty), problem, np.zeros_like(SMALL), tol=1e-5).x
    assert np.linalg.norm(found.x - x) < 1e-3 * np.linalg.norm(x)
    assert found.status == ji.Status.CONVERGED
    short = ji.reconstruct(y, A, prior=penalty, num_steps=10)
    assert short.status == ji.Status.MAX_STEPS


def test_the_smooth_prior_ends_at_the_least_second_differences(mask, y):
    """Interpolation: least ‖(ε − Δ) x‖ where the pixels known are as measured."""
    held = measurement("reconstruct", y, mask)
    lanes = _judges.Folds(held.y[None], jnp.ones((1, *X.shape), bool), "")
    *_, last = _smooth.smooth(held, lanes)
    line = np.diff(np.eye(32), axis=0)  # no difference across an edge
    laplacian = np.kron(line.T @ line, np.eye(32)) + np.kron(np.eye(32), line.T @ line)
    penalty = (0.1 * np.eye(1024) + laplacian) @ (0.1 * np.eye(1024) + laplacian)
    known = np.asarray(mask @ np.ones_like(X)).ravel() > 0
    x = np.asarray(y, float).ravel()
    x[~known] = np.linalg.solve(penalty[~known][:, ~known], -penalty[~known][:, known] @ x[known])
    error = np.linalg.norm(np.asarray(last.planes[0, 0] * held.scale).ravel() - x)
    assert error < 2e-3 * np.linalg.norm(x)


def test_smooth_and_tv_are_told_apart(found, mask, y):
    smooth = ji.reconstruct(y, mask, prior=("tv", "smooth"), truth=X)
    assert smooth.chosen == "smooth"
    assert smooth.scores["psnr"] > found.scores["psnr"]


def test_a_trained_generator_is_searched_for_its_latent():
    G = ji.generators.relu(KEY, (3, 20, 256))
    x = np.asarray(G(np.ones(3, np.float32))).reshape(16, 16)
    A = operators.subsampled_hadamard(KEY, 128, (16, 16))
    found = ji.reconstruct(np.asarray(A @ x), A, prior=G, truth=x, fallback=False)
    assert found.scores["held_out"] < 1e-3
    assert np.linalg.norm(found.x - x) < 1e-3 * np.linalg.norm(x)


def test_networks_are_compared_with_classical_priors_unless_told_otherwise(mask, y):
    held, options = measurement("reconstruct", y, mask), _priors.Options(3, None)

    def names(*priors, fallback=True):
        asked = _priors.check_prior("reconstruct", priors if len(priors) > 1 else priors[0])
        return [one.name for one in _priors.candidates(asked, held, options, KEY, fallback)]

    network = ji.generators.deep_decoder(X.shape, 4, 2)
    assert names("auto") == ["tv", "wavelet", "smooth"]
    assert names("dct") == ["dct"]
    assert names("dip") == ["tv", "wavelet", "smooth", "dip", "dip + tv"]
    assert names(network, "tv") == ["wavelet", "smooth", "DeepDecoder", "DeepDecoder + tv", "tv"]
    assert names(network, fallback=False) == ["DeepDecoder"]
    assert names(ji.prox.soft(1.0), ji.denoisers.total_variation()) == ["Soft", "TotalVariation"]
    with pytest.raises(ValueError, match=r"make images of shape \(32, 32\)"):
        names(ji.generators.deep_decoder((16, 16), 4, 2))
    with pytest.raises(ValueError, match=r"make images of shape \(32, 32\).*got \(100,\)"):
        names(ji.generators.relu(KEY, (3, 20, 100)))


@pytest.mark.slow
def test_an_untrained_network_alone_and_a_complex_image():
    phase = np.exp(1j * np.linspace(0, 1, 16)).astype(np.complex64)
    A = operators.mri(operators.fourier_lines(KEY, (16, 16), 2, 0.2))
    network = ji.generators.deep_decoder((16, 16), 8, 2, dtype="complex64")
    found = ji.reconstruct(
        np.asarray(A @ (SMALL * phase)),
        A,
        prior=network,
        num_steps=20,
        num_starts=2,
        fallback=False,
    )
    assert found.x.dtype == np.complex64
    assert found.spread.dtype == np.float32
    assert found.spread.mean() > 0
    assert len(found.candidates) == 1
    assert "steps, 2 starts" in found.settings["setting"]


@pytest.mark.parametrize(
    ("operator", "y_shape", "shape", "image"),
    [
        (operators.identity((16, 18)), (16, 18), None, (16, 18)),
        (operators.identity((16, 18)), (16, 18, 3), None, (16, 18, 3)),
        (operators.identity((16, 18, 3)), (16, 18, 3), None, (16, 18, 3)),
        (operators.identity(288), (288,), (16, 18), (16, 18)),
        (operators.identity(288), (288, 3), (16, 18, 3), (16, 18, 3)),
        (operators.identity((5, 16, 18)), (5, 16, 18), None, (5, 16, 18)),
    ],
)
def test_layouts_of_images(operator, y_shape, shape, image):
    y = np.random.default_rng(0).normal(size=y_shape).astype(np.float32)
    found = measurement("reconstruct", y, operator, shape)
    assert found.shape == image
    planes = found.planes((20, 20))
    assert planes.sides == (16, 18)
    back = planes.image(planes.split(np.asarray(found.y)))
    assert np.allclose(np.asarray(back).ravel() * found.scale, y.ravel(), atol=1e-5)
    assert ji.operators.dot_test(planes, KEY) < 1e-5
    assert ji.operators.dot_test(FromImage(2.0, image, tuple(found.operator.in_shape)), KEY) < 1e-5
    assert isinstance(planes, Planes)


def test_figures_with_and_without_a_truth(found, tmp_path):
    for name, one in (("with", found), ("without", found._replace(truth=None))):
        assert plot_reconstruction(one, tmp_path / f"{name}.png").endswith(".png")


@ji.pytree
class Wrong(LinearOperator):
    """An operator with the adjoint of another one."""

    in_shape = (32, 32)
    in_dtype = np.dtype("float32")

    def _apply(self, x):
        return 2 * x

    def _adjoint(self, y):
        return y


def test_bad_input_is_refused_in_one_line(mask, y):
    refused = {
        "prior must be one of .*Did you mean 'wavelet'": {"prior": "wavelt"},
        r"y must have shape \(32, 32\), got shape \(9, 32\).*images \(32, 32\)": {"y": y[:9]},
        "y must be finite": {"y": y * np.nan},
        "y must not be zero": {"y": 0 * y},
        "y must be floating numbers, got uint8.*y / 255": {"y": np.uint8(255 * y)},
        "noise_std must be below the root mean square of y": {"noise_std": 3.0},
        "noise_std must be finite and > 0.*leave it out": {"noise_std": 0.0},
        r"truth must have shape \(32, 32\)": {"truth": y[:9]},
        "operator must have an adjoint.*dot_test": {"operator": Wrong()},
        "shape must be that of an image with 1024 numbers": {"shape": (30, 30)},
        "know the shape of its latent": {"prior": ji.generators.from_function(np.multiply, 1.0)},
        "num_starts must be >= 1": {"num_starts": 0},
        "mask of 0 and 1, got 0 and 255.*mask > 0": {
            "operator": operators.mask(np.uint8(255 * (y != 0)))
        },
        "operator must measure something": {"operator": operators.mask(np.zeros_like(y))},
        "the image must have at least 16 pixels": {
            "y": y[:8, :8],
            "operator": operators.identity((8, 8)),
        },
    }
    for message, wrong in refused.items():
        with pytest.raises(ValueError, match=message) as caught:
            ji.reconstruct(**{"y": y, "operator": mask, **wrong})
        assert "\n" not in str(caught.value)
    for message, wrong in {
        "prior must be a name, a Prox": {"prior": 3},
        "prior must be a name, a Prox.*generator, got Mask": {"prior": mask},
        r"operator must be a linear operator.*dense\(matrix\)": {"operator": np.eye(3)},
    }.items():
        with pytest.raises(TypeError, match=message):
            ji.reconstruct(**{"y": y, "operator": mask, **wrong})
