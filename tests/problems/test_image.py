"""The family of noisy measurements of one image."""

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
    family = problems.image(photo, A)
    problem = family.sample(jax.random.key(1))
    assert np.array_equal(problem.y, A(photo))
    assert np.array_equal(problem.truth.noise, np.zeros(100))
    assert np.array_equal(problem.truth.u, photo)
    assert float(problem.loss(problem.truth.u)) == 0
    assert family.initial(jax.random.key(0)).shape == SHAPE
    assert problem.y.dtype == jnp.float32


@pytest.mark.parametrize("kind", ["hadamard", "mask", "fourier"])
@pytest.mark.parametrize("settings", [{"noise_db": 20.0}, {"noise_std": 0.3}])
def test_noise_level_and_place(photo, kind, settings):
    mask = operators.random_mask(jax.random.key(0), SHAPE, 0.4)
    A = {
        "hadamard": operators.subsampled_hadamard(jax.random.key(0), 154, SHAPE),
        "mask": operators.mask(mask),
        "fourier": operators.subsampled_fourier(mask, real=True),
    }[kind]
    batch = problems.image(photo, A, **settings).batch(_keys(200))
    seen = np.ones(154, bool) if kind == "hadamard" else np.asarray(mask)
    noise = np.asarray(batch.truth.noise)[:, seen]
    assert not np.asarray(batch.truth.noise)[:, ~seen].any()
    clean = np.asarray(A(photo))
    level = 0.3
    if "noise_db" in settings:
        level = np.sqrt(np.sum(np.abs(clean) ** 2) / seen.sum()) / 10
    powers = np.abs(noise.reshape(-1)) ** 2
    standard_error = powers.std() / np.sqrt(powers.size)
    assert abs(powers.mean() - level**2) < 5 * standard_error
    assert np.allclose(np.asarray(batch.y), clean + np.asarray(batch.truth.noise), atol=1e-5)


def test_a_batch_shares_all_but_the_noise(photo):
    A = operators.subsampled_hadamard(jax.random.key(0), 100, SHAPE)
    family = problems.image(photo, A, noise_std=0.1)
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
    family = problems.image(photo, A, noise_db=10.0)
    key = jax.random.key(3)
    first, second = family.sample(key), jax.jit(lambda f, k: f.sample(k))(family, key)
    assert np.allclose(first.y, second.y, atol=1e-6)
    old_style = family.sample(jax.random.PRNGKey(3))
    assert np.array_equal(first.y, old_style.y)


def test_a_prior_moves_the_unknown_to_its_coefficients(photo):
    W = operators.wavelet(SHAPE, "db2", 2)
    A = operators.subsampled_hadamard(jax.random.key(0), 384, SHAPE)
    family = problems.image(photo, A, prior=W.H)
    problem = family.sample(jax.random.key(1))
    assert np.allclose(problem.truth.u, W(photo), atol=1e-5)
    assert np.allclose(problem.signal(problem.truth.u), photo, atol=1e-5)
    solution = ji.solve(
        ji.solvers.fista(penalty=1e-4), problem, family.initial(), tol=1e-5, max_steps=400
    )
    assert float(ji.metrics.nmse(solution.x, photo)) < 5e-3  # without the prior: 0.25


def test_nonlinear_operators_work(photo):
    A = operators.magnitude(operators.subsampled_hadamard(jax.random.key(0), 100, SHAPE))
    problem = problems.image(photo, A, noise_db=30.0).sample(jax.random.key(1))
    assert problem.y.shape == (100,)


def test_bad_input(photo):
    A = operators.identity(SHAPE)
    with pytest.raises(TypeError, match="image: operator must be an operator"):
        problems.image(photo, jnp.eye(3))
    with pytest.raises(ValueError, match=r"image: image must have shape \(16, 24\)"):
        problems.image(photo.T, A)
    with pytest.raises(ValueError, match="image: image must be finite, got 1 NaN"):
        problems.image(photo.at[0, 0].set(jnp.nan), A)
    with pytest.raises(ValueError, match="not both be set"):
        problems.image(photo, A, noise_db=20.0, noise_std=0.1)
    with pytest.raises(ValueError, match="noise_std must be finite and >= 0"):
        problems.image(photo, A, noise_std=-1.0)
    with pytest.raises(TypeError, match="prior must be a linear operator"):
        problems.image(photo, A, prior=lambda u: u)
    with pytest.raises(ValueError, match=r"prior must map to shape \(16, 24\)"):
        problems.image(photo, A, prior=operators.identity((3, 3)))
    with pytest.raises(ValueError, match="prior must reproduce the image"):
        problems.image(photo, A, prior=2.0 * operators.identity(SHAPE))
    with pytest.raises(TypeError, match="sample: key must be a JAX PRNG key"):
        problems.image(photo, A).sample(0)
