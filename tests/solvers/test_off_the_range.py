"""Signals near the range of a generator: a sparse part, hidden layers that leave the range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji

S = ji.solvers
KEY = jax.random.key(11)
EPS = float(jnp.finfo(floats()).eps)


def linear_problem():
    """Unknowns z of 3 and s of 12, of a linear generator: convex, and known to FISTA at once."""
    keys = jax.random.split(KEY, 3)
    G = ji.generators.from_function(jnp.matmul, normal(keys[0], (12, 3)), in_shape=3)
    operator = ji.operators.gaussian(keys[1], 9, 12, dtype=floats())
    return ji.Problem(operator, normal(keys[2], (9,)), ji.generators.plus_sparse(G))


@pytest.mark.parametrize("units", [(1.0, 1.0), (2.0**-9, 2.0**7)])
def test_sparse_gen_of_a_linear_generator_is_the_lasso_with_a_free_part(units):
    problem = linear_problem()
    A = np.asarray(problem.operator.todense(), float)
    joint = np.hstack([A @ np.asarray(problem.prior.generator.params, float), A])
    weights = np.concatenate([np.zeros(3), np.full(12, 0.1)])
    u, curvature = np.zeros(15), np.linalg.norm(joint, 2) ** 2
    for _ in range(30000):  # proximal gradient descent, in NumPy
        v = u - joint.T @ (joint @ u - np.asarray(problem.y, float)) / curvature
        u = np.sign(v) * np.maximum(np.abs(v) - weights / curvature, 0)
    a, b = units
    scaled = problem._replace(operator=a * problem.operator, y=b * problem.y)
    solver = S.alternating([S.levenberg_marquardt(), S.fista(penalty=0.1 * a * b)])
    sol = ji.solve(solver, scaled, (jnp.ones(3, floats()), jnp.zeros(12, floats())), tol=1e-6)
    assert int(sol.status) == ji.Status.CONVERGED
    found = np.concatenate([np.asarray(part, float) for part in sol.u]) * a / b
    np.testing.assert_allclose(found, u, atol=1e-3 * abs(u).max())
    assert np.all((np.asarray(sol.u[1]) == 0) == (np.abs(u[3:]) < 1e-9))
    objective = 0.5 * np.sum((joint @ u - problem.y) ** 2) + 0.1 * np.abs(u[3:]).sum()
    value = float(solver.objective(scaled, sol.u)) / b**2
    np.testing.assert_allclose(value, objective, rtol=1e-4)


def test_a_basis_synthesizes_the_sparse_part():
    basis = ji.operators.dct(6).H
    G = ji.generators.plus_sparse(ji.generators.relu(KEY, (2, 6), dtype=floats()), basis)
    z, s = normal(KEY, (2,)), normal(KEY, (6,))
    np.testing.assert_allclose(G((z, s)), G.generator(z) + basis(s), rtol=10 * EPS)
    assert G.energy((z, s)) == G.generator.energy(z)
    np.testing.assert_array_equal(G.reflections((z, s))[1][0], -z)
    for index in range(2):  # with the others held it is the same map
        np.testing.assert_allclose(G.part(index, (z, s))((z, s)[index]), G((z, s)), rtol=10 * EPS)
    with pytest.raises(TypeError, match=r"PlusSparse: z must be a pair"):
        G(z)


def test_the_tail_of_a_network_is_its_last_layers():
    G = ji.generators.relu(KEY, (3, 8, 10, 12), dtype=floats())
    z = normal(KEY, (3,))
    hidden = jax.nn.relu(G.params[0] @ z)
    np.testing.assert_allclose(ji.generators.tail(G, 1)(hidden), G(z), rtol=20 * EPS)
    leaky = ji.generators.piecewise_linear(
        KEY, (3, 8, 10), negative_slope=0.1, bias_std=0.3, dtype=floats()
    )
    hidden = jax.nn.leaky_relu(leaky.params["weights"][0] @ z + leaky.params["biases"][0], 0.1)
    np.testing.assert_allclose(ji.generators.tail(leaky, 1)(hidden), leaky(z), rtol=1e-5)
    assert ji.generators.tail(G, 2).in_shape == (10,)
    with pytest.raises(ValueError, match="tail: layer must be at most 2"):
        ji.generators.tail(G, 3)


def test_intermediate_layers_stay_in_their_balls_and_beat_the_latent_alone():
    family = ji.problems.generative((3, 40, 80), 60, dtype=floats())
    problem, z0 = family.sample(KEY), family.initial(KEY)
    hidden = problem.prior.between(0, 1)(problem.truth.u)
    hidden = hidden.at[jnp.array([3, 17])].add(0.3 * jnp.linalg.norm(hidden))
    x = ji.generators.tail(problem.prior, 1)(hidden)
    problem = problem._replace(y=problem.operator(x), truth=None)
    solver = S.intermediate_layers(S.levenberg_marquardt(), [0.7])
    sol = ji.solve(solver, problem, z0, max_steps=200)
    latent = ji.solve(S.levenberg_marquardt(), problem, z0, tol=0.0, max_steps=200)
    assert int(sol.num_steps) == 200
    np.testing.assert_allclose(sol.u, latent.u, atol=1e-5)  # the first stage is that search
    move = sol.state.states[1].u
    assert float(jnp.sum(jnp.abs(move))) <= 0.7 * (1 + 1e-4)
    center = jax.nn.relu(problem.prior.params[0] @ sol.u)
    np.testing.assert_allclose(
        sol.x, jax.nn.relu(problem.prior.params[1] @ (center + move)), atol=1e-4
    )
    error = ji.metrics.relative_error
    assert float(error(sol.x, x)) < 0.5 * float(error(latent.x, x))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: S.alternating([]), "alternating: solvers must be a list"),
        (lambda: S.alternating([1]), r"alternating: solvers\[0\] must be a solver"),
        (lambda: S.intermediate_layers(S.levenberg_marquardt(), []), "radii must be a list"),
        (lambda: S.intermediate_layers(S.levenberg_marquardt(), [0]), r"radii\[0\] must be .*> 0"),
        (
            lambda: ji.solve(
                S.alternating([S.fista(0.1, 0.1)]), linear_problem(), (jnp.ones(3), jnp.ones(12))
            ),
            "u0 must have 1 parts",
        ),
        (
            lambda: ji.solve(
                S.intermediate_layers(S.levenberg_marquardt(), [1.0] * 2),
                ji.problems.generative((2, 6, 8), 4).sample(KEY),
                jnp.ones(2),
            ),
            "radii must be at most 1, one for each layer but the last, got 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
