"""Solvers against independent references: closed forms, SciPy, scikit-learn, NumPy loops, rates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize

import jaxinv as ji
from jaxinv.generators._relu import Relu
from jaxinv.solvers import _piece

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
KEY = jax.random.key(0)

M, N, PENALTY = 20, 40, 0.05


@functools.cache
def lasso_problem():
    family = ji.problems.sparse(M, N, num_nonzeros=4, snr_db=30, dtype=DTYPE)
    return jax.jit(family.sample)(KEY), family.initial(KEY)


def as_numpy(problem):
    return np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)


# --- gradient -----------------------------------------------------------------------------------


def ridge(u):
    return 0.5 * 0.3 * jnp.sum(jnp.square(u))


def weighted_ridge(weight, u):
    return 0.5 * weight * jnp.sum(jnp.square(u))


SGD = optax.sgd(0.15)


@pytest.mark.parametrize(
    "solver",
    [
        ji.solvers.gradient(SGD, ridge),
        ji.solvers.gradient(SGD, jax.tree_util.Partial(weighted_ridge, 0.3)),
        ji.solvers.gradient(optax.lbfgs(), ridge),
    ],
    ids=["sgd", "partial", "lbfgs"],
)
def test_ridge_regression_has_the_closed_form(solver):
    problem, u0 = lasso_problem()
    A, y = as_numpy(problem)
    exact = np.linalg.solve(A.T @ A + 0.3 * np.eye(N), A.T @ y)
    sol = ji.solve(solver, problem, u0, max_steps=2000)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(sol.u, exact, atol=1e-5)


def test_gradient_is_the_loop_that_one_writes_with_optax():
    problem, u0 = lasso_problem()
    A, y = (jnp.asarray(part, DTYPE) for part in as_numpy(problem))
    transform = optax.adam(0.05)
    u, optimizer = u0, transform.init(u0)
    for _ in range(5):
        updates, optimizer = transform.update(A.T @ (A @ u - y), optimizer, u)
        u = optax.apply_updates(u, updates)
    state, _ = ji.trace(ji.solvers.gradient(transform), problem, u0, 5)
    np.testing.assert_allclose(state.u, u, atol=100 * EPS)


INJECTED = optax.inject_hyperparams(optax.adam)(learning_rate=0.1)


def test_a_grid_of_rates_is_one_vmap():
    problem, u0 = lasso_problem()
    rates = jnp.array([0.003, 0.03, 0.3], DTYPE)

    def run(rate):
        solver = ji.solvers.gradient(INJECTED, hyperparams={"learning_rate": rate})
        return ji.trace(solver, problem, u0, 20)[0].u

    batch = jax.vmap(run)(rates)
    for rate, u in zip((0.003, 0.03, 0.3), batch, strict=True):
        alone, _ = ji.trace(ji.solvers.gradient(optax.adam(rate)), problem, u0, 20)
        np.testing.assert_allclose(u, alone.u, atol=500 * EPS)


def test_unknown_hyperparameters_are_refused():
    problem, u0 = lasso_problem()
    solver = ji.solvers.gradient(INJECTED, hyperparams={"learning_rte": 0.1})
    with pytest.raises(ValueError, match="hyperparams must be injected by optax"):
        ji.trace(solver, problem, u0, 1)


def decode(params, z):
    return params["out"] @ jnp.tanh(params["in"] @ z)


def test_the_unknown_can_be_a_tree_of_parameters():
    generator = np.random.default_rng(0)
    params = {
        "in": jnp.asarray(generator.normal(size=(30, 3)), DTYPE),
        "out": jnp.asarray(generator.normal(size=(N, 30)) / 6, DTYPE),
    }
    prior = ji.generators.from_function(decode, params).untrained(jnp.ones(3, DTYPE))
    problem, _ = lasso_problem()
    problem = problem._replace(prior=prior)
    solver = ji.solvers.gradient(optax.adam(0.02))
    sol = ji.solve(solver, problem, prior.params, tol=1e-4, max_steps=1500)
    assert float(problem.loss(sol.u)) < 1e-6 * float(0.5 * jnp.sum(problem.y**2))
    assert jax.tree.structure(sol.u) == jax.tree.structure(params)


def bumps(params, z):
    """Two basins: near z = 1 (the better) and near z = −1."""
    return jnp.stack([z * z - 1, 0.3 * (z - 1)])


@pytest.mark.skipif(not X64, reason="there is one floating type without x64")
@pytest.mark.parametrize("solver", [ji.solvers.ista(0.1, 0.1), ji.solvers.lasso(0.1)])
def test_a_start_of_less_precision_than_the_measurements_is_raised_to_theirs(solver):
    A = ji.operators.dense(np.random.default_rng(0).normal(size=(6, 9)))
    problem = ji.Problem(A, jnp.ones(6))
    found = ji.solve(solver, problem, jnp.zeros(9, jnp.float32), max_steps=5)
    assert found.u.dtype == jnp.float64
    np.testing.assert_array_equal(found.u, ji.solve(solver, problem, jnp.zeros(9), max_steps=5).u)


def test_restarts_keep_the_lowest_objective():
    prior = ji.generators.from_function(bumps, None)
    problem = ji.Problem(ji.operators.identity((2,)), jnp.zeros(2, DTYPE), prior)
    starts = jnp.array([-1.5, 0.5, -0.7], DTYPE)
    plain = ji.solve(ji.solvers.gradient(SGD, num_restarts=3), problem, starts)
    np.testing.assert_allclose(plain.u, 1.0, atol=1e-3)
    # a penalty that prefers the other basin decides, though its misfit is larger
    solver = ji.solvers.gradient(SGD, prefer_negative, num_restarts=3)
    penalized = ji.solve(solver, problem, starts)
    assert float(penalized.u) < -0.8


def prefer_negative(z):
    return 0.5 * jax.nn.relu(z)


# --- Levenberg-Marquardt and subgradient descent --------------------------------------------------


@functools.cache
def generative_problem(**options):
    family = ji.problems.generative((3, 30, 30), 15, dtype=DTYPE, **options)
    return jax.jit(lambda key: (family.sample(key), family.initial(key)))(jax.random.key(1))


def _relu(weights, z):
    return Relu(weights)(z)


def as_function(problem):
    """Return a problem of whose network nothing is known: all its steps are dense."""
    params, (size,) = problem.prior.params, problem.prior.in_shape
    prior = ji.generators.from_function(_relu, params, in_shape=size)
    return problem._replace(prior=prior)


def relu_network(weights, z):
    for weight in weights:
        z = np.maximum(weight @ z, 0)
    return z


@functools.cache
def numpy_model():
    problem, u0 = generative_problem(noise_norm=0.02)
    A, y = as_numpy(problem)
    return A, y, [np.asarray(w, np.float64) for w in problem.prior.params], np.asarray(u0, float)


def test_levenberg_marquardt_reaches_scipy():
    problem, u0 = generative_problem(noise_norm=0.02)
    A, y, weights, z0 = numpy_model()
    sol = ji.solve(ji.solvers.levenberg_marquardt(), problem, u0)
    assert int(sol.status) == ji.Status.CONVERGED
    found = [
        optimize.least_squares(
            lambda z: A @ relu_network(weights, z) - y, start, method="lm", xtol=1e-14, ftol=1e-14
        )
        for start in (z0, -z0)
    ]
    best = min(found, key=lambda result: result.cost)
    np.testing.assert_allclose(problem.loss(sol.u), best.cost, rtol=1e-4)
    np.testing.assert_allclose(sol.u, best.x, atol=1e-4)


@pytest.mark.parametrize(
    "solver", [ji.solvers.levenberg_marquardt(), ji.solvers.subgradient(0.3)], ids=["lm", "sub"]
)
def test_the_truth_is_a_fixed_point_without_noise(solver):
    problem, _ = generative_problem()
    state, info = ji.trace(solver, problem, problem.truth.u, 3)
    np.testing.assert_allclose(state.u, problem.truth.u, atol=20 * EPS)
    assert float(info.loss[-1]) < (20 * EPS) ** 2


def test_levenberg_marquardt_needs_few_steps_at_the_size_of_the_papers():
    family = ji.problems.generative((40, 700, 600), 300, dtype=DTYPE)
    run = jax.jit(lambda key: solve_by_lm(family.sample(key), family.initial(key)))
    for seed in range(2):
        sol, error = run(jax.random.key(seed))
        assert int(sol.status) == ji.Status.CONVERGED
        assert int(sol.num_steps) <= 14
        assert float(error) < 100 * EPS


def solve_by_lm(problem, u0):
    sol = ji.solve(ji.solvers.levenberg_marquardt(), problem, u0)
    return sol, ji.metrics.relative_error(sol.x, problem.truth.x)


def subgradient_loop(step, num_steps, negate, z0):
    """Algorithm 1: test the sign, then step along a subgradient."""
    A, y, weights, _ = numpy_model()
    z, iterates = z0, []
    for _ in range(num_steps):

        def loss(v):
            return 0.5 * np.sum((A @ relu_network(weights, v) - y) ** 2)

        if negate and loss(-z) < loss(z):
            z = -z
        slopes = np.eye(z.size)
        layer = z
        for weight in weights:
            layer = weight @ layer
            slopes = (weight @ slopes) * (layer > 0)[:, None]
            layer = np.maximum(layer, 0)
        z = z - step * slopes.T @ A.T @ (A @ layer - y)
        iterates.append(z)
    return np.array(iterates)


def unknown(problem, state):
    return state.u


@pytest.mark.parametrize("negate", [True, False, "stagnation"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kept", [False, True])
def test_subgradient_is_algorithm_1(negate, sign, kept):
    problem, u0 = generative_problem(noise_norm=0.02)
    problem = problem if kept else as_function(problem)
    assert _piece.pays(problem) == kept
    expected = subgradient_loop(0.3, 20, negate is not False, sign * numpy_model()[3])
    solver = ji.solvers.subgradient(0.3, negate)
    _, (_, u) = ji.trace(solver, problem, sign * u0, 20, measure=unknown)
    np.testing.assert_allclose(u, expected, atol=2000 * EPS)


def test_the_sign_test_makes_both_starts_one():
    both = [subgradient_loop(0.3, 20, True, sign * numpy_model()[3]) for sign in (1, -1)]
    np.testing.assert_array_equal(both[0], both[1])
    alone = [subgradient_loop(0.3, 20, False, sign * numpy_model()[3]) for sign in (1, -1)]
    assert np.max(np.abs(alone[0][0] - alone[1][0])) > 0.1


@pytest.mark.parametrize("widths", [(3, 30, 24), (3, 30, 16, 24)])
def test_a_kept_piece_stays_on_the_dense_path(widths):
    """Over 300 steps: past many switches of units, flips of the sign, and three renewals."""
    family = ji.problems.generative(widths, 18)
    key = jax.random.key(2)
    problem, u0 = family.sample(key), 3 * family.initial(key)
    solver = ji.solvers.subgradient(0.2)
    kept, dense = (
        ji.trace(solver, each, u0, 300, measure=unknown)[1][1]
        for each in (problem, as_function(problem))
    )
    np.testing.assert_allclose(kept, dense, atol=2e-4)
    state = solver.init(problem, u0)
    assert state.piece is not None
    for _ in range(3):
        state, _ = solver.step(problem, state)
    np.testing.assert_allclose(state.u, dense[2], atol=1e-5)


def test_subgradient_estimates_its_step():
    problem, u0 = generative_problem()
    J = np.asarray(ji.problems.jacobian(problem, u0), np.float64)
    state = jax.jit(ji.solvers.subgradient().init)(problem, u0)
    np.testing.assert_allclose(state.step_size, 1 / np.linalg.norm(J, 2) ** 2, rtol=0.05)


# --- constructors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.solvers.ista(-1.0, 0.1), "ista: step_size must be finite and > 0, got -1.0"),
        (lambda: ji.solvers.fista(0.0, 0.1), "fista: step_size"),
        (
            lambda: ji.solvers.ista(0.1),
            "penalty or prox must be given, one of the two, got neither",
        ),
        (lambda: ji.solvers.fista(0.1, 0.1, prox=ji.prox.soft(0.1)), "got both"),
        (lambda: ji.solvers.ista(0.1, -0.1), "ista: penalty must be finite and >= 0"),
        (lambda: ji.solvers.subgradient(0.1, "sometimes"), "negate must be one of"),
        (lambda: ji.solvers.subgradient(float("inf")), "step_size"),
        (lambda: ji.solvers.levenberg_marquardt(damping=0), "damping"),
        (lambda: ji.solvers.levenberg_marquardt(factor=1.0), "factor"),
        (lambda: ji.solvers.gradient(SGD, num_restarts=0), "num_restarts must be >= 1"),
    ],
)
def test_bad_values_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.solvers.ista(0.1, prox=abs), "prox must be a proximal operator"),
        (lambda: ji.solvers.gradient(0.1), "transform must be an optax transformation"),
        (lambda: ji.solvers.gradient(SGD, 0.1), "regularizer must be a function"),
        (lambda: ji.solvers.ista("0.1", 0.1), "step_size must be a real number"),
    ],
)
def test_bad_types_are_refused(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def _double(params, u):
    return 2 * u["a"] + params


def test_subgradient_estimates_its_step_for_a_tree():
    prior = ji.generators.from_function(_double, jnp.zeros(3))
    y = jnp.asarray([5.0, 6.0, 9.0])
    problem = ji.Problem(ji.operators.identity((3,)), y, prior)
    found = ji.solve(ji.solvers.subgradient(), problem, {"a": jnp.ones(3)})
    np.testing.assert_allclose(found.u["a"], y / 2, rtol=1e-5)
