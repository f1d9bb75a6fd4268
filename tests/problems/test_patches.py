"""Random patches of images: where they come from, how they are measured, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.operators import dct_dictionary, join_blocks, split_blocks
from jaxinv.problems import PatchMeasurement, patches

EPS = float(jnp.finfo(jnp.result_type(float)).eps)
KEYS = jax.random.split(jax.random.key(3), 300)


def images():
    """Return images of two sizes, each pixel a number of its own."""
    first = np.arange(7 * 9).reshape(7, 9)
    return [first.astype(float), (100 + np.arange(5 * 4)).reshape(5, 4).astype(float)]


def operator(size=12, num=5):
    return ji.operators.gaussian(jax.random.key(0), num, size, dtype=jnp.result_type(float))


def test_every_place_is_drawn_and_equally_often():
    given = images()
    family = patches(given, (3, 4))
    keys = jax.random.split(jax.random.key(1), 6200)
    drawn = np.asarray(jax.jit(jax.vmap(family.draw))(keys))
    windows = [
        image[i : i + 3, j : j + 4]
        for image in given
        for i in range(image.shape[0] - 2)
        for j in range(image.shape[1] - 3)
    ]
    places = {float(window[0, 0]): window for window in windows}  # 30 + 3
    assert len(places) == 33
    for patch in drawn:
        np.testing.assert_array_equal(patch, places[float(patch[0, 0])])
    counts = np.array([np.sum(drawn[:, 0, 0] == corner) for corner in places])
    expected = len(drawn) / 33
    assert np.sum((counts - expected) ** 2 / expected) < 63  # chi-square, 32 degrees, 1e-3


def test_whole_images_are_their_own_patches():
    digits = ji.data.digits()[0][:20]
    drawn = jax.vmap(patches(digits, 8).draw)(KEYS)
    known = {image.tobytes() for image in digits}
    assert {np.asarray(patch).tobytes() for patch in drawn} == known


def test_default_scale_makes_patches_of_unit_size():
    camera = ji.data.image("camera", size=128)
    family = patches(camera, 8)
    x = np.asarray(family.batch(jax.random.split(jax.random.key(8), 4000)).truth.x)
    energy = np.square(x).mean(axis=1)
    assert abs(energy.mean() - 1) < 5 * energy.std() / np.sqrt(len(energy))
    np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-4)
    kept = patches(camera, 8, remove_mean=False, scale=2.0).measure(camera[:8, :8])
    np.testing.assert_allclose(kept.problem.truth.x, 2 * camera[:8, :8].reshape(-1), rtol=1e-6)
    assert float(kept.mean) == 0


@pytest.mark.parametrize("stretched", [False, True])
def test_measurements_in_codes_are_those_of_the_patch(stretched):
    matrix = np.asarray(dct_dictionary((3, 4), dtype=jnp.result_type(float)).matrix)
    matrix = matrix * np.linspace(0.5, 3, 11) if stretched else matrix
    Phi = operator()
    family = patches(images(), (3, 4), Phi, matrix, scale=0.5)
    patch = jnp.asarray(images()[0][2:5, 1:5])
    problem, mean, scale = family.measure(patch)
    x = 0.5 * (np.asarray(patch, float) - np.mean(patch)).reshape(-1)
    expected = np.asarray(Phi.matrix, float) @ x
    np.testing.assert_allclose(problem.y, expected, atol=400 * EPS)
    np.testing.assert_allclose(matrix @ problem.truth.u, x, atol=200 * EPS)
    back = family.restore(problem.truth.u, mean, scale)
    np.testing.assert_allclose(back, patch, atol=1000 * EPS)
    assert problem.prior is None
    assert problem.operator is family.operator


def test_noise_is_stated_in_pixels():
    family = patches(images(), (3, 4), operator(), noise_std=0.3, scale=5.0)
    noise = np.asarray(family.batch(KEYS).truth.noise) / (5 * 0.3)
    assert abs(np.mean(noise**2) - 1) < 5 * np.sqrt(2 / noise.size)
    clean = family.measure(images()[0][:3, :4]).problem
    assert not np.asarray(clean.truth.noise).any()


@pytest.mark.slow
def test_overcomplete_codes_have_no_truth_and_train_on_the_lasso():
    camera = ji.data.image("camera", size=64)
    family = patches(camera, 4, None, dct_dictionary(4, 6), normalize="patch")
    problems = jax.jit(family.batch)(KEYS)
    assert problems.truth is None
    assert family.axes.truth is None
    peaks = jnp.max(jnp.abs(jax.vmap(family.operator.adjoint)(problems.y)), axis=1)
    np.testing.assert_allclose(peaks, 1, rtol=1e-5)
    layers = ji.unfolded.step_lista(family.operator, 5, 0.3)
    history = ji.unfolded.fit(
        jax.random.key(1), layers, family, num_steps=40, loss="lasso", validation_size=128
    ).history
    assert float(history.validation.min()) < float(history.validation[0])


def test_a_flat_patch_gives_zero_and_never_nan():
    flat = jnp.full((4, 4), 0.5)
    for normalize in ("images", "patch"):
        family = patches(
            ji.data.image("camera", size=64), 4, None, dct_dictionary(4, 6), normalize=normalize,
            snr_db=20.0,
        )  # fmt: skip
        problem, mean, scale = family.measure(flat, jax.random.key(0))
        found = ji.unfold(ji.unfolded.step_lista(family.operator, 3, 0.1), problem)
        assert not np.asarray(found).any()
        np.testing.assert_array_equal(family.restore(found, mean, scale), flat)


def test_measuring_all_blocks_of_an_image():
    camera = ji.data.image("camera", size=64)
    family = patches(camera, 8, None, dct_dictionary(8))
    run = jax.vmap(family.measure, out_axes=PatchMeasurement(family.axes, 0, 0))
    problems, means, scales = run(split_blocks(camera, 8))
    restored = jax.vmap(family.restore)(problems.truth.u, means, scales)
    np.testing.assert_allclose(join_blocks(restored, camera.shape), camera, atol=1e-5)


def test_bad_patches_and_operators_are_named():
    with pytest.raises(ValueError, match=r"patch must have shape \(3, 3\)"):
        patches(np.eye(9), 3).measure(np.ones((2, 3)))
    with pytest.raises(ValueError, match="operator must map a vector"):
        patches(np.eye(9), 3, operator(12))
