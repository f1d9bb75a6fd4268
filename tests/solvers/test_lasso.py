"""The Lasso against scikit-learn, its optimality conditions and its own bounds."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso as Reference

import jaxinv as ji

M, N = 50, 100
EPS = float(jnp.finfo(jnp.result_type(float)).eps)
FAMILY = ji.problems.sparse(M, N, 0.1, 20.0, dtype=jnp.result_type(float))
ZERO = jnp.zeros(N)
TOL = 1e-5 if EPS > 1e-10 else 1e-10
PRECISE = """
import numpy as np, jax, jaxinv as ji
from sklearn.linear_model import lasso_path as reference_path
from test_lasso import FAMILY, M, ZERO, TOL, objective, reference
assert jax.config.jax_enable_x64 and TOL < 1e-9
problem = FAMILY.sample(jax.random.key(1))
for share in (0.5, 0.1, 0.02):
    penalty = share * ji.solvers.largest_penalty(problem)
    ours = ji.solve(ji.solvers.lasso(penalty), problem, ZERO, tol=TOL, max_steps=1000).u
    best = objective(problem, reference(problem, penalty), penalty)
    assert abs(objective(problem, ours, penalty) / best - 1) < 1e-6, share
path = ji.solvers.lasso_path(problem, num_penalties=20, smallest=1e-2, tol=TOL)
A, y = np.asarray(problem.operator.matrix), np.asarray(problem.y)
_, coefficients, _ = reference_path(A, y, alphas=np.asarray(path.penalties) / M, tol=1e-12)
for i, penalty in enumerate(path.penalties):
    best = objective(problem, coefficients[:, i], penalty)
    assert abs(objective(problem, path.u[i], penalty) / best - 1) < 1e-6, i
print("equal")
"""


def objective(problem, u, penalty):
    """Return the Lasso objective in float64 NumPy."""
    A, y, u = (np.asarray(v, np.float64) for v in (problem.operator.matrix, problem.y, u))
    return 0.5 * np.sum((A @ u - y) ** 2) + float(penalty) * np.abs(u).sum()


def gap(problem, u, penalty):
    """Return primal minus dual value in float64 NumPy, by their definitions, and ½‖y‖²."""
    A, y, u = (np.asarray(v, np.float64) for v in (problem.operator.matrix, problem.y, u))
    theta = y - A @ u
    theta = theta * min(1, float(penalty) / np.abs(A.T @ theta).max())
    at_zero = 0.5 * np.sum(y**2)
    return objective(problem, u, penalty) - at_zero + 0.5 * np.sum((y - theta) ** 2), at_zero


def reference(problem, penalty):
    """Return scikit-learn's solution to a gap far below the rounding of float32."""
    A, y = (np.asarray(v, np.float64) for v in (problem.operator.matrix, problem.y))
    model = Reference(alpha=float(penalty) / M, fit_intercept=False, tol=1e-12, max_iter=10**6)
    return model.fit(A, y).coef_


@pytest.fixture(scope="module")
def problem():
    return jax.jit(FAMILY.sample)(jax.random.key(0))


@pytest.mark.parametrize(
    ("share", "working_set"), [(0.5, None), (0.1, None), (0.01, None), (0.5, 24), (0.1, 24)]
)
def test_it_reaches_the_objective_of_scikit_learn(problem, share, working_set):
    penalty = share * ji.solvers.largest_penalty(problem)
    solver = ji.solvers.lasso(penalty, working_set=working_set)
    sol = ji.solve(solver, problem, ZERO, tol=TOL, max_steps=1000)
    assert int(sol.status) == ji.Status.CONVERGED
    absolute, at_zero = gap(problem, sol.u, penalty)
    assert absolute <= (TOL + 10 * EPS) * at_zero
    best = objective(problem, reference(problem, penalty), penalty)
    assert objective(problem, sol.u, penalty) <= best + (TOL + 10 * EPS) * at_zero
    assert float(ji.solvers.kkt_residual(problem, sol.u, penalty)) < 5 * TOL**0.5


def test_a_support_above_the_working_set_is_found_all_the_same(problem):
    penalty = 0.03 * ji.solvers.largest_penalty(problem)
    best = reference(problem, penalty)
    size = int(np.sum(best != 0)) - 3
    solver = ji.solvers.lasso(penalty, working_set=size)
    sol = ji.solve(solver, problem, ZERO, tol=1e-4, max_steps=1000)
    assert int(sol.status) == ji.Status.CONVERGED
    absolute, at_zero = gap(problem, sol.u, penalty)
    assert absolute <= 1.01e-4 * at_zero


def test_the_gap_bounds_the_suboptimality_and_has_its_definition(problem):
    penalty = 0.1 * ji.solvers.largest_penalty(problem)
    best = objective(problem, reference(problem, penalty), penalty)
    compute = jax.jit(lambda u: ji.solvers.duality_gap(problem, u, penalty))
    for index, size in enumerate((0.0, 0.01, 0.1, 1.0, 10.0)):
        noise = jax.random.normal(jax.random.key(index), (N,), ZERO.dtype)
        u = jnp.asarray(reference(problem, penalty), ZERO.dtype) + size * noise
        found, (expected, at_zero) = compute(u), gap(problem, u, penalty)
        scale = max(expected, at_zero)
        np.testing.assert_allclose(found.absolute, expected, rtol=2e-5, atol=30 * EPS * scale)
        np.testing.assert_allclose(found.relative, found.absolute / at_zero, rtol=1e-5)
        suboptimal = objective(problem, u, penalty) - best
        assert float(found.absolute) >= suboptimal - 30 * EPS * scale


@pytest.mark.parametrize("penalty", [0.0, 1e-9, 1e-7])
def test_a_penalty_near_zero_is_least_squares_and_its_gap_says_so(penalty):
    A = ji.operators.gaussian(jax.random.key(0), 30, 10, dtype=ZERO.dtype)
    y = jax.random.normal(jax.random.key(1), (30,), ZERO.dtype)
    sol = ji.solve(ji.solvers.lasso(penalty), ji.Problem(A, y), ZERO[:10], tol=1e-6)
    assert int(sol.status) == ji.Status.CONVERGED
    least = np.linalg.lstsq(np.asarray(A.todense(), float), np.asarray(y, float), rcond=None)[0]
    np.testing.assert_allclose(sol.u, least, atol=1e-5)
    # away from the solution the bound still holds: what counts as rounding hides no descent
    best = 0.5 * np.sum((A.todense() @ least - y) ** 2)
    for share in (0.0, 0.9, 0.999):
        u = jnp.asarray(share * least, ZERO.dtype)
        gap = ji.solvers.duality_gap(ji.Problem(A, y), u, penalty).absolute
        assert float(gap) > 0.99 * (float(ji.Problem(A, y).loss(u)) - best)


def test_kkt_residual_is_that_of_its_definition(problem):
    penalty = 0.1 * float(ji.solvers.largest_penalty(problem))
    A, y = (np.asarray(v, np.float64) for v in (problem.operator.matrix, problem.y))
    best = reference(problem, penalty)
    assert float(ji.solvers.kkt_residual(problem, best, penalty)) < 1e-5
    index = int(np.argmax(best))
    moved = best.copy()
    moved[index] += 0.2
    pull = A.T @ (y - A @ moved)
    worst = np.where(
        moved != 0, np.abs(pull - penalty * np.sign(moved)), np.maximum(np.abs(pull) - penalty, 0)
    ).max()
    found = ji.solvers.kkt_residual(problem, moved, penalty)
    np.testing.assert_allclose(found, worst / np.abs(A.T @ y).max(), rtol=1e-4)


def test_zero_measurements_give_zero(problem):
    nothing = problem._replace(y=0 * problem.y)
    for penalty in (0.0, 0.1):
        sol = ji.solve(ji.solvers.lasso(penalty), nothing, ZERO)
        assert (int(sol.status), int(sol.num_steps)) == (ji.Status.CONVERGED, 1)
        np.testing.assert_array_equal(sol.u, 0)
        assert float(sol.error) == 0
    assert float(ji.solvers.kkt_residual(nothing, ZERO, 0.1)) == 0
    path = ji.solvers.lasso_path(nothing, num_penalties=8)
    np.testing.assert_array_equal(path.u, 0)


@pytest.mark.parametrize("factor", [1.00001, 3.0])
def test_a_penalty_of_at_least_the_largest_gives_zero(problem, factor):
    penalty = factor * ji.solvers.largest_penalty(problem)
    start = jax.random.normal(jax.random.key(4), (N,), ZERO.dtype)
    sol = ji.solve(ji.solvers.lasso(penalty), problem, start, tol=TOL)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(sol.u, 0, atol=1e-3)
    np.testing.assert_array_equal(ji.solve(ji.solvers.lasso(penalty), problem, ZERO).u, 0)


def test_a_zero_column_stays_unused_and_repeated_columns_do_no_harm(problem):
    matrix = problem.operator.matrix.at[:, 7].set(0.0)
    matrix = matrix.at[:, 9].set(matrix[:, 8])
    changed = problem._replace(operator=ji.operators.dense(matrix))
    penalty = 0.1 * ji.solvers.largest_penalty(changed)
    sol = ji.solve(ji.solvers.lasso(penalty), changed, ZERO, tol=TOL)
    assert int(sol.status) == ji.Status.CONVERGED
    assert float(sol.u[7]) == 0
    best = objective(changed, reference(changed, penalty), penalty)
    assert objective(changed, sol.u, penalty) <= best + (TOL + 10 * EPS) * gap(changed, ZERO, 1)[1]


@pytest.mark.parametrize("shared", [False, True])
def test_vmap_over_problems_equals_a_loop(shared):
    operator = ji.operators.gaussian(jax.random.key(3), M, N, dtype=ZERO.dtype) if shared else None
    family = ji.problems.sparse(M, N, 0.1, operator=operator, dtype=ZERO.dtype)
    batch = family.batch(jax.random.split(jax.random.key(2), 4))

    def run(problem):
        penalty = 0.1 * ji.solvers.largest_penalty(problem)
        solver = ji.solvers.lasso(penalty, working_set=32, shared=shared)
        return ji.solve(solver, problem, ZERO, tol=TOL)

    found = jax.jit(jax.vmap(run, in_axes=(family.axes,)))(batch)
    assert np.all(found.status == ji.Status.CONVERGED)
    one = jax.jit(run)
    for index in range(4):
        axes = batch._replace(operator=None) if shared else batch
        single = jax.tree.map(lambda leaf, index=index: leaf[index], axes)
        single = single._replace(operator=operator) if shared else single
        np.testing.assert_allclose(found.u[index], one(single).u, atol=200 * EPS)


def test_the_path_equals_separate_solves(problem):
    path = ji.solvers.lasso_path(problem, num_penalties=8, smallest=0.01, tol=TOL)
    np.testing.assert_allclose(
        path.penalties,
        np.geomspace(1, 0.01, 8) * float(ji.solvers.largest_penalty(problem)),
        rtol=1e-5,
    )
    assert np.all(path.status == ji.Status.CONVERGED)
    assert np.all(path.gaps <= TOL)
    at_zero = gap(problem, ZERO, 1)[1]
    for penalty, u in zip(path.penalties, path.u, strict=True):
        best = objective(problem, reference(problem, penalty), penalty)
        assert abs(objective(problem, u, penalty) - best) <= (TOL + 10 * EPS) * at_zero
    own = ji.solvers.lasso_path(problem, path.penalties[2:4], tol=TOL)
    assert own.u.shape == (2, N)
    np.testing.assert_array_equal(own.penalties, path.penalties[2:4])


def test_structured_operators_and_linear_priors_become_matrices():
    shape = (32,)
    wavelet = ji.operators.wavelet(shape, "haar", 2).H
    operator = ji.operators.gaussian(jax.random.key(0), 20, 32, dtype=ZERO.dtype)
    y = operator(wavelet(jnp.zeros(32).at[jnp.array([3, 9])].set(jnp.array([1.0, -2.0]))))
    penalty = 0.05
    through = ji.Problem(operator, y, wavelet)
    matrix = operator.matrix @ wavelet.todense()
    plain = ji.Problem(ji.operators.dense(matrix), y)
    found = [
        ji.solve(ji.solvers.lasso(penalty), p, jnp.zeros(32), tol=TOL) for p in (through, plain)
    ]
    assert all(int(sol.status) == ji.Status.CONVERGED for sol in found)
    values = [objective(plain, sol.u, penalty) for sol in found]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_float64_equals_scikit_learn_to_six_digits(pytestconfig):
    result = subprocess.run(
        [sys.executable, "-c", PRECISE],
        capture_output=True,
        text=True,
        cwd=pytestconfig.rootpath / "tests" / "solvers",
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        check=False,
    )
    assert result.stdout.strip() == "equal", result.stderr[-2000:]
