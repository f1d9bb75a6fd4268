"""ADMM and basis pursuit against scikit-learn, SciPy's linear programs and NumPy loops."""

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
TOL = 1e-10 if X64 else 1e-5
KEY = jax.random.key(0)
O = ji.operators

M, N, PENALTY = 20, 40, 0.05


@functools.cache
def drawn(m=M, n=N, snr_db=30.0, condition_number=None):
    """A problem and a start, drawn by NumPy: the same ones in float32 and float64."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(m, n))
    if condition_number is not None:
        left, values, right = np.linalg.svd(A, full_matrices=False)
        A = left * np.geomspace(1, 1 / condition_number, values.size) @ right
    A /= np.linalg.norm(A, axis=0)
    truth = np.zeros(n)
    truth[rng.permutation(n)[:4]] = rng.choice([-1, 1], 4) * rng.uniform(0.5, 2, 4)
    y = A @ truth
    if snr_db is not None:
        y += rng.normal(size=m) * np.linalg.norm(y) / np.sqrt(m) * 10 ** (-snr_db / 20)
    A, y, truth = (jnp.asarray(v, DTYPE) for v in (A, y, truth))
    return ji.Problem(O.dense(A), y, None, ji.problems.Truth(truth, truth, None)), 0 * truth


@functools.cache
def dense_solution():
    """A problem whose smallest ℓ1 norm takes M entries."""
    y = np.random.default_rng(1).normal(size=M)
    return drawn(snr_db=None)[0]._replace(y=jnp.asarray(y, DTYPE))


def as_numpy(problem):
    return np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)


def without_matrix(problem):
    """The same linear map, not known to be a matrix."""
    operator = problem.operator
    return problem._replace(operator=operator @ O.identity(operator.in_shape))


def lasso(problem, penalty=PENALTY):
    """scikit-learn minimizes (1/2m)‖Ax − y‖² + alpha ‖x‖₁."""
    A, y = as_numpy(problem)
    model = Lasso(alpha=penalty / y.size, fit_intercept=False, tol=1e-14, max_iter=1000000)
    return model.fit(A, y).coef_


def unknown(problem, state):
    return state.u


def soft(v, threshold):
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0)


# --- admm -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "form", "augmentation"),
    [
        ((M, N), lambda p: p, None),
        ((N, M), lambda p: p, 0.5),
        ((M, N), without_matrix, None),
        ((N, M), without_matrix, 0.5),
    ],
    ids=["wide-matrix", "tall-matrix", "wide-operator", "tall-operator"],
)
def test_lasso_reaches_scikit_learn(shape, form, augmentation):
    problem, u0 = drawn(*shape)
    solver = ji.solvers.admm(PENALTY, augmentation=augmentation)
    sol = ji.solve(solver, form(problem), u0, tol=TOL)
    assert ji.Status(int(sol.status)) == ji.Status.CONVERGED
    expected = lasso(problem)
    np.testing.assert_allclose(sol.u, expected, atol=100 * TOL)
    np.testing.assert_array_equal(sol.u != 0, expected != 0)


def test_the_iterates_are_those_of_the_paper():
    problem, u0 = drawn()
    A, y = as_numpy(problem)
    rho = 0.3 * np.linalg.norm(A, 2) ** 2
    inverse = np.linalg.inv(A.T @ A + rho * np.eye(N))
    for relaxation in (1.0, 1.6):
        z = w = np.zeros(N)
        expected = []
        for _ in range(15):
            x = relaxation * inverse @ (A.T @ y + rho * (z - w)) + (1 - relaxation) * z
            z, w = soft(x + w, PENALTY / rho), x + w - soft(x + w, PENALTY / rho)
            expected.append(z)
        solver = ji.solvers.admm(PENALTY, augmentation=0.3, relaxation=relaxation)
        _, (info, got) = ji.trace(solver, problem, u0, 15, measure=unknown)
        np.testing.assert_allclose(got, expected, atol=100 * EPS)
        value = 0.5 * np.sum((A @ expected[9] - y) ** 2) + PENALTY * np.sum(np.abs(expected[9]))
        np.testing.assert_allclose(info.loss[10], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "augmentations"),
    [(lambda p: p, (None, 0.01, 1.0)), (without_matrix, (None,))],
    ids=["matrix", "operator"],
)
def test_the_error_bounds_the_distance_to_optimality(form, augmentations):
    problem, u0 = drawn()
    A, y = as_numpy(problem)
    scale = np.linalg.norm(A.T @ y)
    for augmentation in augmentations:
        solver = ji.solvers.admm(PENALTY, augmentation=augmentation)
        _, (info, u) = ji.trace(solver, form(problem), u0, 60, measure=unknown)
        for z, error in zip(np.asarray(u, np.float64), info.error, strict=True):
            slope = A.T @ (A @ z - y)
            violated = np.where(z != 0, slope + PENALTY * np.sign(z), soft(slope, PENALTY))
            assert np.linalg.norm(violated) / scale <= error * 1.001 + 20 * EPS
        assert info.error[-1] < 0.5 * info.error[5]


def test_balancing_needs_few_steps_at_every_penalty():
    problem, u0 = drawn(condition_number=30.0)
    penalties = jnp.asarray([0.2, 0.02, 0.002], DTYPE)

    @functools.partial(jax.vmap, in_axes=(None, 0))
    def num_steps(augmentation, penalty):
        solver = ji.solvers.admm(penalty, augmentation=augmentation)
        return ji.solve(solver, problem, u0, tol=1e-4, max_steps=20000).num_steps

    balanced = np.asarray(jax.jit(num_steps)(None, penalties))
    values = jnp.asarray([0.5, 0.05, 0.005], DTYPE)
    fixed = np.asarray(jax.jit(jax.vmap(num_steps, in_axes=(0, None)))(values, penalties))
    assert np.all(balanced <= 4 * fixed.min(axis=0))
    assert np.max(fixed / balanced) > 5  # what a wrong fixed value costs


def test_units_of_the_operator_and_of_the_signal_do_not_matter():
    problem, u0 = drawn()
    solver = ji.solvers.admm(PENALTY)
    plain = ji.solve(solver, problem, u0, tol=1e-4)
    scaled = problem._replace(operator=O.dense(64 * problem.operator.matrix))
    sol = ji.solve(ji.solvers.admm(64 * PENALTY), scaled, u0, tol=1e-4)
    np.testing.assert_allclose(64 * sol.u, plain.u, atol=1e-4)
    assert abs(int(sol.num_steps) - int(plain.num_steps)) <= 1
    sol = ji.solve(ji.solvers.admm(64 * PENALTY), problem._replace(y=64 * problem.y), u0, tol=1e-4)
    np.testing.assert_allclose(sol.u / 64, plain.u, atol=1e-4)
    assert abs(int(sol.num_steps) - int(plain.num_steps)) <= 1


def test_any_prox_and_any_operator_reach_the_optimum_of_fista():
    shape = (8, 8)
    image = jnp.zeros(shape, DTYPE).at[2:6, 3:7].set(1.0)
    blur = O.convolution(jnp.ones((3, 3), DTYPE) / 9, shape)
    problem = ji.Problem(blur, blur @ image)
    prox = ji.prox.tv(0.01)
    solver = ji.solvers.admm(prox=prox)
    sol = ji.solve(solver, problem, 0 * image, tol=1e-4, max_steps=2000)
    assert int(sol.status) == ji.Status.CONVERGED
    best = ji.solve(ji.solvers.fista(prox=prox), problem, 0 * image, tol=1e-4, max_steps=2000)
    got, expected = solver.objective(problem, sol.u), solver.objective(problem, best.u)
    np.testing.assert_allclose(got, expected, rtol=2e-3)


def test_complex_lasso_meets_its_optimality_conditions():
    A = np.random.default_rng(2).normal(size=(2, 12, 20)) / np.sqrt(24)
    operator = O.dense(jnp.asarray(A[0] + 1j * A[1], COMPLEX))
    truth = jnp.zeros(20, COMPLEX).at[jnp.asarray([1, 8])].set(jnp.asarray([2j, 1 - 1j]))
    problem = ji.Problem(operator, operator @ truth)
    A = np.asarray(operator.matrix, np.complex128)
    for form in (problem, without_matrix(problem)):
        sol = ji.solve(ji.solvers.admm(PENALTY), form, 0 * truth, tol=TOL)
        u = np.asarray(sol.u, np.complex128)
        slope = A.conj().T @ (A @ u - np.asarray(problem.y))
        on = u != 0
        np.testing.assert_allclose(slope[on], -PENALTY * u[on] / abs(u[on]), atol=100 * TOL)
        assert np.all(abs(slope) <= PENALTY + 100 * TOL)


def test_a_batch_that_shares_its_matrix_decomposes_it_once():
    problem, u0 = drawn()

    def run(penalty, augmentation, y):
        solver = ji.solvers.admm(penalty, augmentation=augmentation)
        return ji.solve(solver, problem._replace(y=y), u0, tol=1e-5).u

    penalties = jnp.asarray([0.05, 0.1, 0.2], DTYPE)
    ys = jnp.stack([problem.y, -problem.y, 2 * problem.y])
    batched = jax.jit(jax.vmap(run))
    text = batched.lower(penalties, penalties, ys).as_text()
    assert f"tensor<{M}x{M}x" in text
    assert f"tensor<3x{M}x{M}x" not in text
    for index, u in enumerate(batched(penalties, penalties, ys)):
        A = np.asarray(problem.operator.matrix, np.float64)
        model = Lasso(float(penalties[index]) / M, fit_intercept=False, tol=1e-12, max_iter=100000)
        np.testing.assert_allclose(u, model.fit(A, np.asarray(ys[index])).coef_, atol=2e-3)


def test_a_network_of_its_steps_can_be_trained():
    problem, _ = drawn()
    layers = ji.Layers.repeat(ji.solvers.admm(PENALTY, augmentation=0.2), 6)

    def error(augmentation):
        trainable, frozen = layers.partition()
        trainable = {**trainable, "augmentation": augmentation}
        u = ji.unfold(frozen.merge(trainable), problem)
        return jnp.sum((u - problem.truth.x) ** 2)

    point = jnp.full(6, 0.2, DTYPE)
    slope = jax.jit(jax.grad(error))(point)
    step = 1e-5 if X64 else 1e-2
    shift = step * jnp.ones(6, DTYPE)
    change = (error(point + shift) - error(point - shift)) / (2 * step)
    np.testing.assert_allclose(jnp.sum(slope), change, rtol=1e-6 if X64 else 2e-2)


@pytest.mark.parametrize("form", [lambda p: p, without_matrix], ids=["matrix", "operator"])
@pytest.mark.parametrize(
    "make", [lambda: ji.solvers.admm(PENALTY), ji.solvers.basis_pursuit], ids=["admm", "bp"]
)
def test_zero_measurements_and_a_zero_operator_are_harmless(make, form):
    problem, u0 = drawn()
    sol = ji.solve(make(), form(problem._replace(y=0 * problem.y)), u0)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_array_equal(sol.u, 0)
    empty = form(problem._replace(operator=O.dense(0 * problem.operator.matrix)))
    assert np.all(np.isfinite(ji.solve(make(), empty, u0, max_steps=20).u))
    holed = problem._replace(operator=O.dense(problem.operator.matrix.at[:, :3].set(0)))
    np.testing.assert_array_equal(ji.solve(make(), form(holed), u0).u[:3], 0)


# --- basis pursuit ----------------------------------------------------------------------------


def linear_program(A, y):
    """min ‖x‖₁ subject to A x = y, as a linear program in the parts of x."""
    n = A.shape[1]
    found = optimize.linprog(np.ones(2 * n), A_eq=np.hstack([A, -A]), b_eq=y)
    assert found.success
    return found.x[:n] - found.x[n:]


@pytest.mark.parametrize("form", [lambda p: p, without_matrix], ids=["matrix", "operator"])
def test_basis_pursuit_reaches_the_linear_program(form):
    problem, u0 = drawn(snr_db=None)
    for case in (problem, dense_solution()):
        A, y = as_numpy(case)
        expected = linear_program(A, y)
        sol = ji.solve(ji.solvers.basis_pursuit(), form(case), u0, tol=1e-9 if X64 else 1e-5)
        assert ji.Status(int(sol.status)) == ji.Status.CONVERGED
        np.testing.assert_allclose(sol.u, expected, atol=1e-7 if X64 else 2e-3)
        np.testing.assert_allclose(jnp.sum(jnp.abs(sol.u)), np.sum(np.abs(expected)), rtol=1e-4)


def test_the_error_is_a_certificate_of_the_linear_program():
    dense, u0 = dense_solution(), drawn()[1]
    best = np.sum(np.abs(linear_program(*as_numpy(dense))))
    for augmentation in (3.0, 30.0):
        solver = ji.solvers.basis_pursuit(augmentation=augmentation)
        _, (info, u) = ji.trace(solver, dense, u0, 200, measure=unknown)
        A, y = as_numpy(dense)
        for z, error in zip(np.asarray(u, np.float64), info.error, strict=True):
            feasible = z + np.linalg.pinv(A) @ (y - A @ z)
            # x and its projection differ by at most the share ‖x − u‖ / ‖x‖ that error bounds
            slack = np.sqrt(N) * error * np.linalg.norm(feasible) * 2
            assert np.sum(np.abs(feasible)) - best <= error * np.sum(np.abs(feasible)) + slack
        assert info.error[-1] < 0.2 * info.error[3]


def test_basis_pursuit_goes_on_past_the_transition():
    family = ji.problems.sparse(30, 60, num_nonzeros=16, dtype=jnp.result_type(float))
    problem = family.sample(jax.random.key(1))
    sol = ji.solve(ji.solvers.basis_pursuit(), problem, jnp.zeros(60), tol=2e-6, max_steps=20000)
    least = np.sum(np.abs(linear_program(*as_numpy(problem))))
    assert int(sol.status) == ji.Status.CONVERGED
    assert int(sol.num_steps) > 2500  # the residual has settled 2000 steps ago
    assert float(jnp.sum(jnp.abs(sol.x))) == pytest.approx(least, rel=3e-6)


def test_basis_pursuit_of_dependent_and_of_contradicting_measurements():
    problem, u0 = drawn(snr_db=None)
    rows = jnp.asarray([*range(M - 2), 0, 1])  # of the matrix, two of them twice
    twice = ji.Problem(O.dense(problem.operator.matrix[rows]), problem.y[rows])
    for form in (twice, without_matrix(twice)):
        sol = ji.solve(ji.solvers.basis_pursuit(), form, u0, tol=1e-5)
        assert int(sol.status) == ji.Status.CONVERGED
        np.testing.assert_allclose(sol.u, problem.truth.u, atol=1e-3)
    contradicting = twice._replace(y=twice.y.at[-1].add(1.0))
    sol = ji.solve(ji.solvers.basis_pursuit(), contradicting, u0, max_steps=300)
    assert int(sol.status) == ji.Status.MAX_STEPS
    assert np.all(np.isfinite(sol.u))


def test_basis_pursuit_with_a_fast_operator():
    operator = O.mask(O.random_mask(KEY, (48,), 0.6)) @ O.dct((48,)).H
    truth = jnp.zeros(48, DTYPE).at[jnp.asarray([5, 20, 41])].set(jnp.asarray([1.0, -2.0, 0.5]))
    problem = ji.Problem(operator, operator @ truth)
    sol = ji.solve(ji.solvers.basis_pursuit(), problem, 0 * truth, tol=1e-5)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(sol.u, truth, atol=1e-4)
