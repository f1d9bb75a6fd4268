"""State evolution of networks against sampling, closed forms and trials."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats

import jaxinv as ji
from jaxinv.theory.generative._network_evolution import _unit_variances, marchenko_pastur


def test_nodes_have_the_moments_of_random_matrices():
    rng = np.random.default_rng(0)
    for rows, columns in ((300, 200), (200, 300), (250, 250)):
        matrix = rng.normal(size=(rows, columns)) / columns**0.5
        squares = np.linalg.svd(matrix, compute_uv=False) ** 2
        values, weights = (np.asarray(part, float) for part in marchenko_pastur(rows, columns))
        for function in (np.ones_like, np.square, lambda s: 1 / (0.1 + s)):
            expected = function(squares).sum()
            np.testing.assert_allclose(weights @ function(values), expected, rtol=0.02)


@pytest.mark.parametrize(
    ("slope", "z", "h"), [(0.0, 3.0, 2.0), (0.0, 1.0, 1e3), (-1.0, 20.0, 1e4), (0.2, 5.0, 0.1)]
)
def test_variances_of_a_unit_are_those_of_samples(slope, z, h):
    """Of the conditional means on a grid of what is seen: the mean squared error around them."""
    rng = np.random.default_rng(1)
    seen_z = rng.normal(size=20000) * np.sqrt(1 - 1 / z)
    true_z = seen_z + rng.normal(size=20000) / np.sqrt(z)
    seen_h = np.where(true_z > 0, true_z, slope * true_z) + rng.normal(size=20000) / np.sqrt(h)
    nodes = np.linspace(-6, 6, 1201)[:, None]  # of the noise in z, at each trial
    errors = []
    for part in np.array_split(np.arange(20000), 20):
        points = seen_z[part] + nodes / np.sqrt(z)
        images = np.where(points > 0, points, slope * points)
        log = -0.5 * nodes**2 - 0.5 * h * (images - seen_h[part]) ** 2
        weights = np.exp(log - log.max(0))
        weights /= weights.sum(0)
        for values in (points, images):
            mean = (weights * values).sum(0)
            errors.append((weights * (values - mean) ** 2).sum(0))
    found = _unit_variances(slope, jnp.asarray(z, floats()), jnp.asarray(h, floats()))
    for index, value in enumerate(found):
        sample = np.concatenate(errors[index::2])
        scatter = sample.std() / sample.size**0.5
        assert abs(float(value) - sample.mean()) < 4 * scatter + 2e-3 * sample.mean()


def test_one_linear_layer_has_the_closed_form():
    """Of the posterior of a Gaussian vector, reached by the second step."""
    key, other = jax.random.split(jax.random.key(0))
    G = ji.generators.piecewise_linear(key, (30, 50), negative_slope=1.0)
    A = ji.operators.gaussian(other, 40, 50)
    J, matrix = np.asarray(G.params["weights"][0], float), np.asarray(A.matrix, float)
    covariance = np.linalg.inv(np.eye(30) + (matrix @ J).T @ (matrix @ J) / 0.3**2)
    expected = np.trace(J @ covariance @ J.T) / np.trace(J @ J.T)
    found = ji.theory.network_state_evolution(G, A, noise_std=0.3, num_steps=30)
    # singular vectors of two random matrices are in general position up to a share 1/k
    np.testing.assert_allclose(found.nmse[-1], expected, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["values", "magnitudes", "signs"])
def test_it_predicts_trials(output):
    def one(key):
        keys = jax.random.split(key, 4)
        G = ji.generators.relu(keys[0], (100, 300, 400))
        z, A = jax.random.normal(keys[1], (100,)), ji.operators.gaussian(keys[2], 400, 400)
        x, noise = G(z), 0.05 * jax.random.normal(keys[3], (400,))
        operator, y = A, A(x) + noise
        if output == "magnitudes":
            operator, y = ji.operators.magnitude(A), jnp.abs(A(x)) + noise
        if output == "signs":
            operator, y = ji.operators.sign(A), jnp.sign(A(x) + noise)
        problem = ji.Problem(operator, y, G, ji.problems.Truth(z, x))
        solver = ji.solvers.ml_vamp(0.05, 1.0, damping=0.0)
        _, (_, errors) = ji.trace(solver, problem, jnp.ones(100), 8, measure=_error)
        return errors / 50

    errors = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(0), 12))
    law = ji.theory.network_state_evolution(
        (100, 300, 400), 400, noise_std=0.05, output=output, num_steps=8
    )
    mean, scatter = np.mean(errors, 0), np.std(errors, 0, ddof=1) / 12**0.5
    assert np.all(np.abs(mean - law.nmse) < 3.5 * scatter + 0.05 * np.asarray(law.nmse))


def _error(problem, state):
    return jnp.sum(jnp.square(state.x - problem.truth.x))


def test_it_refuses_biases_and_widths_with_an_operator():
    biased = ji.generators.piecewise_linear(jax.random.key(0), (3, 5), bias_std=0.1)
    A = ji.operators.identity(5)
    with pytest.raises(ValueError, match="network must have no biases, got 1 of them"):
        ji.theory.network_state_evolution(biased, A, noise_std=0.1)
    with pytest.raises(TypeError, match="network must be a generator"):
        ji.theory.network_state_evolution((3, 5), A, noise_std=0.1)
