"""Learned regularization and penalties, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
KEY = jax.random.key(0)


def found_params():
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 4), "b": (5,), "c": (2, 2)}
    found = {}
    for offset, (name, shape) in enumerate(shapes.items()):
        shift = rng.normal(size=(6, *[1] * len(shape)))  # of each run
        found[name] = (rng.normal(size=(6, *shape)) + offset + shift).astype(DTYPE)
    return found


def one(params, index=0):
    return jax.tree.map(lambda leaf: leaf[index], params)


def test_the_diagonal_reading_is_a_gaussian_for_each_tensor():
    params = found_params()
    regularizer = ji.untrained.regularizer_from(params, 0.3)
    expected = sum(
        np.sum((np.asarray(leaf[0]) - np.mean(leaf)) ** 2) / np.var(leaf)
        for leaf in params.values()
    )
    np.testing.assert_allclose(regularizer(one(params)), 0.3 * expected, rtol=1e-5)
    # the mean of (w - mu)^2 / sigma^2 over everything it was learned from is one
    values = [float(regularizer(one(params, i))) / 0.3 for i in range(6)]
    np.testing.assert_allclose(np.mean(values), 12 + 5 + 4, rtol=1e-4)


def test_the_weights_reading_is_a_gaussian_for_each_weight():
    params = found_params()
    regularizer = ji.untrained.regularizer_from(params, 2.0, "weights")
    expected = 0.0
    for leaf in params.values():
        variance = np.var(leaf, 0) + 0.01 * np.var(leaf)
        expected += np.sum((np.asarray(leaf[1]) - np.mean(leaf, 0)) ** 2 / variance)
    np.testing.assert_allclose(regularizer(one(params, 1)), 2 * expected, rtol=1e-4)


def test_the_means_reading_is_what_the_sampling_of_the_published_code_estimates():
    params = found_params()
    leaves = [np.asarray(params[name], float) for name in ("a", "b", "c")]
    rng = np.random.default_rng(1)
    num_pulls = 200_000
    runs = rng.integers(6, size=num_pulls)
    pulls = np.stack(
        [leaf.reshape(6, -1)[runs, rng.integers(leaf[0].size, size=num_pulls)] for leaf in leaves]
    )
    mean, covariance = pulls.mean(axis=1), np.cov(pulls, bias=True)
    regularizer = ji.untrained.regularizer_from(params, 1.0, "means")
    np.testing.assert_allclose(regularizer.mean, mean, atol=0.02)
    np.testing.assert_allclose(np.linalg.inv(regularizer.precision), covariance, atol=0.04)
    gap = np.array([leaf[2].mean() for leaf in leaves]) - np.asarray(regularizer.mean)
    expected = gap @ np.asarray(regularizer.precision) @ gap
    np.testing.assert_allclose(regularizer(one(params, 2)), expected, rtol=1e-4)


@pytest.mark.parametrize("reading", ["diagonal", "means", "weights"])
def test_it_is_learned_from_measurements_and_pulls_a_fit(reading):
    rng = np.random.default_rng(2)
    A = ji.operators.gaussian(KEY, 60, 64, dtype=DTYPE)
    x = np.sin(np.linspace(0, 3, 64)) * rng.uniform(0.5, 1, (3, 1))
    problems = ji.Problem(A, jnp.asarray(x @ np.asarray(A.matrix).T, DTYPE))
    prior = ji.generators.deep_decoder((64,), 4, 1, extra_layer="none", dtype=DTYPE)
    options = {"num_steps": 40, "stop": None, "look_every": 20}
    learned = ji.untrained.learned_regularizer(
        KEY, prior, problems, axes=ji.Problem(None, 0), reading=reading, **options
    )
    one_problem = ji.Problem(A, problems.y[0])
    options["num_steps"] = 200  # Adam needs some to settle under a steep penalty
    free = ji.untrained.fit(KEY, prior, one_problem, regularizer=learned.scaled(0.0), **options)
    held = ji.untrained.fit(KEY, prior, one_problem, regularizer=learned.scaled(10.0), **options)
    value = learned.scaled(1.0)
    assert float(value(held.params)) < float(value(free.params))
    with pytest.raises(ValueError, match="learned from"):
        learned(jax.tree.map(lambda leaf: leaf[..., :2], held.params))


def test_total_variation_against_numpy():
    x = np.random.default_rng(3).normal(size=(5, 6, 2))
    down, right = np.diff(x, axis=0), np.diff(x, axis=1)
    expected = 0.7 * (np.abs(down).sum() + np.abs(right).sum())
    got = jax.jit(ji.untrained.total_variation(0.7))(x.astype(DTYPE))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    first = jax.jit(ji.untrained.total_variation(0.7, first_axis=1))(
        np.moveaxis(x, -1, 0).astype(DTYPE)
    )
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    down, right = np.pad(down, ((0, 1), (0, 0), (0, 0))), np.pad(right, ((0, 0), (0, 1), (0, 0)))
    isotropic = jax.jit(ji.untrained.total_variation(0.7, isotropic=True))(x.astype(DTYPE))
    np.testing.assert_allclose(isotropic, 0.7 * np.hypot(down, right).sum(), rtol=1e-5)
    slope = jax.jit(jax.grad(ji.untrained.total_variation(1.0, isotropic=True)))
    flat = slope(np.ones((4, 4), DTYPE))
    np.testing.assert_array_equal(flat, 0)


def test_bad_statistics_are_refused():
    with pytest.raises(ValueError, match="two fits"):
        ji.untrained.regularizer_from({"a": jnp.ones((1, 3))}, 1.0)
    with pytest.raises(ValueError, match="those of one fit"):  # all first axes are 4
        ji.untrained.regularizer_from(ji.generators.deep_decoder((16, 16), 4, 1).params, 1.0)
    with pytest.raises(ValueError, match=r"one number of fits in all tensors, got \[2, 3\]"):
        ji.untrained.regularizer_from({"a": jnp.ones((2, 3)), "b": jnp.ones((3, 3))}, 1.0)
    with pytest.raises(ValueError, match="reading must be one of"):
        ji.untrained.regularizer_from(found_params(), 1.0, "full")
    with pytest.raises(ValueError, match="weight"):
        ji.untrained.regularizer_from(found_params(), -1.0)
    prior, nothing = ji.generators.deep_decoder((64,), 4, 2), ji.Problem(None, None)
    with pytest.raises(ValueError, match="axes must be a Problem with y=0"):
        ji.untrained.learned_regularizer(KEY, prior, nothing, axes=nothing)
