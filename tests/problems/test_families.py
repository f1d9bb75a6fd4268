"""Families of one's own: signals, generators, classes; and what is no family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxinv as ji

DTYPE = jnp.result_type(float)
KEYS = jax.random.split(jax.random.key(1), 400)
A = ji.problems.sparse(6, 8, dtype=DTYPE).sample(jax.random.key(0)).operator


@ji.pytree
class Own(ji.problems.Family):
    """A family with nothing but ``sample``."""

    scale: float

    def sample(self, key):
        x = self.scale * jax.random.normal(key, (8,), DTYPE)
        return ji.Problem(A, A(x), None, ji.problems.Truth(x, x))


@ji.pytree
class Without(ji.problems.Family):
    """A family that draws nothing."""

    scale: float


def test_a_class_with_sample_is_a_family():
    batch = Own(2.0).batch(KEYS[:5])
    assert batch.y.shape == (5, 6)
    assert batch.operator.matrix.shape == (5, 6, 8)  # nothing is shared unless axes says so
    np.testing.assert_allclose(batch.truth.x[3], Own(2.0).sample(KEYS[3]).truth.x)
    assert batch.truth.noise is None


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (Without(1.0), "family must have a method sample of its own, got Without"),
        (ji.problems.Family(), "sample of its own"),
        (A, "family must be a family of problems"),
        (Own, "family must be a family of problems"),
    ],
)
def test_what_is_no_family_is_refused_in_one_line(family, words):
    layers = ji.unfolded.lista(A, 2)
    for call in (
        lambda: ji.unfolded.fit(jax.random.key(0), layers, family, num_steps=1),
        lambda: ji.unfolded.evaluate(jax.random.key(0), layers, family, num_problems=4),
    ):
        with pytest.raises(TypeError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_every_signal_of_ones_own_is_drawn_equally_often():
    x = np.eye(8) * np.arange(1, 9)
    batch = jax.jit(ji.problems.from_arrays(A, x).batch)(KEYS)
    drawn = np.asarray(batch.truth.x)
    index = drawn.argmax(axis=1)
    np.testing.assert_array_equal(drawn, x[index])
    np.testing.assert_allclose(batch.y, drawn @ np.asarray(A.matrix).T, rtol=1e-5)
    assert stats.chisquare(np.bincount(index, minlength=8)).pvalue > 1e-3
    assert not np.asarray(batch.truth.noise).any()


def test_given_measurements_stay_with_their_signals():
    x, y = np.arange(24.0).reshape(3, 8), np.arange(18.0).reshape(3, 6)
    batch = jax.jit(ji.problems.from_arrays(A, x, y).batch)(KEYS[:50])
    index = np.asarray(batch.truth.x)[:, 0] / 8
    np.testing.assert_array_equal(np.asarray(batch.y)[:, 0], 6 * index)
    assert batch.truth.noise is None
    assert len(set(index)) == 3


def test_a_network_trains_on_ones_own_arrays():
    x = jax.random.normal(jax.random.key(3), (50, 8), DTYPE)
    x = jnp.where(jnp.abs(x) > 1, x, 0)
    family = ji.problems.from_arrays(A, x, noise_std=0.01)
    result = ji.unfolded.fit(
        jax.random.key(1), ji.unfolded.lista(A, 2), family,
        num_steps=20, batch_size=16, validation_size=32, validate_every=10,
    )  # fmt: skip
    assert np.min(result.history.validation) < result.history.validation[0]


def test_a_given_generator_is_shared_and_its_latents_are_normal():
    G = ji.generators.relu(jax.random.key(2), (3, 12, 16), dtype=DTYPE)
    family = ji.problems.generative(generator=G, num_measurements=10, dtype=DTYPE)
    batch = jax.jit(family.batch)(KEYS)
    assert batch.prior.params[0].shape == G.params[0].shape
    latents = np.asarray(batch.truth.u).ravel()
    assert stats.kstest(latents, "norm").pvalue > 0.01
    starts = np.asarray(jax.vmap(family.initial)(KEYS))
    assert stats.kstest(starts.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(starts.ravel(), latents)[0, 1]) < 4 / np.sqrt(latents.size)
    squares = 10 * np.asarray(batch.operator.matrix, float).ravel() ** 2
    assert abs(squares.mean() - 1) < 4 * squares.std() / np.sqrt(squares.size)


def test_measurements_of_a_given_generator_are_padded():
    G = ji.generators.relu(jax.random.key(2), (3, 12, 16), dtype=DTYPE)
    family = ji.problems.generative(generator=G, num_measurements=10, noise_std=0.5, dtype=DTYPE)
    y = jax.jit(lambda f, m: f.with_active(measurements=m).batch(KEYS[:20]))(family, 4)
    assert not np.asarray(y.y)[:, 4:].any()
    assert np.asarray(y.y)[:, :4].all()
    squares = 4 * np.asarray(y.operator.matrix, float)[:, :4].ravel() ** 2
    assert abs(squares.mean() - 1) < 4 * squares.std() / np.sqrt(squares.size)


def test_signals_of_several_axes_are_measured_row_by_row():
    G = ji.generators.from_function(
        lambda p, z: (p @ z).reshape(3, 4), jnp.ones((12, 2), DTYPE), in_shape=2
    )
    problem = ji.problems.generative(generator=G, num_measurements=5, dtype=DTYPE).sample(KEYS[0])
    matrix = problem.operator.todense()
    np.testing.assert_allclose(matrix @ problem.truth.x.reshape(-1), problem.y, rtol=1e-4)
    assert problem.truth.x.shape == (3, 4)
    plain = ji.problems.generative(generator=G, noise_std=0.1, dtype=DTYPE).sample(KEYS[0])
    assert plain.y.shape == (3, 4)


G = ji.generators.relu(jax.random.key(2), (3, 12, 16))
