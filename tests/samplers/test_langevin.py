"""Langevin chains against posteriors in closed form and on a grid; what a chain says of itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

DTYPE = jnp.result_type(float)
NUM_PROBLEMS = 2000
KEY = jax.random.key(0)
langevin = ji.samplers.langevin


def normal(seed, shape):
    """Return entries that are the same numbers in either precision."""
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(DTYPE)


def measuring(seed, shape):
    return ji.operators.dense(normal(seed, shape) / np.sqrt(shape[0]).astype(DTYPE))


def relu(seed, widths):
    G = ji.generators.relu(jax.random.key(seed), widths)
    return jax.tree.map(lambda leaf: leaf.astype(DTYPE), G)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def moments(draws):
    u = np.asarray(draws.u, float).reshape(-1, draws.u.shape[-1])
    return u.mean(0), np.cov(u.T)


def statuses(draws):
    return {ji.Status(code) for code in np.asarray(draws.status).tolist()}


# --- a Gaussian posterior -----------------------------------------------------------------------


@functools.cache
def gaussian():
    """A linear generator with 3 latents, noise 1: the posterior is N(mean, cov)."""
    matrix = normal(1, (8, 3))
    G = ji.generators.from_function(jnp.matmul, matrix, in_shape=3)
    A = measuring(2, (6, 8))
    y = A(G(jnp.ones(3, DTYPE))) + 0.1
    J = np.asarray(A.matrix, float) @ np.asarray(matrix, float)
    cov = np.linalg.inv(J.T @ J + np.eye(3))
    return ji.Problem(A, y, G), cov @ J.T @ np.asarray(y, float), cov


def run_gaussian(step_size, **options):
    return ji.sample(
        langevin(step_size, 1.0, **options), gaussian()[0], normal(3, (256, 3)),
        key=KEY, num_steps=3200, burn_in=200, thin=5,
    )  # fmt: skip


def test_a_gaussian_posterior_is_that_of_the_closed_form():
    draws = run_gaussian(0.03)
    mean, cov = moments(draws)
    assert relative(cov, gaussian()[2]) < 0.02
    assert np.all(np.abs(mean - gaussian()[1]) < 0.02 * np.sqrt(np.diag(cov)))
    assert statuses(draws) == {ji.Status.SAMPLED}
    assert draws.u.shape == (256, 600, 3)
    assert draws.x.shape == (256, 600, 8)
    np.testing.assert_allclose(draws.x[3, 5], gaussian()[0].signal(draws.u[3, 5]), rtol=1e-4)
    errors = np.asarray(draws.u, float).mean((0, 1)) - gaussian()[1]
    errors /= np.sqrt(np.diag(cov) / np.asarray(draws.ess))
    assert np.max(np.abs(errors)) < 4  # the effective sizes are what the errors of the mean say


def test_a_long_step_without_adjustment_says_so():
    draws = run_gaussian(0.02, adjust=False)
    stiff = np.linalg.eigh(gaussian()[2])
    share = stiff[1][:, 0] @ moments(draws)[1] @ stiff[1][:, 0] / stiff[0][0]
    bias = 1 / (1 - 0.02 / stiff[0][0] / 2)  # of the Euler scheme, in closed form
    assert abs(share / bias - 1) < 0.02
    assert bias > 1.3
    assert statuses(draws) == {ji.Status.LONG_STEP}
    short = run_gaussian(0.001, adjust=False)
    assert np.min(short.accepted) > 0.99
    assert ji.Status.LONG_STEP not in statuses(short)
    with pytest.raises(RuntimeError, match="LONG_STEP"):
        ji.raise_if_failed(draws)


def test_a_step_that_nothing_survives_is_long_with_adjustment_too():
    draws = run_gaussian(3.0)
    assert statuses(draws) == {ji.Status.LONG_STEP}
    assert float(draws.accepted.max()) < 0.01


def test_an_exploding_chain_is_not_finite():
    assert statuses(run_gaussian(30.0, adjust=False)) == {ji.Status.NONFINITE}


# --- a ReLU network -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_relu_posterior_is_that_of_a_grid():
    noise_std = 1.0
    G = relu(3, (2, 20, 30))
    A = measuring(4, (10, 30))
    y = A(G(jnp.array([1.0, -0.5], DTYPE))) + noise_std * normal(5, (10,))
    problem = ji.Problem(A, y, G)
    axis = jnp.linspace(-6, 6, 601, dtype=DTYPE)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)

    @jax.jit
    def residuals(z):
        return jax.vmap(problem.residual)(z)

    points = np.asarray(grid, float)
    squares = np.sum(np.asarray(residuals(grid), float) ** 2, axis=1)
    weight = np.exp(-0.5 * squares / noise_std**2 - 0.5 * np.sum(points**2, axis=1))
    weight /= weight.sum()
    mean = weight @ points
    cov = (points - mean).T @ ((points - mean) * weight[:, None])
    starts = normal(6, (512, 2))
    options = {"key": KEY, "num_steps": 3500, "burn_in": 500, "thin": 10}
    draws = ji.sample(langevin(0.2, noise_std), problem, starts, **options)
    found = moments(draws)
    assert relative(found[1], cov) < 0.02
    assert np.linalg.norm(found[0] - mean) < 0.02 * np.sqrt(np.trace(cov))
    assert statuses(draws) == {ji.Status.SAMPLED}
    draws = ji.sample(langevin(0.2, noise_std, adjust=False), problem, starts, **options)
    assert relative(moments(draws)[1], cov) > 0.1
    assert statuses(draws) == {ji.Status.LONG_STEP}


@pytest.mark.slow
def test_a_sample_has_twice_the_squared_error_of_the_mean():
    noise_std = 0.5
    A = measuring(4, (6, 12))
    G = relu(5, (4, 12, 12))

    @jax.jit
    @jax.vmap
    def errors(key):
        latent, noise, start, chain = jax.random.split(key, 4)
        z = jax.random.normal(latent, (4,), DTYPE)
        y = A(G(z)) + noise_std * jax.random.normal(noise, (6,), DTYPE)
        draws = ji.sample(
            langevin(0.15, noise_std), ji.Problem(A, y, G),
            jax.random.normal(start, (8, 4), DTYPE),
            key=chain, num_steps=600, burn_in=100, thin=10,
        )  # fmt: skip
        one = jnp.mean(jnp.sum((draws.x - G(z)) ** 2, -1))
        return one, jnp.sum((draws.x.mean((0, 1)) - G(z)) ** 2)

    one, mean = (np.asarray(value, float) for value in errors(jax.random.split(KEY, NUM_PROBLEMS)))
    ratio = one.mean() / mean.mean()
    spread = np.std(one - ratio * mean) / np.sqrt(NUM_PROBLEMS) / mean.mean()
    assert spread < 0.03, spread
    assert 1.9 < ratio < 2.1


# --- trees, keys, bad input ---------------------------------------------------------------------


def _product(params, z):
    return params * z["a"] + z["b"]


@pytest.fixture(scope="module")
def tree():
    G = ji.generators.from_function(_product, jnp.array([1.0, 2.0, 0.5], DTYPE))
    return ji.Problem(ji.operators.identity(3), jnp.ones(3, DTYPE), G)


def test_a_tree_of_unknowns_has_its_chains(tree):
    starts = {"a": normal(1, (32, 3)), "b": normal(2, (32, 3))}
    draws = ji.sample(
        langevin(0.06, 0.5), tree, starts, key=KEY, num_steps=12200, burn_in=200, thin=12
    )
    assert draws.u["a"].shape == (32, 1000, 3)
    assert draws.rhat["b"].shape == draws.ess["b"].shape == (3,)
    # y = c a + b + noise: the posterior means of a and b
    c = np.array([1.0, 2.0, 0.5])
    spread = c**2 + 1 + 0.25
    for name, slope in (("a", c), ("b", np.ones(3))):
        error = np.mean(draws.u[name], (0, 1)) - slope / spread
        variance = (1 - slope**2 / spread) / np.asarray(draws.ess[name])
        assert np.all(np.abs(error) < 4 * np.sqrt(variance))
        assert np.all(variance < 4e-4)
    assert statuses(draws) == {ji.Status.SAMPLED}


def test_draws_are_determined_by_the_key_and_thinned_from_one_chain(tree):
    starts = {"a": normal(1, (3, 3)), "b": normal(2, (3, 3))}
    run = functools.partial(ji.sample, langevin(0.06, 0.5), tree, starts)
    every = run(key=KEY, num_steps=20)
    again = run(key=jax.random.PRNGKey(0), num_steps=20)
    np.testing.assert_array_equal(every.u["a"], again.u["a"])
    thinned = run(key=KEY, num_steps=20, burn_in=8, thin=3)
    np.testing.assert_allclose(thinned.u["a"], every.u["a"][:, 10::3], rtol=1e-5)
    assert not np.array_equal(run(key=jax.random.key(1), num_steps=20).u["a"], every.u["a"])
    assert statuses(every) == {ji.Status.UNMIXED}


def test_a_density_for_other_libraries(tree):
    u = {"a": jnp.array([1.0, 0, 2], DTYPE), "b": jnp.array([0.5, 1, 0], DTYPE)}
    r = np.array([1.0, 0, 1.0]) + np.array([0.5, 1, 0]) - 1
    expected = -0.5 * np.sum(r**2) / 0.3**2 - 0.5 * (5 + 1.25)
    np.testing.assert_allclose(tree.log_density(u, 0.3), expected, rtol=1e-5)


def test_complex_noise_has_its_level_in_both_parts_together():
    """The density is that of the 2m real measurements, each with half of the variance."""
    G = ji.generators.from_function(jnp.multiply, jnp.ones(3, DTYPE), in_shape=3)
    matrix = normal(1, (5, 3)) + 1j * normal(2, (5, 3))
    y = normal(3, (5,)) + 1j * normal(4, (5,))
    z = normal(5, (3,))
    whole = ji.Problem(ji.operators.dense(matrix), y, G).log_density(z, 0.3)
    rows, data = (jnp.concatenate([jnp.real(v), jnp.imag(v)]) for v in (matrix, y))
    real = ji.Problem(ji.operators.dense(rows), data, G).log_density(z, 0.3 / np.sqrt(2))
    np.testing.assert_allclose(whole, real, rtol=1e-5)


def test_a_misfit_is_the_likelihood_of_the_density():
    G = ji.generators.from_function(jnp.multiply, jnp.ones(3, DTYPE), in_shape=3)
    A, y, z = normal(1, (5, 3)), np.array([1.0, -1, 1, 1, -1]), normal(5, (3,))
    problem = ji.Problem(ji.operators.dense(A), jnp.asarray(y, DTYPE), G)
    problem = problem._replace(misfit=ji.misfits.logistic())
    likelihood = np.sum(np.log1p(np.exp(-y * (np.asarray(A, float) @ np.asarray(z, float)))))
    expected = -likelihood / 1.5**2 - 0.5 * np.sum(np.square(np.asarray(z, float)))
    np.testing.assert_allclose(problem.log_density(z, 1.5), expected, rtol=1e-5)
    draws = ji.sample(
        langevin(0.3, 1.0), problem, normal(6, (8, 3)), key=KEY, num_steps=4200, burn_in=200, thin=4
    )
    assert statuses(draws) == {ji.Status.SAMPLED}
