"""Least squares on a support against NumPy, and the oracle against its expected error."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
COMPLEX = jnp.complex128 if X64 else jnp.complex64
EPS = float(jnp.finfo(DTYPE).eps)
KEY = jax.random.key(0)
O = ji.operators

M, N = 20, 40


@functools.cache
def drawn():
    """A problem drawn by NumPy: the same one in float32 and float64."""
    rng = np.random.default_rng(0)
    A, truth = rng.normal(size=(M, N)) / np.sqrt(M), np.zeros(N)
    truth[[3, 11, 20, 38]] = 1.0, -2.0, 0.5, 1.5
    A, y, truth = (jnp.asarray(v, DTYPE) for v in (A, A @ truth + 0.1 * rng.normal(size=M), truth))
    return ji.Problem(O.dense(A), y, None, ji.problems.Truth(truth, truth, None))


def reference(A, y, mask):
    u = np.zeros(A.shape[1], A.dtype)
    u[mask] = np.linalg.lstsq(A[:, mask], y, rcond=None)[0]
    return u


def test_debias_equals_numpy_for_masks_and_estimates_in_a_batch():
    problem = drawn()
    A, y = np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)
    masks = np.random.default_rng(0).random((6, N)) < np.linspace(0.02, 0.4, 6)[:, None]
    masks[0] = False
    debias = jax.jit(jax.vmap(ji.solvers.debias, in_axes=(None, 0)))
    got = debias(problem, jnp.asarray(masks))
    for u, mask in zip(got, masks, strict=True):
        np.testing.assert_allclose(u, reference(A, y, mask), atol=500 * EPS)
        np.testing.assert_array_equal(u[~mask], 0)
    estimates = jnp.where(masks, -0.3, 0).astype(DTYPE)
    np.testing.assert_array_equal(debias(problem, estimates), got)


def test_debias_of_more_entries_than_measurements_has_least_norm():
    problem = drawn()
    A, y = np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)
    mask = np.arange(N) < 30
    expected = reference(A, y, mask)  # lstsq returns the solution of least norm
    np.testing.assert_allclose(ji.solvers.debias(problem, mask), expected, atol=5000 * EPS)


def test_debias_is_accurate_on_an_ill_conditioned_support():
    rng = np.random.default_rng(1)
    left, _ = np.linalg.qr(rng.normal(size=(30, 12)))
    right, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    A = jnp.asarray(left * np.geomspace(1, 1e-2, 12) @ right, DTYPE)
    y = jnp.asarray(rng.normal(size=30), DTYPE)
    got = ji.solvers.debias(ji.Problem(O.dense(A), y), np.ones(12, bool))
    expected = reference(np.asarray(A, np.float64), np.asarray(y, np.float64), np.ones(12, bool))
    # the solution itself moves by about kappa² eps when A does
    np.testing.assert_allclose(got, expected, atol=2e4 * EPS * np.linalg.norm(expected))


def test_debias_takes_operators_priors_images_and_complex_numbers():
    shape = (6, 6)
    rng = np.random.default_rng(2)
    mask = O.mask(jnp.asarray(rng.random(shape) < 0.7))
    prior = O.dct(shape).H
    support = rng.random(shape) < 0.3
    y = jnp.asarray(rng.normal(size=shape), DTYPE)
    A = np.asarray((mask @ prior).todense(), np.float64)
    expected = reference(A, np.asarray(y, np.float64).ravel(), support.ravel())
    got = ji.solvers.debias(ji.Problem(mask, y, prior), support)
    np.testing.assert_allclose(got, expected.reshape(shape), atol=1000 * EPS)
    operator = O.dense(jnp.asarray(rng.normal(size=(12, 20, 2)) @ (1, 1j) / 5, COMPLEX))
    y = jnp.asarray(rng.normal(size=(12, 2)) @ (1, 1j), COMPLEX)
    support = np.arange(20) < 5
    expected = reference(np.asarray(operator.matrix, np.complex128), np.asarray(y), support)
    got = ji.solvers.debias(ji.Problem(operator, y), support)
    np.testing.assert_allclose(got, expected, atol=1000 * EPS)


def test_zero_measurements_and_columns_are_harmless():
    problem = drawn()
    everything = np.ones(N, bool)
    np.testing.assert_array_equal(
        ji.solvers.debias(problem._replace(y=0 * problem.y), everything), 0
    )
    holed = problem._replace(operator=O.dense(problem.operator.matrix.at[:, :5].set(0)))
    got = ji.solvers.debias(holed, everything)
    assert np.all(np.isfinite(got))
    np.testing.assert_array_equal(got[:5], 0)


@jax.jit
def draw(family, keys):
    return family.batch(keys)


@jax.jit
@jax.vmap
def oracles(problem):
    return ji.solvers.oracle(problem)


@pytest.mark.parametrize("snr_db", [40.0, 20.0])
def test_the_oracle_has_its_expected_error(snr_db):
    m, s, trials = 50, 10, 400
    family = ji.problems.sparse(
        m, 100, num_nonzeros=s, snr_db=snr_db, unit_columns=False, dtype=DTYPE
    )
    problems = draw(family, jax.random.split(KEY, trials))
    u = np.asarray(oracles(problems), np.float64)
    x = np.asarray(problems.truth.x, np.float64)
    np.testing.assert_array_equal(u != 0, x != 0)
    errors, expected = np.sum((u - x) ** 2, axis=1), np.empty(trials)
    for index, matrix in enumerate(np.asarray(problems.operator.matrix, np.float64)):
        columns = matrix[:, x[index] != 0]
        variance = np.sum((matrix @ x[index]) ** 2) / m * 10 ** (-snr_db / 10)
        expected[index] = variance * np.trace(np.linalg.inv(columns.T @ columns))
    ratio = errors / expected  # mean 1 whatever the draw of A and x
    assert abs(np.mean(ratio) - 1) < 4 * np.std(ratio) / np.sqrt(trials)
    measured = 10 * np.log10(np.sum(errors) / np.sum(x**2))
    formula = -snr_db + 10 * np.log10(s / m / (1 - s / m))
    spread = np.std(errors) / np.mean(errors) / np.sqrt(trials)
    # exact is s / (m − s − 1) in place of s / (m − s): 0.11 dB
    assert abs(measured - formula - 0.11) < 4 * 4.34 * spread
