"""Optima of other libraries, outliers, units, and outer products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from cases import floats

import jaxinv as ji

LM = ji.solvers.levenberg_marquardt(negate=False)
RNG = np.random.default_rng(4)
MATRIX = RNG.normal(size=(60, 4))
TRUTH = np.array([1.0, -2.0, 0.5, 3.0])
Y = MATRIX @ TRUTH + 0.3 * RNG.standard_t(1.5, size=60)


def problem(y, misfit, matrix=MATRIX):
    operator = ji.operators.dense(jnp.asarray(matrix, floats()))
    return ji.Problem(operator, jnp.asarray(y, floats()), misfit=misfit)


@pytest.mark.parametrize("name", ["huber", "cauchy"])
@pytest.mark.parametrize("data", [1e-12, 1.0, 1e12])
def test_robust_losses_against_scipy_in_every_unit(name, data):
    misfit = ji.misfits.huber(0.4 * data) if name == "huber" else ji.misfits.student_t(0.4 * data)
    expected = scipy.optimize.least_squares(
        lambda u: MATRIX @ u - Y, np.zeros(4), loss=name, f_scale=0.4, xtol=1e-12, ftol=1e-12
    ).x
    sol = ji.solve(LM, problem(Y * data, misfit), jnp.zeros(4, floats()), max_steps=300)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(np.asarray(sol.u) / data, expected, atol=2e-4)
    if name == "huber":
        fista = ji.solvers.fista(penalty=0.0)
        sol = ji.solve(fista, problem(Y * data, misfit), jnp.zeros(4, floats()))
        np.testing.assert_allclose(np.asarray(sol.u) / data, expected, atol=2e-4)


def test_absolute_against_a_linear_program():
    m, n = MATRIX.shape
    cost = np.r_[np.zeros(n), np.ones(2 * m)]
    equal = np.hstack([MATRIX, np.eye(m), -np.eye(m)])
    bounds = [(None, None)] * n + [(0, None)] * (2 * m)
    best = scipy.optimize.linprog(cost, A_eq=equal, b_eq=Y, bounds=bounds).fun
    held = problem(Y, ji.misfits.absolute())
    sol = ji.solve(LM, held, jnp.zeros(4, floats()), max_steps=300)
    assert best * (1 - 1e-6) <= float(held.loss(sol.u)) <= best * (1 + 1e-3)


def test_one_bit_against_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    labels = np.sign(MATRIX @ TRUTH + 3 * RNG.logistic(size=60))
    model = linear_model.LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=10000)
    expected = model.fit(MATRIX, labels).coef_[0]
    held = problem(labels, ji.misfits.logistic())
    for solver in (LM, ji.solvers.fista(penalty=0.0)):
        sol = ji.solve(solver, held, jnp.zeros(4, floats()))
        assert int(sol.status) == ji.Status.CONVERGED
        np.testing.assert_allclose(sol.u, expected, atol=2e-3)


@pytest.mark.parametrize("data", [1e-12, 1.0, 1e12])
def test_poisson_against_scipy(data):
    matrix = np.abs(MATRIX)
    counts = RNG.poisson(matrix @ np.array([1.0, 2.0, 0.5, 3.0])).astype(float)

    def loss(u):
        rate = matrix @ u + 0.1
        return np.sum(rate - counts * np.log(rate)), matrix.T @ (1 - counts / rate)

    expected = scipy.optimize.minimize(
        loss, np.ones(4), jac=True, method="L-BFGS-B", bounds=[(1e-9, None)] * 4,
        options={"ftol": 1e-15, "gtol": 1e-10},
    ).x  # fmt: skip
    misfit = ji.misfits.poisson(0.1 * data, data)
    start = jnp.full(4, data, floats())
    sol = ji.solve(LM, problem(counts * data, misfit, matrix), start, max_steps=300)
    assert int(sol.status) == ji.Status.CONVERGED
    assert np.all(expected > 1e-3)  # no bound is active
    np.testing.assert_allclose(np.asarray(sol.u) / data, expected, rtol=2e-3)


def test_a_start_without_a_loss_is_a_status():
    held = problem(np.ones(60), ji.misfits.poisson())
    sol = ji.solve(LM, held, -jnp.ones(4, floats()))
    assert int(sol.status) == ji.Status.INVALID_START


def outlier_errors(num_trials=8):
    """Median relative error of the signal, 8 of 100 measurements replaced by ten times as much."""
    family = ji.problems.generative((5, 50, 100), 100, noise_norm=0.02, dtype=floats())
    keys = jax.random.split(jax.random.key(2), num_trials)
    misfits = {
        "squared": ji.misfits.squared(),
        "huber": ji.misfits.huber(0.005),
        "median_of_means": ji.misfits.median_of_means(5),
        "student_t": ji.misfits.student_t(0.005),
    }

    def run(misfit, key):
        draw, start, where = jax.random.split(key, 3)
        drawn = family.sample(draw)
        struck = jax.random.permutation(where, 100) < 8
        held = drawn._replace(y=jnp.where(struck, 1.0, drawn.y), misfit=misfit)
        solver = ji.solvers.levenberg_marquardt(num_restarts=4)
        u0 = family.initial(start, num_restarts=4)
        sol = ji.solve(solver, held, u0, max_steps=100)
        return ji.metrics.relative_error(sol.x, drawn.truth.x)

    runs = {name: jax.jit(jax.vmap(lambda key, m=m: run(m, key))) for name, m in misfits.items()}
    return {name: float(np.median(found(keys))) for name, found in runs.items()}


@pytest.mark.slow
def test_robust_misfits_beat_squares_on_outliers():
    errors = outlier_errors()
    for name in ("huber", "median_of_means", "student_t"):
        assert errors[name] < errors["squared"] / 5, errors


def spiked(size=7):
    M = RNG.normal(size=(size, size))
    return jnp.asarray(M + M.T + 4 * np.ones((size, size)), floats())


def test_outer_is_the_loss_of_the_matrix():
    M, x = spiked(), jnp.asarray(RNG.normal(size=7), floats())
    held = ji.Problem(ji.operators.outer(7), M)

    def dense(x):
        return 0.25 * jnp.sum(jnp.square(jnp.outer(x, x) - M))

    loss, gradient = ji.problems.loss_and_gradient(held, x)
    np.testing.assert_allclose(loss, dense(x), rtol=1e-5)
    np.testing.assert_allclose(gradient, jax.grad(dense)(x), rtol=1e-4, atol=1e-3)
    J = jax.jacobian(lambda x: jnp.outer(x, x).reshape(-1))(x) / jnp.sqrt(2.0)
    misfit = ji.problems._problem.by_vector(held).misfit
    H = jax.vmap(lambda v: misfit.curvature(x, M, v))(jnp.eye(7, dtype=floats()))
    np.testing.assert_allclose(H, J.T @ J, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(held.operator(x), jnp.outer(x, x))


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
@pytest.mark.parametrize("as_operator", [False, True])
def test_outer_finds_the_first_eigenvector_in_every_unit(scale, as_operator):
    M = spiked()
    values, vectors = np.linalg.eigh(np.asarray(M, float))
    expected = vectors[:, -1] * np.sqrt(values[-1])
    y = ji.operators.dense(M * scale) if as_operator else M * scale
    start = jnp.ones(7, floats()) * np.sqrt(scale)
    held = ji.Problem(ji.operators.outer(7), y)
    sol = ji.solve(LM, held, start, tol=1e-5, max_steps=500)
    assert int(sol.status) == ji.Status.CONVERGED
    found = np.asarray(sol.x, float) / np.sqrt(scale)
    np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=2e-3)


def test_a_spike_behind_a_relu_network_without_a_matrix_of_predictions():
    n, k, level = 400, 4, 0.5
    G = ji.generators.relu(jax.random.key(1), (k, 60, n), dtype=floats())
    z = jnp.asarray([1.0, -1.0, 0.5, 2.0], floats())
    z = z / jnp.linalg.norm(G(z))
    W = jax.random.normal(jax.random.key(2), (n, n), floats()) / np.sqrt(n)
    M = jnp.outer(G(z), G(z)) + level * (W + W.T) / np.sqrt(2)
    solver = ji.solvers.levenberg_marquardt(num_restarts=4)
    u0 = 0.5 * jax.random.normal(jax.random.key(3), (4, k), floats())
    held = ji.Problem(ji.operators.outer(n), M, G)
    sol = ji.raise_if_failed(ji.solve(solver, held, u0))  # it may end at a kink, STALLED
    law = level * np.sqrt((k - 0.5) / n)
    assert 0.2 * law < float(jnp.linalg.norm(sol.x - G(z))) < 2.5 * law
    run = jax.jit(lambda M, u: ji.solve(solver, held._replace(y=M), u).x).lower(M, u0).compile()
    assert run.memory_analysis().temp_size_in_bytes < 2 * M.nbytes + 8 * n * k * M.itemsize + 1e6


def test_what_outer_refuses():
    with pytest.raises(ValueError, match=r"problem\.y must have shape \(5, 5\)"):
        ji.solve(LM, ji.Problem(ji.operators.outer(5), jnp.ones((4, 4))), jnp.ones(5))
    with pytest.raises(ValueError, match=r"be symmetric for operators\.outer"):
        ji.solve(LM, ji.Problem(ji.operators.outer(2), jnp.eye(2).at[0, 1].set(1)), jnp.ones(2))
    fista = ji.solvers.fista(penalty=0.1)
    with pytest.raises(ValueError, match=r"must be misfits.squared.* for solvers.fista"):
        ji.solve(fista, ji.Problem(ji.operators.outer(2), jnp.eye(2)), jnp.ones(2))
    held = ji.Problem(ji.operators.identity(2), ji.operators.identity(2))
    with pytest.raises(TypeError, match=r"problem\.y must be an array"):
        ji.solve(LM, held, jnp.ones(2))


def test_an_untrained_network_with_a_robust_misfit():
    image = np.outer(np.hanning(16), np.hanning(16))
    struck = RNG.random((16, 16)) < 0.1
    y = jnp.asarray(np.where(struck, 5.0, image), jnp.float32)
    prior = ji.generators.deep_decoder(
        (16, 16), num_channels=8, num_layers=2, key=jax.random.key(0)
    )
    errors = {}
    for misfit in (None, ji.misfits.huber(0.05)):
        held = ji.Problem(ji.operators.identity((16, 16)), y, misfit=misfit)
        found = ji.untrained.fit(jax.random.key(1), prior, held, num_steps=300, stop=None)
        errors[misfit] = np.linalg.norm(np.asarray(found.x) - image)
    assert min(errors.values()) == errors[misfit] < 0.5 * errors[None]
    with pytest.raises(ValueError, match=r"stop must be None .*misfits\.huber"):
        ji.untrained.fit(jax.random.key(1), prior, held, num_steps=300)
