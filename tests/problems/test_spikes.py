"""Spiked matrices of rank above one, against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats

import jaxinv as ji

RNG = np.random.default_rng(0)
ROWS, OTHER = RNG.normal(size=(2, 2, 5)).astype(floats())
M = RNG.normal(size=(5, 5)).astype(floats())
M = M + M.T


def dense(x):
    return 0.25 * np.sum(np.square(x.T @ x - M))


def test_the_loss_of_several_spikes_is_that_of_the_matrix():
    held = ji.Problem(ji.operators.outer(5, rank=2), jnp.asarray(M))
    loss, gradient = ji.problems.loss_and_gradient(held, jnp.asarray(ROWS))
    np.testing.assert_allclose(loss, dense(ROWS), rtol=1e-5)
    x, step = ROWS.astype(float), 1e-5
    units = step * np.eye(10).reshape(10, 2, 5)
    expected = [(dense(x + unit) - dense(x - unit)) / (2 * step) for unit in units]
    np.testing.assert_allclose(np.ravel(gradient), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(held.operator(ROWS), ROWS.T @ ROWS, rtol=1e-5, atol=1e-6)
    # Gauss-Newton of ½‖(xᵀx − M)/√2‖²
    tangents = np.stack([unit.T @ x + x.T @ unit for unit in units]).reshape(10, 25) / step
    by_vector = ji.problems._problem.by_vector(held)
    for y in (by_vector.y, ji.operators.dense(M)):
        slope = by_vector.misfit.gradient(jnp.asarray(ROWS), y)
        np.testing.assert_allclose(slope, gradient, rtol=1e-4, atol=1e-5)
        curved = by_vector.misfit.curvature(jnp.asarray(ROWS), y, jnp.asarray(OTHER))
        expected = 0.5 * tangents @ tangents.T @ OTHER.ravel()
        np.testing.assert_allclose(np.ravel(curved), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [None, 2000])
def test_two_spikes_are_recovered_up_to_their_order(size):
    # without noise a sample covariance has that of the two factors, off by √(3/N) of its size
    model, goal = ("wigner", 1e-4) if size is None else ("wishart", 4 * np.sqrt(3 / size))
    family = ji.problems.spiked((3, 40, 60), size, model=model, noise_std=0.0, rank=2)
    of_matrix, of_rows, norms, _ = solved(family, 6)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)
    assert np.max(of_matrix) < goal
    assert np.max(of_rows) < goal


def test_spikes_of_one_linear_piece_are_known_up_to_a_mixture_only():
    family = ji.problems.spiked((2, 20, 30), noise_std=0.0, rank=2)
    of_matrix, of_rows, _, in_one_piece = solved(family, 12)
    assert np.max(of_matrix) < 1e-3
    np.testing.assert_array_equal(of_rows > 1e-3, in_one_piece)
    assert 0 < np.sum(in_one_piece) < 6


def solved(family, num_trials):
    """Return the errors of the matrix and of the rows, their norms, whether pieces are the same."""
    solver = ji.solvers.levenberg_marquardt(num_restarts=8)

    def trial(key):
        problem = family.sample(key)
        found = ji.solve(solver, problem, family.initial(key, 8), max_steps=100).x
        truth = problem.truth.x
        orders = jnp.stack([found, found[::-1]])
        errors = jax.vmap(lambda x: ji.metrics.relative_error(x, truth))(orders)
        signs = problem.prior.params[0] @ problem.truth.u.T > 0
        return (
            ji.metrics.outer_error(found, truth),
            jnp.min(errors),
            jnp.linalg.norm(truth, axis=1),
            jnp.all(signs[:, 0] == signs[:, 1]),
        )

    keys = jax.random.split(jax.random.key(0), num_trials)
    return jax.jit(lambda keys: jax.lax.map(trial, keys))(keys)


def test_a_sample_covariance_of_two_spikes_is_their_sum_on_average():
    family = ji.problems.spiked((2, 8), 6, model="wishart", noise_std=0.5, rank=2)

    def gap(key):
        problem = family.sample(key)
        return problem.y.todense() - problem.operator(problem.truth.x)

    gaps = np.asarray(jax.jit(jax.vmap(gap))(jax.random.split(jax.random.key(1), 400)), float)
    assert np.max(np.abs(gaps.mean(0)) / gaps.std(0)) * 20 < 4.5


def test_a_given_generator_has_several_spikes_and_no_square_array_is_made():
    G = ji.generators.relu(jax.random.key(2), (3, 20, 211))
    family = ji.problems.spiked(generator=G, num_measurements=9, model="wishart", rank=2)
    solver = ji.solvers.levenberg_marquardt(num_restarts=2)

    def solved(key):
        return ji.solve(solver, family.sample(key), family.initial(key, 2), max_steps=5).x

    made = jax.make_jaxpr(solved)(jax.random.key(0))
    assert made.out_avals[0].shape == (2, 211)
    assert "211,211" not in str(made)


def test_copies_are_of_one_latent_each():
    one = ji.generators.relu(jax.random.key(0), (3, 4), dtype=floats())
    G = ji.generators.copies(one, 2)
    z = RNG.normal(size=(2, 3)).astype(floats())
    np.testing.assert_allclose(jax.jit(G)(z), jnp.stack([one(z[0]), one(z[1])]), rtol=1e-5)
    np.testing.assert_allclose(G.jacobian(z), jax.jacfwd(G)(jnp.asarray(z)), rtol=1e-5)
    held = ji.Problem(ji.operators.identity((2, 4)), jnp.zeros((2, 4)), G)
    np.testing.assert_allclose(ji.problems.jacobian(held, z), G.jacobian(z), rtol=1e-5)
    expected = [z, z * [[-1], [1]], z * [[1], [-1]]]
    np.testing.assert_allclose(G.reflections(jnp.asarray(z)), expected, rtol=1e-6)
    assert float(G.energy(z)) == pytest.approx(0.5 * np.sum(z**2), rel=1e-5)


def test_the_error_of_outer_products_is_that_of_the_matrices():
    truth = ROWS.T @ ROWS
    expected = np.linalg.norm(OTHER.T @ OTHER - truth) / np.linalg.norm(truth)
    for scale in (1.0, np.asarray(1e-18, floats()), np.asarray(1e18, floats())):
        error = ji.metrics.outer_error(scale * OTHER, scale * ROWS)
        assert float(error) == pytest.approx(expected, rel=1e-5)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]], floats())
    assert ji.metrics.outer_error(turn @ ROWS, ROWS) < 1e-6
    one, other = ROWS[0], OTHER[0]
    expected = np.linalg.norm(np.outer(other, other) - np.outer(one, one)) / np.sum(one**2)
    assert float(ji.metrics.outer_error(-other, one)) == pytest.approx(expected, rel=1e-5)


def test_the_spectral_start_is_of_one_spike():
    family = ji.problems.spiked((3, 8, 9), rank=2)
    problem, u0 = family.sample(jax.random.key(0)), family.initial(jax.random.key(0))
    with pytest.raises(ValueError, match=r"operators\.outer of rank 1, got one of rank 2\. Use"):
        ji.solvers.spectral_start(problem, u0)
