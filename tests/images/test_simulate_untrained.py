"""Reconstruction of one image with networks that nothing has trained, and its new operators."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv import Problem, Status, cli, data, operators
from jaxinv.images import _untrained, simulate
from jaxinv.images._measured import Noise, measure
from jaxinv.images._measuring import make_operator
from jaxinv.operators._pixels import Channelwise, Real

KEY = jax.random.key(0)
SIDE = 16
SIGMA = 0.1
STEPS = 150
TINY = {"prior": "deep-decoder", "num_channels": 8, "stop": STEPS}
DENOISING = {"operator": "identity", "noise_std": SIGMA, "size": SIDE, **TINY}


@jax.jit
def apply(operator, x):
    return operator(x)


@jax.jit
def pull(operator, y):
    return operator.adjoint(y)


@pytest.fixture(scope="module")
def found():
    return simulate("camera", num_seeds=2, **DENOISING)


def psnr(estimate, truth):
    return -10 * math.log10(np.mean((np.asarray(estimate, np.float64) - truth) ** 2))


def test_seeds_are_a_batch_of_fits_and_the_estimate_is_their_average(found):
    assert found.estimate.shape == found.truth.shape == (SIDE, SIDE)
    assert found.estimate.dtype == found.baseline.dtype == np.float32
    assert len(found.seed_psnr) == len(found.seed_ssim) == 2
    assert abs(found.psnr - psnr(found.estimate, found.truth)) < 1e-3
    # an average is at least as good as the mean of its parts: the square is convex
    errors = [10 ** (-score / 10) for score in found.seed_psnr]
    assert 10 ** (-found.psnr / 10) <= np.mean(errors) * (1 + 1e-5)
    assert found.psnr > found.baseline_psnr + 1
    assert found.num_steps == STEPS
    assert found.settings["seed_status"] == ["MAX_STEPS", "MAX_STEPS"]
    assert found.settings["noise_std"] == SIGMA


def test_one_fit_is_the_first_of_the_seeds(found):
    seen = []
    alone = simulate("camera", progress=lambda *entry: seen.append(entry), **DENOISING)
    assert len(alone.seed_psnr) == 1
    first, second = (abs(alone.seed_psnr[0] - score) for score in found.seed_psnr)
    assert first < 0.2 < second  # rounding grows along the steps; another seed is 1 dB away
    assert alone.seed_psnr[0] == alone.psnr
    # the same measurements, and rivals that do not know of networks
    assert np.array_equal(alone.baseline, found.baseline)
    assert alone.rivals == found.rivals
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert any(text.startswith(f"step {STEPS} of {STEPS}") for text, _ in seen)


def test_the_noise_is_what_was_asked_for_and_the_rivals_remove_some(found):
    noise = np.asarray(found.baseline - found.truth, np.float64)
    standard_error = SIGMA / math.sqrt(2 * noise.size)
    assert abs(noise.std() - SIGMA) < 4 * standard_error
    assert [rival.name for rival in found.rivals] == ["total variation", "non-local means"]
    assert all(rival.psnr > found.baseline_psnr + 1 for rival in found.rivals)


def test_a_color_scan_is_one_network_that_agrees_with_its_measurements():
    photo = 0.25 + 0.5 * data.image("astronaut", size=(16, 19))  # so that no pixel is clipped
    tiny = {**TINY, "stop": "auto"}
    found = simulate(photo, operator="multicoil", ratio=0.4, num_steps=STEPS, **tiny)
    assert found.estimate.shape == found.baseline.shape == (16, 19, 3)
    assert found.rivals == ()
    assert found.settings["most_steps"] == STEPS
    assert found.psnr > found.baseline_psnr
    operator_key, _, _ = jax.random.split(KEY, 3)
    scan = make_operator("multicoil", (16, 19), 0.4, operator_key).operator
    for channel in range(3):
        y = np.asarray(apply(scan, found.truth[..., channel]))
        misfit = np.asarray(apply(scan, found.estimate[..., channel])) - y
        assert np.linalg.norm(misfit) < 1e-3 * np.linalg.norm(y)


@pytest.mark.parametrize("name", _untrained.NETWORKS)
@pytest.mark.parametrize("shape", [(16, 16), (16, 23, 3), (17, 90), (333, 500)])
def test_networks_take_any_size_from_16_pixels(name, shape):
    channels = None if name == "dcgan" else 4

    def image():
        prior = _untrained.make_network(name, shape, channels)
        return prior(prior.params)

    assert jax.eval_shape(image).shape == shape


@pytest.mark.parametrize("name", ["gaussian", "multicoil"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_an_operator_on_channels_is_that_of_each_channel(name, channels):
    single = make_operator(name, (16, 18), 0.5, KEY).operator
    A = Channelwise(single, (16, 18, *channels))
    rng = np.random.default_rng(0)
    x = rng.normal(size=A.in_shape).astype(np.float32)
    y = apply(A, x)
    assert y.shape == A.out_shape
    parts = [x] if not channels else [x[..., i] for i in range(3)]
    expected = [apply(single, np.reshape(part, single.in_shape)) for part in parts]
    expected = np.stack(expected, -1) if channels else expected[0]
    assert np.allclose(y, expected, atol=1e-5)
    v = rng.normal(size=A.out_shape)
    if np.iscomplexobj(y):
        v = v + 1j * rng.normal(size=A.out_shape)
    v = v.astype(y.dtype)
    pulled = np.asarray(pull(A, v))
    there, back = np.real(np.vdot(y, v)), np.vdot(x, pulled)
    assert np.isrealobj(pulled)
    assert abs(there - back) < 1e-3 * np.linalg.norm(y) * np.linalg.norm(v)


def test_a_real_restriction_is_the_real_matrix():
    maps = operators.coil_maps((4, 5), 2, dtype=jnp.complex64)
    mask = operators.fourier_lines(KEY, (4, 5), 2, 0.2)
    full = operators.multicoil_mri(mask, maps)
    matrix, restricted = np.asarray(full.todense()), Real(full)
    both = np.concatenate([matrix.real, matrix.imag])
    x = np.random.default_rng(0).normal(size=20).astype(np.float32)
    y = apply(restricted, x.reshape(4, 5))
    parts = np.concatenate([np.ravel(y.real), np.ravel(y.imag)])
    assert np.allclose(parts, both @ x, atol=1e-5)
    assert np.allclose(np.ravel(pull(restricted, y)), both.T @ parts, atol=1e-4)


@pytest.mark.parametrize(("ratio", "center"), [(0.5, 8), (0.25, 8), (0.125, 4)])
def test_scans_keep_the_middle_and_about_the_ratio(ratio, center):
    measuring = make_operator("mri", (16, 100), ratio, jax.random.key(2))
    columns = np.asarray(measuring.operator.mask)[0]
    first = (100 - center + 1) // 2
    assert columns[first : first + center].all()
    assert measuring.ratio == columns.mean()
    rest, left = 100 * ratio - center, 100 - center
    spread = math.sqrt(rest * (1 - rest / left))
    assert abs(columns.sum() - 100 * ratio) < 4 * spread
    assert make_operator("mri", (16, 16), 0.01, KEY).operator.mask.any()


@pytest.mark.parametrize("signed", [False, True])
def test_the_units_of_a_scan_come_from_its_measurements(signed):
    operator = Channelwise(make_operator("mri", (16, 16), 0.5, KEY).operator, (16, 16))
    image = jnp.asarray(data.image("camera", size=(16, 16)))
    problem = Problem(operator, apply(operator, image))
    louder = problem._replace(y=1000 * np.asarray(problem.y))
    one, units = _untrained._scaled(problem, is_scan=True, signed=signed)
    other, larger = _untrained._scaled(louder, is_scan=True, signed=signed)
    assert np.allclose(one.y, other.y, atol=1e-4)
    assert math.isclose(float(larger.gain), 1000 * float(units.gain), rel_tol=1e-4)
    # what a network puts out fits as well as the image that it stands for
    output = np.random.default_rng(3).uniform(size=(16, 16)).astype(np.float32)
    offset, gain = np.asarray(units.offset), np.asarray(units.gain)
    misfit = np.asarray(apply(operator, offset + gain * output) - problem.y) / gain
    assert np.allclose(apply(operator, output) - one.y, misfit, atol=1e-4)
    reached = float(offset + gain) / np.abs(pull(operator, problem.y)).max()
    assert math.isclose(reached, 1.5, rel_tol=1e-4)


def test_photos_keep_their_units():
    problem = Problem(operators.identity((16, 16)), jnp.full((16, 16), 0.25))
    same, units = _untrained._scaled(problem, is_scan=False, signed=False)
    assert np.array_equal(same.y, problem.y)
    assert (float(units.offset), float(units.gain)) == (0, 1)
    wide, _ = _untrained._scaled(problem, is_scan=False, signed=True)
    assert np.allclose(wide.y, 2 * 0.25 - 1)


def test_noise_of_a_given_size_falls_on_what_is_measured():
    shape = (64, 64)
    operator = make_operator("mask", shape, 0.5, KEY).operator
    problem, norm = measure(jnp.zeros(shape), operator, Noise(None, SIGMA), KEY)
    assert problem.truth is None
    kept = int(jnp.sum(operator.mask))
    assert math.isclose(float(norm), SIGMA * math.sqrt(kept), rel_tol=1e-5)
    assert abs(np.linalg.norm(problem.y) / float(norm) - 1) < 4 / math.sqrt(2 * kept)
    assert not np.asarray(problem.y)[~np.asarray(operator.mask)].any()


# gain over the baseline in decibels: half of what was measured on this image
@pytest.mark.parametrize(
    ("operator", "noise_std", "gain"), [("identity", SIGMA, 2.5), ("mri", None, 3.0)]
)
def test_classical_priors_take_the_new_operators(operator, noise_std, gain):
    found = simulate("camera", size=32, operator=operator, prior="tv", noise_std=noise_std)
    assert found.status == Status.CONVERGED
    assert found.psnr > found.baseline_psnr + gain
    assert found.seed_psnr == found.rivals == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "tv", "stop": "auto"}, r"stop must be left out for the prior tv, got 'auto'\."),
        ({"prior": "dct", "num_seeds": 2}, "num_seeds must be left out.*deep-decoder, dip"),
        ({"prior": "dcgan", "num_channels": 8}, "num_channels must be left out"),
        ({"prior": "dip", "stop": "soon"}, "stop must be 'auto' or a number of steps"),
        ({"prior": "dip", "stop": 0}, "stop must be >= 1"),
        ({"prior": "dip", "stop": 9, "num_steps": 10}, "num_steps must be left out for stop=9"),
        ({"prior": "dip", "num_seeds": 0}, "num_seeds must be >= 1"),
        ({"prior": "dipp"}, "one of wavelet, dct, tv, deep-decoder, dip, .*Did you mean 'dip'"),
        ({"operator": "mir"}, "identity, mri, multicoil"),
        ({"snr_db": 20.0, "noise_std": 0.1}, "snr_db and noise_std must not both be given"),
        ({"noise_std": -0.1}, "noise_std must be finite and >= 0"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        simulate("camera", size=SIDE, **options)
    assert "\n" not in str(caught.value)


def arguments():
    line = f"simulate camera --operator identity --noise-std {SIGMA} --prior deep-decoder"
    return f"{line} --size {SIDE} --channels 8 --stop {STEPS} --seeds 2 --out e.npy".split()


def test_the_command_line_prints_the_spread_and_what_stopped_it(
    found, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments()) == 0
    out = capsys.readouterr().out
    mean, spread = np.mean(found.seed_psnr), np.std(found.seed_psnr, ddof=1)
    assert f"{mean:.2f} ± {spread:.2f} dB" in out
    assert f"{found.psnr:.2f} dB" in out
    assert "non-local means" in out
    assert "stopped: after the steps asked for" in out
    assert np.array_equal(np.load(tmp_path / "e.npy"), found.estimate)
    assert not (tmp_path / "results").exists()  # --out is all that is written


def test_an_interrupt_leaves_nothing(capsys, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_untrained, "fit", interrupted)
    assert cli.main(arguments()) == 130
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == "jaxinv: interrupted\n"


@pytest.mark.slow
def test_denoising_a_photo_gains_7_db_with_automatic_stopping():
    found = simulate(
        "camera", size=256, operator="identity", noise_std=25 / 255, prior="deep-decoder"
    )
    assert found.psnr > found.baseline_psnr + 7  # measured: 10
    assert found.settings["stop"] == "auto"
