"""Units of a problem, and what a gradient of exactly 0 means."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import floats
from jax.tree_util import Partial

import jaxinv as ji
from jaxinv._core import numerics, units
from jaxinv.generators._relu import Relu
from jaxinv.solvers._transform import is_linear

SOLVERS = {
    "levenberg_marquardt": ji.solvers.levenberg_marquardt(),
    "subgradient": ji.solvers.subgradient(0.1),
    "gradient": ji.solvers.gradient(optax.adam(0.1)),
    "ista": ji.solvers.ista(0.1, 0.0),
}


@pytest.mark.parametrize("power", [-36, -18, 0, 18, 37])
def test_norms_at_every_scale(power):
    v = np.random.default_rng(0).normal(size=(3, 5))
    z = v + 1j * v[::-1]
    scale = 10.0**power
    for held in (v, z):
        x = jnp.asarray(held * scale, jnp.complex64 if np.iscomplexobj(held) else jnp.float32)
        np.testing.assert_allclose(numerics.safe_norm(x) / scale, np.linalg.norm(held), rtol=1e-5)
        along = np.linalg.norm(held, axis=1, keepdims=True)
        np.testing.assert_allclose(numerics.safe_norm(x, 1) / scale, along, rtol=1e-5)
        np.testing.assert_allclose(numerics.magnitude(x) / scale, np.abs(held), rtol=1e-5)
    slope = jax.grad(numerics.safe_norm)(jnp.asarray(v * scale, jnp.float32))
    np.testing.assert_allclose(slope, v / np.linalg.norm(v), rtol=1e-4, atol=1e-6)


def test_norms_of_what_is_not_finite():
    assert np.isnan(numerics.safe_norm(jnp.array([1.0, jnp.nan])))
    assert np.isinf(numerics.safe_norm(jnp.array([1.0, jnp.inf])))
    assert float(numerics.safe_norm(jnp.zeros(3))) == 0
    np.testing.assert_array_equal(jax.grad(numerics.safe_norm)(jnp.zeros(3)), 0)


def test_units_are_powers_of_two_and_come_back_to_the_bit():
    scale = units.Scale(jnp.float32(2.0**-30), jnp.float32(2.0**20))
    value = jnp.array([1.2345, -3e-5], jnp.float32)
    for unit in (units.GRADIENT, units.STEP, units.DATA, units.Unit(-2, 2)):
        there = units.to_units(value, unit, scale)
        power = np.log2(np.asarray(value / there, float))
        np.testing.assert_array_equal(power, -30 * unit.unknown + 20 * unit.data)
        np.testing.assert_array_equal(units.from_units(there, unit, scale), value)
    assert units.to_units(3, units.DATA, scale) == 3
    assert units.to_units(None, units.DATA, scale) is None


@pytest.mark.parametrize("number", [1e-38, -3e-41, 1e-45, 0.0])
def test_a_subnormal_setting_keeps_its_value(number):
    scale = units.Scale(jnp.float32(1), jnp.float32(2.0**-60))
    expected = float(np.float32(number)) * 2.0**120
    found = units.to_units(jnp.asarray(number, jnp.float32), units.LOSS, scale)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def _project(low, v, step_size):
    return jnp.maximum(v, low)


def test_functions_of_the_caller_see_his_own_units():
    A = ji.operators.gaussian(jax.random.key(0), 12, 8)
    x = jnp.linspace(-1.0, 1, 8) * 1e12
    prox = ji.prox.from_function(Partial(_project, -3e11))
    sol = ji.solve(ji.solvers.fista(prox=prox), ji.Problem(A, A @ x), jnp.zeros(8), tol=1e-5)
    assert int(sol.status) == ji.Status.CONVERGED
    assert float(sol.u.min()) == pytest.approx(-3e11)
    shrink = ji.shrinkage.posterior_mean(0.5, variance=1e24)
    sol = ji.solve(ji.solvers.vamp(shrink), ji.Problem(A, A @ x), jnp.zeros(8))
    np.testing.assert_allclose(sol.u, x, atol=1e-3 * 1e12)


@pytest.mark.parametrize(("a", "b"), [(1e-18, 1e-18), (1e18, 1.0), (1e-9, 1e9), (1e18, 1e18)])
def test_functions_of_a_linear_problem_do_not_depend_on_its_units(a, b):
    problem = ji.problems.sparse(12, 8, num_nonzeros=3, snr_db=20).sample(jax.random.key(0))
    support, u = problem.truth.u != 0, jnp.linspace(-1, 1, 8)
    A = ji.operators.dense(problem.operator.matrix * jnp.float32(a))
    other = ji.Problem(A, problem.y * jnp.float32(b))
    unit = np.float64(b) / a

    def close(got, expected, factor):
        found = np.asarray(got, float) / factor
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)

    close(ji.solvers.debias(other, support), ji.solvers.debias(problem, support), unit)
    ours, theirs = ji.solvers.lasso_path(other), ji.solvers.lasso_path(problem)
    close(ours.u, theirs.u, unit)
    close(ours.penalties[:10], theirs.penalties[:10], a * np.float64(b))  # then below 1e-38
    scaled_u = u / jnp.float32(a) * jnp.float32(b)
    penalty = 0.1 * a * np.float64(b)
    got = ji.solvers.duality_gap(other, scaled_u, penalty)
    close(got.relative, ji.solvers.duality_gap(problem, u, 0.1).relative, 1)
    got = ji.solvers.kkt_residual(other, scaled_u, penalty)
    close(got, ji.solvers.kkt_residual(problem, u, 0.1), 1)


@pytest.mark.parametrize("power", [-18, -9, 9, 18])
def test_adam_in_any_unit_of_the_measurements(power):
    A = ji.operators.gaussian(jax.random.key(0), 12, 6, dtype=floats())
    x, solver = jnp.linspace(-1, 1, 6), ji.solvers.gradient(optax.adam(0.02))
    plain = ji.solve(solver, ji.Problem(A, A @ x), jnp.zeros(6), tol=1e-4)
    assert int(plain.status) == ji.Status.CONVERGED
    scale = 10.0**power
    other = ji.solve(solver, ji.Problem(scale * A, (A @ x) * scale), jnp.zeros(6), tol=1e-4)
    assert int(other.status) == ji.Status.CONVERGED
    assert abs(int(other.num_steps) - int(plain.num_steps)) <= 1
    assert float(jnp.linalg.norm(other.u - plain.u)) <= 1e-4 * float(jnp.linalg.norm(plain.u))


def _network(weights, z):
    return jax.nn.relu(weights @ z)


@pytest.mark.parametrize("solver", ["levenberg_marquardt", "subgradient"])
@pytest.mark.parametrize("known", [True, False], ids=["phase", "function"])
def test_models_that_are_not_linear_do_not_depend_on_units(solver, known):
    """Phase retrieval, and a network of which nobody says that it is homogeneous."""
    key = jax.random.key(0)
    G = ji.generators.relu(key, (3, 30, 20))
    matrix = ji.operators.gaussian(jax.random.key(3), 40, 20).matrix
    if not known:
        weights = jax.random.normal(key, (20, 3))
        G = ji.generators.from_function(_network, weights, in_shape=3)
    z, u0 = jax.random.normal(jax.random.key(1), (2, 3))

    @jax.jit
    def run(a, b):
        A = ji.operators.dense(matrix * a)
        A = ji.operators.magnitude(A) if known else A
        plain = ji.operators.dense(matrix)(G(z))
        problem = ji.Problem(A, (jnp.abs(plain) if known else plain) * b, G)
        made = getattr(ji.solvers, solver)()
        sol = ji.solve(made, problem, u0 / a * b, tol=1e-5, max_steps=2000)
        return sol.u, sol.status, sol.num_steps

    u, status, num_steps = run(jnp.float32(1), jnp.float32(1))
    # the unknown of a function keeps its unit, and a step 1/‖J‖² is no number below 2^-126
    far = 30 if solver == "subgradient" and not known else 60
    for power in (-far, -30, 30, far):
        for a, b in ((power, 0), (0, power), (power, power)):
            got = run(jnp.float32(2.0**a), jnp.float32(2.0**b))
            assert (int(got[1]), int(got[2])) == (int(status), int(num_steps)), (a, b)
            found = np.asarray(got[0], float) * 2.0 ** (a - b)
            assert np.linalg.norm(found - u) <= 1e-4 * np.linalg.norm(u), (a, b)


@pytest.mark.parametrize("name", SOLVERS)
def test_signs_are_flat(name):
    A = ji.operators.sign(ji.operators.gaussian(jax.random.key(0), 12, 4, dtype=floats()))
    problem = ji.Problem(A, A(jnp.ones(4, floats())))
    sol = ji.solve(SOLVERS[name], problem, jnp.array([1.0, -1, 1, -1], floats()))
    assert int(sol.status) == ji.Status.FLAT
    with pytest.raises(RuntimeError, match="FLAT: the measurements do not change"):
        ji.raise_if_failed(sol)
    assert int(ji.solve(SOLVERS[name], problem, jnp.ones(4, floats())).status) == 0  # they are met


@pytest.mark.parametrize("name", ["levenberg_marquardt", "gradient"])
def test_a_network_all_of_whose_units_are_off_is_flat(name):
    G = Relu((-jnp.ones((4, 2), floats()), jnp.ones((3, 4), floats())))
    problem = ji.Problem(ji.operators.identity(3), jnp.ones(3, floats()), G)
    solver = ji.solvers.levenberg_marquardt(negate=False) if name != "gradient" else SOLVERS[name]
    assert int(ji.solve(solver, problem, jnp.ones(2, floats())).status) == ji.Status.FLAT


def test_measurements_of_zero_are_solved_by_zero_at_every_scale():
    A = ji.operators.gaussian(jax.random.key(0), 12, 4, dtype=floats())
    for scale in (1e-12, 1.0, 1e12):
        problem = ji.Problem(scale * A, jnp.zeros(12, floats()))
        start = jnp.ones(4, floats())
        for solver in (ji.solvers.levenberg_marquardt(), ji.solvers.fista(penalty=0.0)):
            sol = ji.solve(solver, problem, start, tol=1e-5)
            assert int(sol.status) == ji.Status.CONVERGED
            np.testing.assert_allclose(sol.u, 0, atol=1e-4)


@pytest.mark.parametrize(
    ("transform", "linear"),
    [
        (optax.sgd(0.1), True),
        (optax.sgd(1e35, momentum=0.9, nesterov=True), True),
        (optax.sgd(1e-37), True),
        (optax.adam(0.1), False),
        (optax.chain(optax.clip_by_global_norm(10.0), optax.sgd(0.1)), False),
        (optax.lbfgs(), False),
    ],
)
def test_transformations_that_are_linear(transform, linear):
    u = {"a": jnp.ones(3), "b": jnp.ones((2, 5))}
    assert is_linear(optax.with_extra_args_support(transform), u) is linear
