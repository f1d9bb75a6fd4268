"""The energy of a prior as a penalty of Levenberg-Marquardt: against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal
from jax.tree_util import Partial

import jaxinv as ji

KEY = jax.random.key(4)
M, N, K = 12, 30, 6
EPS = float(jnp.finfo(floats()).eps)


def _times(matrix, z):
    return matrix @ z


def _weighted(weights, z):
    return 0.5 * jnp.sum(weights * z * z)


def _quartic(z):
    return jnp.sum(z**4 - 3 * z**2)


def _norms(z):
    return z


def problem(energy=None, factor=1.0):
    keys = jax.random.split(KEY, 3)
    matrix = normal(keys[0], (N, K))
    prior = ji.generators.from_function(_times, matrix, in_shape=K, energy=energy)
    operator = ji.operators.gaussian(keys[1], M, N, dtype=floats())
    return ji.Problem(operator, factor * normal(keys[2], (M,)), prior)


def jacobian(trial):
    return np.asarray(trial.operator.todense() @ trial.prior.params, float)


@pytest.mark.parametrize("penalty", [1e-3, 0.3, 10.0])
@pytest.mark.parametrize("weights", [None, np.arange(1.0, K + 1)])
def test_ridge_regression(penalty, weights):
    energy = None if weights is None else Partial(_weighted, jnp.asarray(weights, floats()))
    trial = problem(energy)
    solver = ji.solvers.levenberg_marquardt(latent_penalty=penalty)
    start = jnp.ones(K, floats())
    found = ji.solve(solver, trial, start)
    u = ji.trace(solver, trial, start, 40)[0].u  # solve stops at its tolerance, not at rounding
    J = jacobian(trial)
    curvature = np.eye(K) if weights is None else np.diag(weights)
    expected = np.linalg.solve(J.T @ J + penalty * curvature, J.T @ np.asarray(trial.y, float))
    assert int(found.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(u, expected, rtol=0, atol=100 * EPS * abs(expected).max())


def test_an_energy_that_is_not_convex_ends_where_the_gradient_vanishes():
    trial = problem(_quartic)
    solver = ji.solvers.levenberg_marquardt(latent_penalty=0.5, negate=False)
    found = ji.solve(solver, trial, jnp.full(K, 0.1, floats()))
    assert int(found.status) == ji.Status.CONVERGED
    slope = jax.grad(lambda u: solver.objective(trial, u))(found.u)
    first = jax.grad(lambda u: solver.objective(trial, u))(jnp.full(K, 0.1, floats()))
    assert jnp.linalg.norm(slope) < 1e-4 * jnp.linalg.norm(first)
    curvature = jax.hessian(lambda u: solver.objective(trial, u))(found.u)
    assert jnp.linalg.eigvalsh(curvature)[0] > 0  # a minimum


def test_no_penalty_is_the_program_without_one():
    trial = problem()
    plain, zero = ji.solvers.levenberg_marquardt(), ji.solvers.levenberg_marquardt(latent_penalty=0)
    assert jax.tree.structure(plain) == jax.tree.structure(zero)
    assert plain.objective(trial, jnp.ones(K, floats())) == trial.loss(jnp.ones(K, floats()))


@pytest.mark.parametrize("factor", [1e15, 1e-15])
def test_answers_do_not_depend_on_units(factor):
    solver = ji.solvers.levenberg_marquardt(latent_penalty=0.3)
    trial = problem()
    plain = ji.Problem(ji.operators.dense(trial.operator.todense() @ trial.prior.params), trial.y)
    start = jnp.ones(K, floats())
    here = ji.solve(solver, plain, start)
    there = ji.solve(solver, plain._replace(y=factor * plain.y), factor * start)
    assert int(there.status) == int(here.status)
    np.testing.assert_allclose(there.u / factor, here.u, rtol=1e-4, atol=1e-6)


def test_a_penalty_is_a_leaf_for_a_grid():
    trial, start = problem(), jnp.ones(K, floats())

    def size(penalty):
        solver = ji.solvers.levenberg_marquardt(latent_penalty=penalty)
        return jnp.linalg.norm(ji.solve(solver, trial, start).u)

    sizes = jax.vmap(size)(jnp.asarray([1e-3, 1.0, 1e3], floats()))
    assert sizes[0] > sizes[1] > sizes[2]


def test_energies_that_are_no_number_are_refused():
    solver = ji.solvers.levenberg_marquardt(latent_penalty=0.3)
    with pytest.raises(ValueError, match=r"prior\.energy must return one real number"):
        ji.solve(solver, problem(_norms), jnp.ones(K, floats()))


def _shifted(z):
    return 0.5 * jnp.sum((z - 3) ** 2)


@pytest.mark.parametrize("penalty", [5.0, 500.0])
@pytest.mark.parametrize("first", [0.1, 0.5])
def test_a_start_where_the_energy_is_concave_has_not_converged(penalty, first):
    trial, start = problem(_quartic), jnp.full(K, first, floats())
    solver = ji.solvers.levenberg_marquardt(latent_penalty=penalty, negate=False)
    found = ji.solve(solver, trial, start)
    slope = jax.grad(lambda u: solver.objective(trial, u))
    assert jnp.linalg.norm(slope(found.u)) < 1e-4 * jnp.linalg.norm(slope(start))
    assert solver.objective(trial, found.u) < solver.objective(trial, start)


def test_the_sign_test_compares_objectives():
    """The misfit prefers −2, an energy that is not even 3: at −u the misfit is always less."""
    trial = problem(_shifted)
    J = jacobian(trial)
    y = -2 * J.sum(1)
    penalty = 3 * np.linalg.norm(J, 2) ** 2
    solver = ji.solvers.levenberg_marquardt(latent_penalty=penalty)
    found = ji.solve(solver, trial._replace(y=jnp.asarray(y, floats())), jnp.ones(K, floats()))
    expected = np.linalg.solve(J.T @ J + penalty * np.eye(K), J.T @ y + 3 * penalty)
    assert int(found.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(found.u, expected, rtol=1e-5)


def test_flax_modules_and_functions_keep_the_energy_that_they_are_given():
    from flax import linen

    module, z = linen.Dense(5, param_dtype=floats()), jnp.ones(3, floats())
    given = ji.generators.from_flax(module, module.init(KEY, z), in_shape=3, energy=_quartic)
    plain = ji.generators.from_flax(module, module.init(KEY, z), in_shape=3)
    assert float(given.energy(z)) == -6
    assert float(plain.energy(z)) == 1.5
    assert float(jax.jit(lambda prior: prior.energy(z))(problem(_quartic).prior)) == -6
