"""Learned regularization and penalties, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
KEY = jax.random.key(0)


def trajectory(num_fits=4, channels=6):
    """Fits whose statistics are known: a mean that differs between them, a spread within.

    Every tensor is a mean of the fit plus a pattern of mean 0. The vectors' patterns are
    orthonormal columns, mixed by ``mixing``: their covariance is mixing mixingᵀ.
    """
    rng = np.random.default_rng(0)
    between = {name: rng.normal(size=num_fits) for name in ("gamma", "weight", "beta")}
    grid = 2 * np.pi * np.arange(channels) / channels
    patterns = np.sqrt(2) * np.stack([np.cos(grid), np.sin(grid)])  # mean 0, mean square 1
    mixing = np.array([[0.5, 0.0], [0.3, 0.4]])
    vectors = mixing @ patterns
    weight = 0.7 * np.tile([[1.0, -1.0], [-1.0, 1.0]], (2, channels // 2))  # variance 0.49
    found = {
        "gamma": between["gamma"][:, None] + vectors[0],
        "weight": between["weight"][:, None, None] + weight,
        "beta": between["beta"][:, None] + vectors[1],
    }
    within = np.zeros((3, 3))  # in the order of the tree: beta, gamma, weight
    within[:2, :2] = (mixing @ mixing.T)[::-1, ::-1]
    within[2, 2] = 0.49
    names = sorted(between)
    means = np.array([between[name].mean() for name in names])
    params = {name: jnp.asarray(leaf, DTYPE) for name, leaf in found.items()}
    return params, means, within, {name: between[name].var() for name in names}


def one(params, index=0):
    return jax.tree.map(lambda leaf: leaf[index], params)


EXACT = {"rtol": 1e-6, "atol": 1e-6}


def test_the_printed_reading_is_the_variance_within_a_fit():
    params, means, within, _ = trajectory()
    found = ji.untrained.regularizer_from(params, 0.3, "printed")
    np.testing.assert_allclose(found.mean, means, **EXACT)
    np.testing.assert_allclose(found.covariance, np.diag(within), **EXACT)
    own = [np.asarray(params[name][1]) for name in sorted(params)]
    gaps = [np.sum((leaf - mean) ** 2) for leaf, mean in zip(own, means, strict=True)]
    expected = 0.3 * np.sum(gaps / np.diag(within))
    np.testing.assert_allclose(found(one(params, 1)), expected, rtol=1e-5)


def test_the_released_reading_takes_vectors_whole_and_penalizes_means():
    params, means, within, _ = trajectory()
    found = ji.untrained.regularizer_from(params, 2.0, "released")
    np.testing.assert_allclose(found.mean, means, **EXACT)
    np.testing.assert_allclose(found.covariance, within, **EXACT)
    gap = np.array([np.mean(params[name][2]) for name in sorted(params)]) - means
    expected = 2 * gap @ np.linalg.inv(within) @ gap
    np.testing.assert_allclose(found(one(params, 2)), expected, rtol=1e-4)


def test_the_released_reading_is_what_the_sampling_of_the_published_code_estimates():
    params = trajectory()[0]
    leaves = [np.asarray(params[name], float).reshape(4, -1) for name in sorted(params)]
    rng, size, sums = np.random.default_rng(1), 6, np.zeros((3, 3))
    num_pulls = 40_000
    for run in rng.integers(4, size=num_pulls):
        pull = np.stack([leaves[0][run], leaves[1][run], rng.choice(leaves[2][run], size)])
        mean = pull.mean(axis=1)
        sums += pull @ pull.T / size - np.outer(mean, mean)
    found = ji.untrained.regularizer_from(params, 1.0, "released", num_samples=size)
    # vectors are not sampled: only the variance of the other tensors has the factor 1 - 1/S
    np.testing.assert_allclose(found.covariance, sums / num_pulls, atol=0.01)


def test_the_reading_per_weight_is_a_gaussian_for_each_weight():
    params, _, _, between = trajectory()
    found = ji.untrained.regularizer_from(params, 2.0, "per_weight")
    expected = 0.0
    for index, name in enumerate(sorted(params)):
        leaf = np.asarray(params[name], float)
        np.testing.assert_allclose(found.mean[index], leaf.mean(0), **EXACT)
        np.testing.assert_allclose(found.covariance[index], between[name], **EXACT)
        variance = between[name] + 0.01 * np.var(leaf)
        expected += np.sum((leaf[1] - leaf.mean(0)) ** 2 / variance)
    np.testing.assert_allclose(found(one(params, 1)), 2 * expected, rtol=1e-5)


def test_what_did_not_vary_is_not_penalized():
    params = {"a": jnp.ones((3, 4), DTYPE), "b": jnp.arange(12.0, dtype=DTYPE).reshape(3, 4)}
    for reading in ("printed", "released"):
        found = ji.untrained.regularizer_from(params, 1.0, reading)
        moved = {"a": 7 * params["a"][0], "b": params["b"][1]}
        np.testing.assert_allclose(found(moved), found(one(params, 1)), rtol=1e-5)


@pytest.mark.parametrize("reading", ["printed", "released"])
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
        ji.untrained.regularizer_from(trajectory()[0], 1.0, "full")
    with pytest.raises(ValueError, match="weight"):
        ji.untrained.regularizer_from(trajectory()[0], -1.0)
    prior, nothing = ji.generators.deep_decoder((64,), 4, 2), ji.Problem(None, None)
    with pytest.raises(ValueError, match="axes must be a Problem with y=0"):
        ji.untrained.learned_regularizer(KEY, prior, nothing, axes=nothing)
