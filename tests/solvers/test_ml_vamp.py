"""Message passing through networks: moments against quadrature, answers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats

import jaxinv as ji
from jaxinv.solvers._network_messages import Message, sign_moments, tail, unit_moments

O, S = ji.operators, ji.solvers


def moments(nodes, log_density, values):
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    mean = weights @ values
    return mean, weights @ (values - mean) ** 2


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.0, 1.0])
@pytest.mark.parametrize(
    "messages", [(1.0, 0.5, 2.0, 1.0), (30.0, -60.0, 9.0, 12.0), (5.0, -1.0, 400.0, -40.0)]
)
def test_moments_of_a_unit_are_those_of_quadrature(slope, messages):
    a_z, b_z, a_h, b_h = messages
    z = np.linspace(-12, 12, 1_200_001) + 5e-6
    h = np.where(z > 0, z, slope * z)
    log_density = -0.5 * a_z * z**2 + b_z * z - 0.5 * a_h * h**2 + b_h * h
    told = [Message(jnp.asarray(a, floats()), jnp.full(2, b, floats())) for a, b in
            ((a_z, b_z), (a_h, b_h))]  # fmt: skip
    found = [float(part[0]) for part in unit_moments(slope, *told)]
    expected = [*moments(z, log_density, z), *moments(z, log_density, h)]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(("y", "noise"), [(1.0, 0.0), (-1.0, 0.3), (0.0, 0.1)])
def test_moments_given_a_sign_are_those_of_quadrature(y, noise):
    from scipy.stats import norm

    a, b = 2.0, 1.5
    z = np.linspace(-10, 10, 1_000_001) + 5e-6
    seen = norm.logcdf(y * z / np.sqrt(noise)) if noise else np.where(y * z > 0, 0.0, -np.inf)
    log_density = -0.5 * a * z**2 + b * z + (seen if y else 0)
    told = Message(jnp.asarray(a, floats()), jnp.full(1, b, floats()))
    mean, variance = sign_moments(jnp.full(1, y, floats()), told, jnp.asarray(noise, floats()))
    expected = moments(z, log_density, z)
    np.testing.assert_allclose([mean[0], variance[0]], expected, rtol=1e-4)


def test_tails_are_those_of_scipy():
    from scipy.stats import truncnorm

    t = np.array([-60.0, -15.0, -6.2, -5.9, -1.0, 0.0, 3.0, 20.0])
    _, mean, variance = tail(jnp.asarray(t, floats()))
    shifted = [truncnorm(-at, np.inf) for at in t]
    np.testing.assert_allclose(mean, [at + one.mean() for at, one in zip(t, shifted, strict=True)],
                               rtol=2e-3)  # fmt: skip
    kept = t > -20  # where SciPy's own variance is no difference of equal numbers
    expected = np.array([one.var() for one in shifted])
    np.testing.assert_allclose(np.asarray(variance)[kept], expected[kept], rtol=5e-3)


def linear_problem():
    keys = jax.random.split(jax.random.key(0), 4)
    G = ji.generators.piecewise_linear(keys[0], (4, 9, 7), negative_slope=1.0, bias_std=0.5)
    G = jax.tree.map(lambda leaf: leaf.astype(floats()), G)
    A = O.gaussian(keys[1], 5, 7, dtype=floats())
    y = A(G(jax.random.normal(keys[2], (4,), floats())))
    return ji.Problem(A, y + 0.1 * jax.random.normal(keys[3], (5,), floats()), G)


def test_a_linear_network_has_the_closed_form():
    problem = linear_problem()
    J = np.asarray(problem.prior.jacobian(jnp.zeros(4, floats())), float)
    offset = np.asarray(problem.prior(jnp.zeros(4, floats())), float)
    A, y = np.asarray(problem.operator.matrix, float), np.asarray(problem.y, float)
    covariance = np.linalg.inv(np.eye(4) / 1.5**2 + (A @ J).T @ (A @ J) / 0.1**2)
    z = covariance @ (A @ J).T @ (y - A @ offset) / 0.1**2
    sol = ji.solve(S.ml_vamp(0.1, 1.5), problem, jnp.ones(4, floats()), tol=1e-6, max_steps=300)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(sol.u, z, atol=2e-4)
    np.testing.assert_allclose(sol.x, offset + J @ z, atol=2e-4)


def drawn(key, output, num_measurements=120):
    keys = jax.random.split(key, 5)
    G = ji.generators.relu(keys[0], (20, 60, 80), dtype=floats())
    z = jax.random.normal(keys[1], (20,), floats())
    A = O.gaussian(keys[2], num_measurements, 80, dtype=floats())
    x = G(z)
    noise = 0.05 * jax.random.normal(keys[3], (num_measurements,), floats())
    operator, y = A, A(x) + noise
    if output == "magnitudes":
        operator, y = O.magnitude(A), jnp.abs(A(x)) + noise
    if output == "signs":
        operator, y = O.sign(A), jnp.sign(A(x) + noise)
    return ji.Problem(operator, y, G, ji.problems.Truth(z, x))


@pytest.mark.parametrize(
    ("output", "low", "high"),
    [
        pytest.param("values", 0.3, 3, marks=pytest.mark.slow),
        ("signs", 0.3, 3),
        pytest.param("magnitudes", 0.2, 5, marks=pytest.mark.slow),
    ],
)
def test_the_predicted_variance_is_that_of_the_error(output, low, high):
    """Over four trials; where magnitudes are measured the spread is larger."""

    def one(key):
        problem = drawn(key, output)
        state, _ = ji.trace(S.ml_vamp(0.05, 1.0), problem, jnp.ones(20, floats()), 60)
        power = jnp.mean(jnp.square(problem.truth.x))
        return jnp.mean(jnp.square(state.x - problem.truth.x)), state.signal_variance, power

    error, predicted, power = jax.jit(lambda keys: jax.lax.map(one, keys))(
        jax.random.split(jax.random.key(3), 4)
    )
    assert low < float(jnp.mean(error) / jnp.mean(predicted)) < high
    assert float(jnp.mean(error)) < 0.2 * float(jnp.mean(power))


def test_noise_and_size_are_estimated():
    problem = drawn(jax.random.key(5), "values")
    told = ji.solve(S.ml_vamp(0.05, 1.0), problem, jnp.ones(20, floats()), tol=1e-4, max_steps=100)
    own = ji.solve(S.ml_vamp(), problem, jnp.ones(20, floats()), tol=1e-4, max_steps=100)
    size = problem.truth.x
    assert float(ji.metrics.relative_error(own.x, size)) < 1.2 * float(
        ji.metrics.relative_error(told.x, size)
    )


def test_padding_changes_nothing():
    family = ji.problems.generative((6, 30), 40, noise_std=0.01, dtype=floats())
    problem = family.with_active(4, 25).sample(jax.random.key(1))
    exact = problem._replace(
        operator=O.dense(problem.operator.matrix[:25]),
        y=problem.y[:25],
        prior=ji.generators.from_weights([problem.prior.params[0][:, :4]]),
    )
    padded = ji.trace(S.ml_vamp(), problem, jnp.ones(6, floats()), 8)[0]
    plain = ji.trace(S.ml_vamp(), exact, jnp.ones(4, floats()), 8)[0]
    np.testing.assert_allclose(padded.x, plain.x, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(padded.u[:4], plain.u, rtol=1e-3, atol=1e-4)


def refused(**changes):
    problem = linear_problem()._replace(**changes)
    ji.trace(S.ml_vamp(0.1), problem, jnp.ones(problem.prior.in_shape or 4), 1)


def test_it_names_what_it_refuses():
    identity = ji.generators.from_function(jnp.multiply, jnp.ones(7), in_shape=(7,))
    with pytest.raises(TypeError, match=r"prior must be a network of layers.*levenberg_marquardt"):
        refused(prior=identity)
    link = O.single_index(O.identity(7), jnp.tanh)
    with pytest.raises(TypeError, match=r"operator must be linear, operators\.magnitude or oper"):
        refused(operator=link, y=jnp.ones(7))
    with pytest.raises(ValueError, match=r"latent_std must be given where signs are measured"):
        refused(operator=O.sign(O.identity(7)), y=jnp.ones(7))


def test_then_starts_the_second_where_the_first_has_ended():
    family = ji.problems.generative((3, 30), 20, noise_std=0.01, dtype=floats())
    problem, key = family.sample(jax.random.key(0)), jax.random.key(0)
    first, second = S.ml_vamp(0.01), S.levenberg_marquardt()
    reached = ji.trace(first, problem, family.initial(key), 6)[0]
    by_hand = ji.trace(second, problem, reached.u, 2)[0]
    both = ji.trace(S.then(first, second, num_steps=6), problem, family.initial(key), 2)[0]
    np.testing.assert_allclose(both.u, by_hand.u, rtol=1e-4, atol=1e-5)
    several = S.then(first, S.levenberg_marquardt(num_restarts=2), num_steps=6)
    state = ji.trace(several, problem, family.initial(key, 2), 2)[0]
    np.testing.assert_allclose(state.states[1].states.u[0], by_hand.u, rtol=1e-4, atol=1e-5)
