"""Decoders of generative priors against loops in NumPy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import floats, normal
from references import mean_and_error
from scipy import optimize, stats

import jaxinv as ji

S = ji.solvers
KEY = jax.random.key(6)


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("sensing", [False, True])
def test_plugin_is_the_papers_iteration(sensing):
    """In the paper's scaling N(0, 1/n) with its step 3, in NumPy; ours in He scaling with 3/8."""
    family = ji.problems.generative((3, 40, 50, 60), 45 if sensing else None, dtype=floats())
    problem, u0 = family.sample(KEY), family.initial(KEY)
    weights = [np.asarray(W, float) / np.sqrt(2) for W in problem.prior.params]
    matrix = np.asarray(problem.operator.todense(), float)
    y, x = np.asarray(problem.y, float), np.asarray(u0, float) * 2**1.5
    product = matrix @ weights[2] @ weights[1] @ weights[0]
    for _ in range(30):
        signal = relu(weights[2] @ relu(weights[1] @ relu(weights[0] @ x)))
        x = x - 3 * product.T @ (matrix @ signal - y)
    _, info = ji.trace(ji.solvers.plugin(3 / 8), problem, u0, 31)
    ours, _ = ji.trace(ji.solvers.plugin(3 / 8), problem, u0, 30)
    np.testing.assert_allclose(ours.u * 2**1.5, x, rtol=1e-4)
    signal = relu(weights[2] @ relu(weights[1] @ relu(weights[0] @ x)))
    residual = matrix @ signal - y
    error = np.linalg.norm(product.T @ residual) / np.linalg.norm(product.T @ y)
    np.testing.assert_allclose(info.error[-1], error, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("weight_scale", [1.0, 50.0])
def test_the_step_of_plugin_knows_the_scaling_of_the_weights(weight_scale):
    """.4 over the step is on average 1 in He scaling, where (A P)* A G(u) is on average u."""

    def share(key, scale):
        family = ji.problems.generative((3, 40, 60), None, weight_scale=scale, dtype=floats())
        return 0.4 / ji.solvers.plugin().init(family.sample(key), family.initial(key)).step_size

    shares = jax.jit(jax.vmap(share, (0, None)))(jax.random.split(KEY, 400), 2.0)
    mean, error = mean_and_error(np.asarray(shares))
    assert abs(mean - 1) < 4 * error < 0.2
    other = jax.jit(share)(jax.random.split(KEY, 400)[0], weight_scale)
    assert float(other / shares[0]) == pytest.approx((weight_scale / 2) ** 2, rel=1e-4)


def test_plugin_wants_layers_and_a_linear_operator():
    G = ji.generators.from_function(jnp.matmul, jnp.ones((4, 2)), in_shape=2)
    identity = ji.operators.identity(4)
    with pytest.raises(TypeError, match=r"problem\.prior must be a network of layers"):
        ji.solve(ji.solvers.plugin(), ji.Problem(identity, jnp.ones(4), G), jnp.ones(2))
    G = ji.generators.relu(KEY, (2, 4))
    problem = ji.Problem(ji.operators.magnitude(identity), jnp.ones(4), G)
    with pytest.raises(TypeError, match=r"problem\.operator must be linear.*levenberg"):
        ji.solve(ji.solvers.plugin(), problem, jnp.ones(2))


@pytest.mark.parametrize("factor", [1.0, 1e12])
def test_csgm_with_a_latent_penalty_is_ridge_regression(factor):
    keys = jax.random.split(KEY, 3)
    G = ji.generators.from_function(jnp.matmul, normal(keys[0], (30, 4)), in_shape=4)
    operator = ji.operators.gaussian(keys[1], 12, 30, dtype=floats())
    problem = ji.Problem(factor * operator, factor * normal(keys[2], (12,)), G)
    J = np.asarray(operator.todense() @ G.params, float)
    curvature = J.T @ J + 0.7 * np.eye(4)
    expected = np.linalg.solve(curvature, J.T @ np.asarray(problem.y / factor, float))
    step = 1 / np.linalg.eigvalsh(curvature)[-1]
    solver = ji.solvers.gradient(
        optax.sgd(step / factor**2), num_restarts=2, latent_penalty=0.7 * factor**2
    )
    sol = ji.solve(solver, problem, normal(KEY, (2, 4)), tol=1e-5)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_allclose(sol.u, expected, atol=1e-4 * abs(expected).max())


def _double_well(params, z):
    return params * (z**2 - 1)


def test_restarts_are_ranked_by_the_penalty_too():
    """Both ends meet y exactly; the energy alone tells them apart, and the truth is the other."""
    G = ji.generators.from_function(_double_well, jnp.ones(()), in_shape=1, energy=_from_one)
    truth = ji.problems.Truth(-jnp.ones(1), jnp.zeros(1))
    problem = ji.Problem(ji.operators.identity(1), jnp.zeros(1), G, truth)
    solver = ji.solvers.gradient(optax.sgd(0.05), num_restarts=2, latent_penalty=1e-3)
    sol = ji.solve(solver, problem, jnp.array([[-0.9], [1.3]]), tol=1e-4)
    np.testing.assert_allclose(sol.u, [1.0], atol=1e-3)
    with pytest.raises(ValueError, match="num_restarts must be >= 1"):
        ji.solvers.gradient(optax.sgd(0.1), num_restarts=0)


def _from_one(z):
    return 0.5 * jnp.sum(jnp.square(z - 1))


def test_layers_are_inverted_to_the_last_digits():
    def error(key):
        keys = jax.random.split(key)
        G = ji.generators.relu(keys[0], (6, 30, 90), dtype=floats())
        z = normal(keys[1], (6,))
        return ji.metrics.relative_error(ji.solvers.invert_layers(G, G(z)), z)

    assert np.all(jax.jit(jax.vmap(error))(jax.random.split(KEY, 20)) < 1e-5)


def test_a_noisy_layer_is_the_convex_problem_solved_by_scipy():
    G = ji.generators.relu(KEY, (4, 15), dtype=floats())
    y = G(normal(KEY, (4,))) + 0.05 * normal(jax.random.key(1), (15,))
    W, data = np.asarray(G.params[0], float), np.asarray(y, float)
    below = data <= 0.1 * data.max()

    def objective(h):
        residual = W @ h - data
        return 0.5 * np.sum(np.where(below, np.maximum(residual, 0), residual) ** 2)

    best = optimize.minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    assert 0 < below.sum() < 15
    np.testing.assert_allclose(ji.solvers.invert_layers(G, y, threshold=0.1), best.x, atol=1e-4)


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e-18, 1e18)])
def test_the_spectral_start_is_the_leading_eigenvector_in_the_range(units):
    """Of a linear generator with orthonormal columns B: that of Bᵀ V B."""
    keys = jax.random.split(KEY, 3)
    basis = jnp.linalg.qr(normal(keys[0], (30, 3)))[0]
    G = ji.generators.from_function(jnp.matmul, basis, in_shape=3)
    A = ji.operators.gaussian(keys[1], 60, 30, dtype=floats())
    y = jnp.abs(A(G(jnp.array([2.0, -1.0, 1.0], floats()))))
    matrix, weights = np.asarray(A.todense(), float), np.asarray(y - jnp.mean(y), float)
    V = np.asarray(basis, float).T @ (matrix.T * weights) @ matrix @ np.asarray(basis, float)
    leading = np.linalg.eigh(V)[1][:, -1]
    problem = ji.Problem(ji.operators.magnitude(units[0] * A), units[1] * y, G)
    start = ji.solvers.spectral_start(problem, normal(keys[2], (3,)), num_steps=60)
    direction = np.asarray(start / jnp.max(jnp.abs(start)), float)
    direction = direction / np.linalg.norm(direction)
    np.testing.assert_allclose(abs(direction @ leading), 1, atol=1e-4)


def test_a_spectral_start_recovers_more_magnitudes_than_a_random_one():
    family = ji.problems.generative((4, 40, 80), 30, dtype=floats())
    lm = ji.solvers.levenberg_marquardt()

    def success(key):
        linear, z0 = family.sample(key), family.initial(key)
        problem = linear._replace(
            operator=ji.operators.magnitude(linear.operator), y=jnp.abs(linear.y)
        )
        starts = (z0, ji.solvers.spectral_start(problem, z0))
        found = [ji.solve(lm, problem, u, max_steps=60).x for u in starts]
        return jnp.stack([ji.metrics.relative_error(x, linear.truth.x) < 1e-3 for x in found])

    random, spectral = jax.jit(lambda k: jax.lax.map(success, k))(jax.random.split(KEY, 60)).T
    gained, lost = np.sum(spectral & ~random), np.sum(random & ~spectral)
    assert stats.binomtest(int(gained), int(gained + lost), alternative="greater").pvalue < 0.01


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda A, G: ji.solvers.spectral_start(
                ji.Problem(ji.operators.sign(A), jnp.ones(4), G), jnp.ones(2)
            ),
            r"problem\.operator must be operators\.magnitude.*back_projected",
        ),
        (lambda A, G: ji.solvers.invert_layers(A, jnp.ones(4)), "must be a network of ReLU layers"),
        (lambda A, G: ji.solvers.invert_layers(G, jnp.ones(3)), r"x must have shape \(4,\)"),
    ],
)
def test_what_has_no_start_or_layers_is_refused(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call(ji.operators.identity(4), ji.generators.relu(KEY, (2, 4)))


def test_the_power_method_finds_a_spike_and_its_size():
    root = normal(jax.random.key(8), (12, 12))
    matrix = root + root.T
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    matrix = matrix - values[0] * jnp.eye(12)  # the largest value is then the largest in size
    problem = ji.Problem(ji.operators.outer(12), matrix)
    found = ji.solvers.spectral_start(problem, normal(jax.random.key(9), (12,)), num_steps=300)
    expected = np.sqrt(values[-1] - values[0]) * vectors[:, -1]
    sign = np.sign(expected @ np.asarray(found, np.float64))
    np.testing.assert_allclose(sign * found, expected, atol=2e-3)


def test_principal_components_with_a_generative_prior():
    family = ji.problems.spiked((3, 40, 150), noise_std=0.4)

    def errors(key):
        problem, u0 = family.sample(key), family.initial(key)
        x = problem.prior(ji.solvers.spectral_start(problem, u0, num_steps=20))
        values, vectors = jnp.linalg.eigh(problem.y)
        plain = vectors[:, -1] * jnp.sqrt(values[-1])
        truth = problem.truth.x
        return jnp.linalg.norm(x - truth), jnp.linalg.norm(plain * jnp.sign(plain @ truth) - truth)

    ours, plain = jax.lax.map(errors, jax.random.split(jax.random.key(10), 8))
    # ν √((k − ½)/n) = .052, and about ν without the prior
    assert jnp.sort(ours)[5] < 0.15
    assert jnp.median(ours) < 0.4 * jnp.median(plain)


@pytest.mark.parametrize(
    ("types", "over_range"),
    [("nww", False), ("nwn", False), ("wnn", False), ("nww", True), ("nwn", True)],
)
def test_mixed_types_are_computed_in_the_widest(types, over_range):
    """Weights, data and start, each narrow or wide: the answer is that of wide ones throughout."""
    wide = floats()
    narrow = jnp.float32 if wide == jnp.float64 else jnp.float16
    weights, data, start = ({"n": narrow, "w": wide}[letter] for letter in types)
    keys = jax.random.split(KEY, 2)
    G = ji.generators.relu(keys[0], (3, 20, 40), dtype=narrow)
    A = ji.operators.gaussian(keys[1], 25, 40, dtype=narrow).matrix
    y = A @ G(jnp.ones(3, narrow))

    def solved(weights, data, start):
        prior = jax.tree.map(lambda leaf: leaf.astype(weights), G)
        problem = ji.Problem(ji.operators.dense(A.astype(data)), y.astype(data), prior)
        u0 = jnp.asarray([1.0, 0.5, 1.5], start)
        if not over_range:
            return ji.solve(S.levenberg_marquardt(), problem, u0, max_steps=20)
        over = S.ista(0.5, prox=ji.prox.range_of(prior, S.levenberg_marquardt(), u0))
        return ji.solve(over, problem._replace(prior=None), jnp.ones(40, start), max_steps=5)

    found, expected = solved(weights, data, start), solved(wide, wide, wide)
    held = types[1:] if over_range else types  # the signal is the unknown there
    assert found.x.dtype == (wide if "w" in held else narrow)
    tol = 100 * float(jnp.finfo(found.x.dtype).eps)
    np.testing.assert_allclose(found.x, expected.x, atol=tol * np.max(np.abs(expected.x)))
