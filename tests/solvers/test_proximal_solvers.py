"""ISTA and FISTA against scikit-learn, closed forms and the theorems' rates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import Lasso

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
COMPLEX = jnp.complex128 if X64 else jnp.complex64
EPS = float(jnp.finfo(DTYPE).eps)
KEY = jax.random.key(0)

M, N, PENALTY = 20, 40, 0.05


@functools.cache
def lasso_problem():
    family = ji.problems.sparse(M, N, num_nonzeros=4, snr_db=30, dtype=DTYPE)
    return jax.jit(family.sample)(KEY), family.initial(KEY)


def as_numpy(problem):
    return np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)


@functools.cache
def lasso_reference():
    """scikit-learn minimizes (1/2m)‖Ax − y‖² + alpha ‖x‖₁."""
    A, y = as_numpy(lasso_problem()[0])
    model = Lasso(alpha=PENALTY / M, fit_intercept=False, tol=1e-14, max_iter=1000000)
    return model.fit(A, y).coef_


def lasso_objective(x):
    A, y = as_numpy(lasso_problem()[0])
    x = np.asarray(x, np.float64)
    return 0.5 * np.sum((A @ x - y) ** 2) + PENALTY * np.sum(np.abs(x))


# --- ista and fista ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ji.solvers.ista, ji.solvers.fista])
def test_lasso_reaches_scikit_learn(make):
    problem, u0 = lasso_problem()
    sol = ji.solve(make(penalty=PENALTY), problem, u0)
    assert ji.Status(int(sol.status)) == ji.Status.CONVERGED
    best = lasso_objective(lasso_reference())
    assert lasso_objective(sol.u) <= best * (1 + 1e-5)
    np.testing.assert_allclose(sol.u, lasso_reference(), atol=1e-4)
    np.testing.assert_allclose(make(penalty=PENALTY).objective(problem, sol.u), best, rtol=1e-5)


def test_the_loss_is_the_objective_where_the_step_started():
    problem, u0 = lasso_problem()
    for make in (ji.solvers.ista, ji.solvers.fista):
        _, (info, u) = ji.trace(make(penalty=PENALTY), problem, u0, 12, measure=unknown)
        expected = [lasso_objective(v) for v in np.concatenate([u0[None], u[:-1]])]
        np.testing.assert_allclose(info.loss, expected, rtol=1e-5)


def unknown(problem, state):
    return state.u


def test_the_error_is_the_prox_gradient_mapping():
    problem, u0 = lasso_problem()
    A, y = as_numpy(problem)
    for step_size in (0.02, 0.1):
        solver = ji.solvers.ista(step_size, PENALTY)
        _, (info, u) = ji.trace(solver, problem, u0, 5, measure=unknown)
        before, after = np.asarray(u[3], np.float64), np.asarray(u[4], np.float64)
        expected = np.linalg.norm(after - before) / step_size / np.linalg.norm(A.T @ y)
        np.testing.assert_allclose(info.error[4], expected, rtol=1e-3)


def test_step_from_the_norm_is_safe_and_not_small():
    problem, u0 = lasso_problem()
    state = jax.jit(ji.solvers.fista(penalty=PENALTY).init)(problem, u0)
    largest = 1 / np.linalg.norm(as_numpy(problem)[0], 2) ** 2
    assert 0.93 * largest <= float(state.step_size) <= 1.0 * largest


def test_fista_iterates_are_those_of_the_paper():
    problem, u0 = lasso_problem()
    A, y = as_numpy(problem)
    step = 0.9 / np.linalg.norm(A, 2) ** 2
    x = previous = np.zeros(N)
    momentum, iterates = 1.0, []
    ahead = x
    for _ in range(30):
        v = ahead - step * A.T @ (A @ ahead - y)
        x = np.sign(v) * np.maximum(np.abs(v) - step * PENALTY, 0)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead, previous, momentum = x + (momentum - 1) / grown * (x - previous), x, grown
        iterates.append(x)
    solver = ji.solvers.fista(step, PENALTY, restart=False)
    _, (_, u) = ji.trace(solver, problem, u0, 30, measure=unknown)
    np.testing.assert_allclose(u, iterates, atol=300 * EPS)


def test_restart_drops_the_momentum_and_needs_fewer_steps():
    problem, u0 = lasso_problem()
    steps = {
        restart: int(
            ji.solve(ji.solvers.fista(penalty=PENALTY, restart=restart), problem, u0).num_steps
        )
        for restart in (True, False)
    }
    assert steps[True] < 0.8 * steps[False]


# A diagonal quadratic with many small eigenvalues: F(u_t) is Σ λ c² (1 − λ)^{2t} for gradient
# descent. With c² = λ^0.1 per log-spaced eigenvalue it falls like t^{-1.1}, and with momentum
# like t^{-2.2}: as slow as the theorems allow, up to the 0.1 that keeps ‖u*‖ finite.
SPECTRUM = np.geomspace(1e-7, 1, 300)
COEFFICIENTS = np.sqrt(SPECTRUM**0.1)


@functools.cache
def slow_traces():
    scale = jnp.asarray(np.sqrt(SPECTRUM), DTYPE)
    operator = ji.operators.mask(scale)
    problem = ji.Problem(operator, operator(jnp.asarray(COEFFICIENTS, DTYPE)))
    u0 = jnp.zeros(300, DTYPE)
    solvers = {
        "ista": ji.solvers.ista(1.0, 0.0),
        "fista": ji.solvers.fista(1.0, 0.0, restart=False),
    }
    return {k: np.asarray(ji.trace(s, problem, u0, 1001)[1].loss) for k, s in solvers.items()}


@pytest.mark.parametrize(("name", "slope"), [("ista", -1.1), ("fista", -2.2)])
def test_observed_rate(name, slope):
    loss = slow_traces()[name]
    steps = np.unique(np.geomspace(20, 1000, 60).astype(int))
    fitted = np.polyfit(np.log(steps), np.log(loss[steps]), 1)[0]
    assert abs(fitted - slope) < 0.12 * abs(slope)


def test_rates_of_the_theorems_bound_every_step():
    steps = np.arange(1, 1001)
    size = np.sum(COEFFICIENTS**2)  # L = 1, u0 = 0
    assert np.all(slow_traces()["ista"][1:] <= size / (2 * steps))
    assert np.all(slow_traces()["fista"][1:] <= 2 * size / (steps + 1) ** 2)


def test_nonnegative_least_squares_reaches_scipy():
    problem, u0 = lasso_problem()
    A, y = as_numpy(problem)
    A = A[:, :12]  # more rows than columns: one solution
    problem = ji.Problem(ji.operators.dense(jnp.asarray(A, DTYPE)), problem.y)
    sol = ji.solve(ji.solvers.fista(prox=ji.prox.box(0.0)), problem, u0[:12])
    np.testing.assert_allclose(sol.u, optimize.nnls(A, y)[0], atol=2e-5)


def test_complex_lasso_satisfies_the_optimality_conditions():
    operator = ji.operators.gaussian(KEY, M, N, dtype=COMPLEX)
    values = jax.random.normal(jax.random.key(1), (4,), COMPLEX)
    x = jnp.zeros(N, COMPLEX).at[jnp.array([3, 11, 20, 33])].set(values)
    problem = ji.Problem(operator, operator(x))
    sol = ji.solve(ji.solvers.fista(penalty=PENALTY), problem, jnp.zeros(N, COMPLEX))
    assert int(sol.status) == ji.Status.CONVERGED
    A = np.asarray(operator.matrix, np.complex128)
    u = np.asarray(sol.u, np.complex128)
    correlation = A.conj().T @ (np.asarray(problem.y) - A @ u)
    active = u != 0
    assert 0 < active.sum() < N
    phase = u[active] / np.abs(u[active])
    np.testing.assert_allclose(correlation[active], PENALTY * phase, atol=1e-4)
    assert np.all(np.abs(correlation[~active]) <= PENALTY * (1 + 1e-4))


def test_synthesis_with_an_orthogonal_prior_has_the_closed_form():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    y = np.random.default_rng(1).normal(size=8)
    prior = ji.operators.dense(jnp.asarray(rotation, DTYPE)).H
    problem = ji.Problem(ji.operators.identity((8,)), jnp.asarray(y, DTYPE), prior)
    sol = ji.solve(ji.solvers.fista(penalty=0.3), problem, jnp.zeros(8, DTYPE))
    coefficients = rotation @ y
    shrunk = np.sign(coefficients) * np.maximum(np.abs(coefficients) - 0.3, 0)
    np.testing.assert_allclose(sol.u, shrunk, atol=1e-5)
    np.testing.assert_allclose(sol.x, rotation.T @ shrunk, atol=1e-5)


def test_imaginary_parts_that_a_real_model_cannot_explain_change_nothing():
    problem, u0 = lasso_problem()
    turned = problem._replace(y=problem.y + 1j * problem.y[::-1])
    for make in (ji.solvers.ista, ji.solvers.fista):
        solver = make(0.05, PENALTY)
        state = solver.init(turned, u0)  # step by step: the loops refuse such measurements
        for _ in range(3):
            state, _ = solver.step(turned, state)
        expected, _ = ji.trace(solver, problem, u0, 3)
        np.testing.assert_allclose(state.u, expected.u, atol=20 * EPS)


def shift(x):
    return jnp.tanh(x) + x


def test_a_model_that_is_not_linear_is_stepped_by_its_gradient():
    prior = ji.generators.from_function(apply_shift, None, in_shape=(N,))
    problem, u0 = lasso_problem()
    problem = problem._replace(prior=prior, y=problem.operator(shift(problem.truth.x)))
    losses = {}
    for make in (ji.solvers.ista, ji.solvers.fista):
        solver = make(0.02, 1e-3)
        state, info = ji.trace(solver, problem, u0, 200)
        assert float(info.loss[-1]) < 0.05 * float(info.loss[0])
        losses[make] = float(info.loss[-1])
        np.testing.assert_allclose(
            solver.step(problem, state)[1].loss, solver.objective(problem, state.u), rtol=1e-5
        )
    assert losses[ji.solvers.fista] < losses[ji.solvers.ista]
    assert float(ji.solvers.ista(penalty=0.1).init(problem, u0).step_size) < 0.25


def apply_shift(params, x):
    return shift(x)


def test_total_variation_denoising_is_its_proximal_operator():
    y = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), DTYPE)
    problem = ji.Problem(ji.operators.identity((3, 4)), y)
    solver = ji.solvers.fista(1.0, prox=ji.prox.tv(0.4, num_steps=2))
    state, _ = ji.trace(solver, problem, jnp.zeros((3, 4), DTYPE), 150)  # warm starts add up
    np.testing.assert_allclose(state.u, ji.prox.tv(0.4, num_steps=500)(y), atol=1e-4)
