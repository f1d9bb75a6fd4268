"""Projections onto the range of a generator and onto an ℓ1 ball, and the solvers they make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji

KEY = jax.random.key(2)
LM = ji.solvers.levenberg_marquardt()
EPS = float(jnp.finfo(floats()).eps)


def family():
    return ji.problems.generative((3, 40, 60), 40, dtype=floats())


def by_bisection(v, radius):
    """The soft threshold whose ℓ1 norm is the radius, in NumPy."""
    low, high = 0.0, np.abs(v).max()
    for _ in range(200):
        middle = (low + high) / 2
        excess = np.maximum(np.abs(v) - middle, 0).sum() - radius
        low, high = (middle, high) if excess > 0 else (low, middle)
    return np.sign(v) * np.maximum(np.abs(v) - high, 0)


@pytest.mark.parametrize("radius", [0.0, 0.4, 2.5])
def test_the_l1_ball_is_a_threshold_found_by_bisection(radius):
    v = np.asarray(normal(KEY, (3, 5)), float)
    got = ji.prox.l1_ball(radius)(jnp.asarray(v, floats()))
    np.testing.assert_allclose(got, by_bisection(v, radius), atol=10 * EPS * np.abs(v).sum())


def test_inside_the_l1_ball_nothing_moves():
    v = normal(KEY, (6,))
    np.testing.assert_array_equal(ji.prox.l1_ball(1.01 * jnp.sum(jnp.abs(v)))(v), v)


def test_the_range_of_a_linear_generator_is_a_subspace():
    basis = normal(KEY, (8, 3))
    G = ji.generators.from_function(jnp.matmul, basis, in_shape=3)
    v = normal(jax.random.key(1), (8,))
    expected = basis @ np.linalg.lstsq(np.asarray(basis), np.asarray(v), rcond=None)[0]
    got = ji.prox.range_of(G, LM, num_steps=30)(v, 7.0)
    np.testing.assert_allclose(got, expected, atol=100 * EPS)


def descents(problem, latent):
    prox = ji.prox.range_of(problem.prior, LM, latent)
    return {
        "projected": ji.solvers.ista(1.0, prox=prox),
        "accelerated": ji.solvers.fista(0.5, prox=prox),
        "admm": ji.solvers.admm(prox=prox, augmentation=0.1),
    }


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e-9, 1e9)])
def test_three_solvers_descend_over_the_range(units):
    problem = family().sample(KEY)
    latent = family().initial(KEY) / units[0] * units[1]
    scaled = problem._replace(
        operator=units[0] * problem.operator, y=units[1] * problem.y, prior=None, truth=None
    )
    for name, solver in descents(problem, latent).items():
        if name != "admm" and units[0] != 1:
            solver = type(solver)(solver.step_size / units[0] ** 2, solver.prox)
        sol = ji.solve(solver, scaled, problem.prior(latent), tol=1e-5)
        assert int(sol.status) == ji.Status.CONVERGED, name
        x = sol.x * units[0] / units[1]
        assert float(ji.metrics.relative_error(x, problem.truth.x)) < 1e-4, name
        np.testing.assert_allclose(problem.prior(sol.state.memory), sol.x, rtol=1e-5)


def test_every_restart_of_the_projection_goes_on_by_itself():
    problem = family().sample(KEY)
    solver = ji.solvers.levenberg_marquardt(num_restarts=3)
    prox = ji.prox.range_of(problem.prior, solver, family().initial(KEY, 3), num_steps=2)
    x, memory = prox.warm(problem.truth.x, 1.0, prox.start(problem.truth.x))
    assert memory.shape == (3, 3)
    errors = [float(ji.metrics.relative_error(problem.prior(z), problem.truth.x)) for z in memory]
    assert float(ji.metrics.relative_error(x, problem.truth.x)) == pytest.approx(min(errors))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((jnp.sin, LM), "range_of: generator must be a generator"),
        ((family().sample(KEY).prior, "lm"), "range_of: solver must be a solver"),
        ((family().sample(KEY).prior, LM, jnp.ones(4)), r"range_of: latent must have shape \(3,\)"),
        ((ji.generators.from_function(jnp.add, 1.0), LM), "range_of: latent must be given"),
    ],
)
def test_what_has_no_range_is_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=words):
        ji.prox.range_of(*arguments)
