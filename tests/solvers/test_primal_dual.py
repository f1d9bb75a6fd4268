"""Primal-dual splitting against closed forms and other solvers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import complexes, floats, normal

import jaxinv as ji

O = ji.operators
KEY = jax.random.key(2)
SHAPE = (6, 7)


def solve(solver, problem, u0, tol=2e-6, max_steps=20000):
    sol = ji.solve(solver, problem, u0, tol=tol, max_steps=max_steps)
    assert int(sol.status) == ji.Status.CONVERGED
    return sol


def tv(penalty, **kwargs):
    return ji.solvers.primal_dual(
        ji.prox.group(penalty, axis=0), O.finite_difference(SHAPE), **kwargs
    )


def objective(matrix, y, penalty, x):
    slopes = np.asarray(O.finite_difference(SHAPE) @ jnp.asarray(x))
    misfit = np.asarray(matrix, np.float64) @ np.asarray(x, np.float64).ravel() - np.asarray(y)
    return 0.5 * np.sum(misfit**2) + penalty * np.sum(np.sqrt(np.sum(slopes**2, 0)))


def test_total_variation_denoising_is_its_proximal_operator():
    noisy = normal(KEY, SHAPE)
    problem = ji.Problem(O.identity(SHAPE), noisy)
    found = solve(tv(0.3), problem, jnp.zeros(SHAPE, floats())).x
    np.testing.assert_allclose(found, ji.prox.tv(0.3, num_steps=3000)(noisy), atol=1e-4)


def test_total_variation_agrees_with_fista_and_no_neighbor_is_better():
    A = O.gaussian(KEY, 25, 42, dtype=floats())
    flat = A @ O.from_function(jnp.ravel, SHAPE, floats())
    y = A @ normal(jax.random.key(5), (42,))
    problem, start = ji.Problem(flat, y), jnp.zeros(SHAPE, floats())
    found = solve(tv(0.2), problem, start).x
    other = ji.solve(
        ji.solvers.fista(prox=ji.prox.tv(0.2, num_steps=100)), problem, start, tol=1e-5
    ).x
    np.testing.assert_allclose(found, other, atol=1e-2)
    least = objective(A.matrix, y, 0.2, found)
    assert least == pytest.approx(objective(A.matrix, y, 0.2, other), rel=1e-5)
    generator = np.random.default_rng(0)
    for size in (1e-1, 1e-2):
        for _ in range(20):
            nearby = found + size * generator.normal(size=SHAPE)
            assert objective(A.matrix, y, 0.2, nearby) > least


def test_one_step_pieces_are_merged_by_a_closed_form():
    # min ½‖u − y‖² + λ|u₁ − u₀|: both move by λ towards each other
    problem = ji.Problem(O.identity(2), jnp.array([1.0, 4.0], floats()))
    for penalty, expected in [(0.5, [1.5, 3.5]), (2.0, [2.5, 2.5])]:
        solver = ji.solvers.primal_dual(ji.prox.soft(penalty), O.finite_difference(2))
        found = solve(solver, problem, jnp.zeros(2, floats())).x
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_constraint_is_met_and_optimal():
    matrix = np.asarray(normal(KEY, (8, 6)))
    y = np.asarray(normal(jax.random.key(9), (8,)))
    problem = ji.Problem(O.dense(matrix), jnp.asarray(y))
    solver = ji.solvers.primal_dual(ji.prox.soft(0.0), O.identity(6), constraint=ji.prox.box(0.0))
    from scipy.optimize import nnls

    expected, _ = nnls(matrix.astype(float), y.astype(float))
    found = solve(solver, problem, jnp.zeros(6, floats())).x
    assert found.min() >= 0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_complex_images_and_every_balance_reach_one_solution():
    mask = O.fourier_lines(KEY, SHAPE, 2, 0.3)
    A = O.multicoil_mri(mask, O.coil_maps(SHAPE, 3))
    problem = ji.Problem(A, A @ normal(KEY, SHAPE, complexes()))
    start = jnp.zeros(SHAPE, complexes())
    found = [solve(tv(0.05, balance=b), problem, start, tol=1e-5).x for b in (0.1, 2.0)]
    assert found[0].dtype == complexes()
    np.testing.assert_allclose(found[0], found[1], atol=2e-3)


def test_units_do_not_matter():
    A = O.gaussian(KEY, 20, 24, dtype=floats())
    y = A @ normal(KEY, (24,))
    steps = []
    for unit in (1.0, 1e3):
        solver = ji.solvers.primal_dual(ji.prox.soft(0.1 * unit**3), O.finite_difference(24))
        problem = ji.Problem(unit * A, unit * y * unit)
        sol = solve(solver, problem, jnp.zeros(24, floats()), tol=1e-4)
        steps.append((int(sol.num_steps), sol.x / unit))
    assert abs(steps[0][0] - steps[1][0]) <= 2 + 0.02 * steps[0][0]
    np.testing.assert_allclose(steps[0][1], steps[1][1], atol=1e-2)


def test_problems_that_do_not_fit_are_refused():
    problem = ji.Problem(O.identity(5), jnp.ones(5))
    with pytest.raises(ValueError, match=r"u0 must have shape \(6, 7\)"):
        ji.solve(tv(0.1), problem, jnp.zeros(5))
    bent = ji.Problem(O.magnitude(O.identity(SHAPE)), jnp.ones(SHAPE))
    with pytest.raises(ValueError, match="linear operator"):
        ji.solve(tv(0.1), bent, jnp.ones(SHAPE))
