"""Decoders for measurements of which a share is arbitrary: medians of means, trimmed squares."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal
from jax import random

import jaxinv as ji

KEY = random.key(9)
BLOCK = 6


def struck_family():
    family = ji.problems.generative((3, 20, 24), 30, noise_norm=0.05, dtype=floats())
    problem = family.sample(KEY)
    return problem._replace(y=problem.y.at[jnp.array([4, 17])].set(2.0)), family.initial(KEY)


def in_numpy(problem, u, step_size, num_steps, rival):
    """Jalal et al., algorithm 1, with blocks in order and the sign test of the median loss."""
    weights = [np.asarray(W, float) for W in problem.prior.params]
    A, y = np.asarray(problem.operator.todense(), float), np.asarray(problem.y, float)

    def residual(u):
        return A @ np.maximum(weights[1] @ np.maximum(weights[0] @ u, 0), 0) - y

    def means(u):
        return np.mean(residual(u).reshape(-1, BLOCK) ** 2, 1)

    def median(values):
        return np.argsort(values, kind="stable")[(values.size - 1) // 2]

    def gradient(u, block):
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        hidden = weights[0] @ u
        mask = (weights[1] @ np.maximum(hidden, 0) > 0)[:, None]
        J = mask * (weights[1] @ ((hidden > 0)[:, None] * weights[0]))
        return y.size / BLOCK * (A[rows] @ J).T @ residual(u)[rows]

    v, iterates = u, []
    for _ in range(num_steps):
        u = -u if np.sort(means(-u))[2] < np.sort(means(u))[2] else u
        following = u - step_size * gradient(u, median(means(u) - rival * means(v)))
        if rival:
            v = v - step_size * gradient(v, median(means(following) - means(v)))
        u = following
        iterates.append(u)
    return u, v, np.mean(iterates, 0)


@pytest.mark.parametrize("rival", [False, True])
def test_median_descent_is_the_loop_in_numpy(rival):
    problem, u0 = struck_family()
    solver = ji.solvers.median_descent(0.1, BLOCK, rival=rival, shuffle=False)
    state, _ = ji.trace(solver, problem, u0, 12)
    latest, opponent, mean = in_numpy(problem, np.asarray(u0, float), 0.1, 12, rival)
    np.testing.assert_allclose(state.latest, latest, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(state.u, mean, rtol=1e-3, atol=1e-5)
    if rival:
        np.testing.assert_allclose(state.rival, opponent, rtol=1e-3, atol=1e-5)


def test_five_percent_of_outliers_cost_a_median_of_means_less_than_half_of_the_error():
    family = ji.problems.generative((3, 20, 24), 60, noise_norm=0.05, dtype=floats())
    S = ji.solvers

    def errors(key):
        clean, u0 = family.sample(key), family.initial(key, 4)
        struck = clean._replace(y=clean.y.at[:3].set(2.0))
        squares = S.levenberg_marquardt(num_restarts=4)
        median = S.with_restarts(S.median_descent(0.1, BLOCK), 4)
        runs = ((squares, clean, 60), (squares, struck, 60), (median, struck, 1500))
        found = [ji.solve(one, p, u0, tol=1e-6, max_steps=steps).x for one, p, steps in runs]
        return jnp.stack([ji.metrics.relative_error(x, clean.truth.x) for x in found])

    clean, squares, median = jax.jit(lambda keys: jax.lax.map(errors, keys))(
        random.split(KEY, 16)
    ).T
    assert np.mean(squares) > 5 * np.mean(clean)
    assert np.mean(median) < 1.5 * np.mean(clean)


def test_trimmed_squares_are_the_best_of_all_subsets():
    matrix, y = normal(KEY, (8, 2)), normal(random.fold_in(KEY, 1), (8,)).at[3].add(9.0)
    J, data = np.asarray(matrix, float), np.asarray(y, float)
    fits = {}
    for kept in itertools.combinations(range(8), 6):
        rows = list(kept)
        u, losses = np.linalg.lstsq(J[rows], data[rows], rcond=None)[:2]
        fits[kept] = (float(losses[0]) / 2, u)
    kept, (loss, u) = min(fits.items(), key=lambda item: item[1][0])
    misfit = ji.misfits.trimmed(2 / 8)
    problem = ji.Problem(ji.operators.dense(matrix), y, misfit=misfit)
    solver = ji.solvers.levenberg_marquardt(num_restarts=8)
    sol = ji.solve(solver, problem, 3 * normal(random.fold_in(KEY, 2), (8, 2)))
    np.testing.assert_allclose(sol.u, u, atol=1e-4)
    np.testing.assert_allclose(problem.loss(sol.u), loss, rtol=1e-4)
    left_out = set(np.flatnonzero(misfit.outliers(problem.predict(sol.u), y)))
    assert left_out == set(range(8)) - set(kept)


def test_fewer_measurements_than_a_block_are_refused():
    problem, u0 = struck_family()
    with pytest.raises(ValueError, match=r"problem\.y must have at least block_size = 31"):
        ji.solve(ji.solvers.median_descent(0.1, 31), problem, u0)
