"""What judges an estimate without the truth, and which candidate is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv import Status, operators
from jaxinv.images import _choice, _judges, _noise
from jaxinv.images._measurement import measurement

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
LINES = operators.fourier_lines(KEY, (16, 20), 2, 0.2)


def measured(operator, shape=None, noise_std=None, channels=()):
    x = RNG.normal(size=(*operator.in_shape, *channels)).astype(np.float32) + 2
    y = operator @ x if not channels else np.stack([operator @ x[..., i] for i in range(3)], -1)
    return measurement("reconstruct", y, operator, shape, noise_std)


def test_lines_of_k_space_are_left_out_whole_in_all_coils():
    scan = operators.multicoil_mri(LINES, operators.coil_maps((16, 20), 3))
    folds = _judges.make_judge(measured(scan), None, KEY, "reconstruct")
    held = ~np.asarray(folds.keep[1:]) & np.asarray(LINES)
    assert folds.unit == "columns of y"
    assert np.array_equal(held, np.broadcast_to(held[:, :1, :1], held.shape))
    columns = held[:, 0, 0].sum(axis=0)
    assert set(columns[np.asarray(LINES)[0]]) == {0, 1}  # some always fitted, none left out twice
    assert held.any(axis=(1, 2, 3)).all()
    assert np.asarray(folds.keep[0]).sum() == 3 * np.asarray(LINES).sum()


def test_a_frequency_and_its_negative_are_left_out_together_of_a_real_image():
    scan = operators.mri(operators.random_mask(KEY, (16, 20), 0.5), real=True)
    units, name = _judges.sampling_units(measured(scan), KEY)
    seen = np.argwhere(units >= 0)
    for row, column in seen[::7]:
        other = units[-row % 16, -column % 20]
        assert other in (-1, units[row, column])
    assert name == "points of k-space"


@pytest.mark.parametrize("channels", [(), (3,)])
def test_pixels_of_a_mask_are_left_out_in_all_channels(channels):
    mask = operators.random_mask(KEY, (16, 20), 0.5)
    found = measured(operators.mask(mask), channels=channels)
    units, name = _judges.sampling_units(found, KEY)
    flat = units.reshape(*mask.shape, -1)
    assert name == "measured pixels"
    assert np.array_equal(flat[..., 0] >= 0, np.asarray(mask))
    assert (flat == flat[..., :1]).all()
    assert len(np.unique(units)) == mask.sum() + 1


def test_steins_estimate_is_exact_for_a_linear_shrinkage():
    found = measured(operators.identity((16, 20)), noise_std=0.5)
    sigma = found.noise_std
    judge = _judges.make_judge(found, sigma, KEY, "reconstruct")
    for a in (0.0, 0.3, 1.0):
        errors = judge.errors(found.operator, a * judge.y)
        y = np.asarray(found.y, np.float64)
        expected = ((a - 1) ** 2 * np.sum(y**2) + 2 * sigma**2 * a * y.size) / np.sum(y**2)
        assert abs(errors.mean() - expected) < 2e-4


def test_the_noise_of_a_smooth_image_is_estimated():
    ramp = np.add.outer(np.linspace(0, 1, 60), np.linspace(0, 2, 50))
    y = (ramp + 0.1 * RNG.normal(size=ramp.shape)).astype(np.float32)
    found = measurement("reconstruct", y, operators.identity(y.shape))
    assert abs(_noise.estimated_noise(found) * found.scale - 0.1) < 4 * 0.1 / np.sqrt(y.size)
    complex_y = (y + 0.1j * RNG.normal(size=y.shape)).astype(np.complex64)
    found = measurement("reconstruct", complex_y, operators.identity(y.shape))
    assert abs(_noise.estimated_noise(found) * found.scale - 0.1 * 2**0.5) < 8e-3


def estimate(name, errors, is_network=False):
    x, even = jnp.zeros(1), name in ("tv", "smooth")
    errors = np.asarray(errors, float)
    return _choice.Estimate(name, is_network, Status.CONVERGED, errors, x, x, "", even)


def test_another_method_must_win_beyond_doubt():
    tv, wavelet = estimate("tv", [4, 5, 6, 5]), estimate("wavelet", [3.9, 4.9, 5.9, 4.9])
    lucky = estimate("lucky", [0.5, 4.5, 6.5, 2], True)  # better on average, by two folds
    sure = estimate("sure", [2, 2.2, 3, 2.5], True)  # better in each

    def chosen(*found, exact=False):
        return _choice.choose(list(found), exact=exact)

    assert chosen(tv, wavelet, lucky)[0].name == "tv"
    assert chosen(tv, wavelet, lucky, exact=True)[0].name == "wavelet"
    assert chosen(tv, estimate("smooth", [4, 4, 6, 5]))[0].name == "smooth"
    best, reason = chosen(tv, wavelet, lucky, sure)
    assert best.name == "sure"
    assert "It beats tv by" in reason
    assert chosen(tv, estimate("broken", [np.inf] * 2, True))[0].name == "tv"
    assert chosen(estimate("broken", [np.inf] * 2), sure)[0].name == "sure"
    assert chosen(lucky)[0].name == "lucky"


def test_of_stages_that_predict_alike_the_first_is_taken():
    tried = [
        _choice.Tried(
            np.asarray(errors, float), jnp.zeros(1), jnp.zeros(1), str(index), Status.CONVERGED
        )
        for index, errors in enumerate(([9, 9, 9], [1.02, 1, 1.01], [1, 1.02, 1]))
    ]
    assert _choice.preferred(tried, ties=True).text == "1"
    assert _choice.preferred(tried, ties=False).text == "2"
    clearly = [*tried[:2], tried[2]._replace(errors=np.array([0.9, 0.88, 0.89]))]
    assert _choice.preferred(clearly, ties=True).text == "2"
