"""The family of noisy measurements of images: of one, of crops of many, by drawn operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv import operators, problems
from jaxinv.data import image

SHAPE = (16, 24)


@pytest.fixture(scope="module")
def photo():
    return jnp.asarray(image("camera", size=SHAPE))


def _keys(count):
    return jax.random.split(jax.random.key(5), count)


def test_measurements_without_noise(photo):
    A = operators.subsampled_hadamard(jax.random.key(0), 100, SHAPE)
    family = problems.images(photo, A)
    problem = family.sample(jax.random.key(1))
    assert np.array_equal(problem.y, A(photo))
    assert np.array_equal(problem.truth.noise, np.zeros(100))
    assert np.array_equal(problem.truth.u, photo)
    assert float(problem.loss(problem.truth.u)) == 0
    assert family.initial(jax.random.key(0)).shape == SHAPE
    assert problem.y.dtype == jnp.float32


@pytest.mark.parametrize("kind", ["hadamard", "mask", "fourier"])
@pytest.mark.parametrize("settings", [{"snr_db": 20.0}, {"noise_std": 0.3}])
def test_noise_level_and_place(photo, kind, settings):
    mask = operators.random_mask(jax.random.key(0), SHAPE, 0.4)
    A = {
        "hadamard": operators.subsampled_hadamard(jax.random.key(0), 154, SHAPE),
        "mask": operators.mask(mask),
        "fourier": operators.subsampled_fourier(mask, real=True),
    }[kind]
    batch = problems.images(photo, A, **settings).batch(_keys(200))
    seen = np.ones(154, bool) if kind == "hadamard" else np.asarray(mask)
    noise = np.asarray(batch.truth.noise)[:, seen]
    assert not np.asarray(batch.truth.noise)[:, ~seen].any()
    clean = np.asarray(A(photo))
    level = 0.3
    if "snr_db" in settings:
        level = np.sqrt(np.sum(np.abs(clean) ** 2) / seen.sum()) / 10
    powers = np.abs(noise.reshape(-1)) ** 2
    standard_error = powers.std() / np.sqrt(powers.size)
    assert abs(powers.mean() - level**2) < 5 * standard_error
    assert np.allclose(np.asarray(batch.y), clean + np.asarray(batch.truth.noise), atol=1e-5)


def test_a_batch_shares_all_but_the_noise(photo):
    A = operators.subsampled_hadamard(jax.random.key(0), 100, SHAPE)
    family = problems.images(photo, A, noise_std=0.1)
    batch = family.batch(_keys(3))
    assert batch.y.shape == (3, 100)
    assert batch.truth.x.shape == SHAPE
    assert batch.operator.signs.shape == A.signs.shape
    alone = family.sample(_keys(3)[1])
    assert np.allclose(batch.y[1], alone.y, atol=1e-6)
    losses = jax.jit(jax.vmap(lambda p: p.loss(p.truth.u), in_axes=(family.axes,)))(batch)
    expected = 0.5 * np.sum(np.asarray(batch.truth.noise) ** 2, axis=1)
    assert np.allclose(losses, expected, rtol=1e-4)
    assert len(set(np.asarray(losses).tolist())) == 3


def test_same_key_same_problem_also_jitted(photo):
    A = operators.mask(operators.random_mask(jax.random.key(0), SHAPE, 0.4))
    family = problems.images(photo, A, snr_db=10.0)
    key = jax.random.key(3)
    first, second = family.sample(key), jax.jit(lambda f, k: f.sample(k))(family, key)
    assert np.allclose(first.y, second.y, atol=1e-6)
    old_style = family.sample(jax.random.PRNGKey(3))
    assert np.array_equal(first.y, old_style.y)


def test_a_prior_moves_the_unknown_to_its_coefficients(photo):
    W = operators.wavelet(SHAPE, "db2", 2)
    A = operators.subsampled_hadamard(jax.random.key(0), 384, SHAPE)
    family = problems.images(photo, A, prior=W.H)
    problem = family.sample(jax.random.key(1))
    assert np.allclose(problem.truth.u, W(photo), atol=1e-5)
    assert np.allclose(problem.signal(problem.truth.u), photo, atol=1e-5)
    solution = ji.solve(
        ji.solvers.fista(penalty=1e-4),
        problem,
        family.initial(jax.random.key(0)),
        tol=1e-5,
        max_steps=400,
    )
    assert float(ji.metrics.nmse(solution.x, photo)) < 5e-3  # without the prior: 0.25


def test_nonlinear_operators_work(photo):
    A = operators.magnitude(operators.subsampled_hadamard(jax.random.key(0), 100, SHAPE))
    problem = problems.images(photo, A, snr_db=30.0).sample(jax.random.key(1))
    assert problem.y.shape == (100,)


def masks(weight, key):
    return operators.mask(weight * operators.random_mask(key, (4, 5), 0.5))


def test_crops_and_masks_are_drawn_by_the_key():
    first = np.arange(7 * 9.0).reshape(7, 9)
    second = 100 + np.arange(4 * 6.0).reshape(4, 6)
    family = problems.images([first, second], jax.tree_util.Partial(masks, 2.0), noise_std=0.1)
    windows = {
        float(image[i, j]): image[i : i + 4, j : j + 5]
        for image in (first, second)
        for i in range(image.shape[0] - 3)
        for j in range(image.shape[1] - 4)
    }
    batch = jax.jit(family.batch)(_keys(1000))
    seen = np.asarray(batch.operator.mask)
    counts = dict.fromkeys(windows, 0)
    for x, mask, y in zip(np.asarray(batch.truth.x), seen, np.asarray(batch.y), strict=True):
        np.testing.assert_array_equal(x, windows[float(x[0, 0])])
        np.testing.assert_array_equal(y != 0, mask != 0)
        counts[float(x[0, 0])] += 1
    expected = 1000 / len(windows)  # 20 + 2 places
    assert len(windows) == 22
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 47  # chi-square, 1e-3
    assert len({mask.tobytes() for mask in seen}) > 900
    assert family.axes.operator == 0
    alone = family.sample(_keys(1000)[7])
    np.testing.assert_array_equal(alone.operator.mask, seen[7])


def test_noise_relative_to_each_crop():
    first = np.linspace(1, 9, 63).reshape(7, 9)
    family = problems.images([first, 1e3 * first], operators.identity((4, 5)), snr_db=20.0)
    batch = jax.jit(family.batch)(_keys(500))
    clean, noise = (np.asarray(v, float) for v in (batch.truth.x, batch.truth.noise))
    ratios = 100 * np.sum(noise**2, (1, 2)) / np.sum(clean**2, (1, 2))
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / np.sqrt(500)


def test_series_are_cropped_along_their_axis():
    family = problems.images([np.arange(9.0), 10 + np.arange(5.0)], operators.identity(4))
    x = np.asarray(jax.jit(family.batch)(_keys(300)).truth.x)
    np.testing.assert_array_equal(x - x[:, :1], np.tile(np.arange(4.0), (300, 1)))
    assert set(x[:, 0].tolist()) == {0, 1, 2, 3, 4, 5, 10, 11}


def test_color_images_are_cropped_in_all_channels():
    color = np.arange(6 * 7 * 3.0).reshape(6, 7, 3)
    family = problems.images(color, operators.identity((4, 5, 3)))
    x = np.asarray(family.sample(jax.random.key(2)).truth.x)
    row, column = divmod(int(x[0, 0, 0]) // 3, 7)
    np.testing.assert_array_equal(x, color[row : row + 4, column : column + 5])


def test_a_bad_key_is_refused(photo):
    with pytest.raises(TypeError, match="sample: key must be a JAX PRNG key"):
        problems.images(photo, operators.identity(SHAPE)).sample(0)
