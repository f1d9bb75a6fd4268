"""AMP, VAMP and LAMP against NumPy loops, scikit-learn, state evolution and each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso

import jaxinv as ji
from jaxinv.shrinkage._posterior_mean import PosteriorMean

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N = 60, 120


def family(**options):
    return ji.problems.sparse(M, N, 0.08, **{"snr_db": 30, "dtype": DTYPE, **options})


@jax.jit
def sample(family, key):
    return family.sample(key)


def drawn(key=3, **options):
    return sample(family(**options), jax.random.key(key))


def run(solver, problem, num_steps):
    return ji.trace(solver, problem, jnp.zeros(problem.operator.in_shape, DTYPE), num_steps)[0]


def numpy_amp(A, y, multiplier, num_steps):
    """The textbook loop in float64, with columns of norm 1."""
    m, n = A.shape
    x, v = np.zeros(n), y.copy()
    for _ in range(num_steps):
        tau = np.linalg.norm(v) / np.sqrt(m)
        r = x + A.T @ v
        x = np.sign(r) * np.maximum(np.abs(r) - multiplier * tau, 0)
        v = y - A @ x + np.count_nonzero(x) / m * v
    return x


def numpy_vamp(A, y, sigma, shrink, num_steps):
    """Vector AMP in the form with matrix inverses (algorithm 3 of the source), in float64."""
    n = A.shape[1]
    mean, variance = np.zeros(n), np.sum(y**2) / np.sum(A**2)
    for _ in range(num_steps):
        covariance = np.linalg.inv(A.T @ A / sigma**2 + np.eye(n) / variance)
        x = covariance @ (A.T @ y / sigma**2 + mean / variance)
        slope = np.trace(covariance) / n / variance
        r = (x - slope * mean) / (1 - slope)
        spread = variance * slope / (1 - slope)
        x = np.asarray(shrink(r, np.sqrt(spread)), float)
        slope = np.mean(np.asarray(shrink.derivative(r, np.sqrt(spread)), float))
        mean = (x - slope * r) / (1 - slope)
        variance = spread * slope / (1 - slope)
    return x


def dense(problem):
    return np.asarray(problem.operator.matrix, float), np.asarray(problem.y, float)


def test_amp_is_the_textbook_loop():
    problem = drawn()
    A, y = dense(problem)
    got = run(ji.solvers.amp(ji.shrinkage.soft(1.2)), problem, 8).u
    np.testing.assert_allclose(got, numpy_amp(A, y, 1.2, 8), atol=3000 * EPS)


def test_a_fixed_point_of_amp_solves_the_lasso():
    problem = drawn(snr_db=15)
    A, y = dense(problem)
    solver = ji.solvers.amp(ji.shrinkage.soft(1.5))
    sol = ji.solve(solver, problem, jnp.zeros(N, DTYPE), tol=3e-7, max_steps=2000)
    assert int(sol.status) == ji.Status.CONVERGED
    tau = np.linalg.norm(sol.state.residual) / np.sqrt(M)
    penalty = 1.5 * tau * (1 - float(sol.state.onsager))
    reference = Lasso(alpha=penalty / M, fit_intercept=False, tol=1e-12, max_iter=100000).fit(A, y)
    np.testing.assert_allclose(sol.u, reference.coef_, atol=2e-5)
    assert 3 < np.count_nonzero(reference.coef_) < M


@pytest.mark.parametrize("snr_db", [30, 10])
def test_vamp_is_the_form_with_inverses(snr_db):
    problem = drawn(snr_db=snr_db, condition_number=10)
    A, y = dense(problem)
    sigma = 0.05 if snr_db == 30 else 0.3
    shrink = ji.shrinkage.posterior_mean(0.08)
    got = run(ji.solvers.vamp(shrink, sigma), problem, 5).u
    np.testing.assert_allclose(got, numpy_vamp(A, y, sigma, shrink, 5), atol=2e4 * EPS)


@partial(jax.jit, static_argnums=3)
def squares(solver, family, keys, num_steps):
    def trial(key):
        problem = family.sample(key)
        state, _ = ji.trace(solver, problem, family.initial(key), num_steps)
        return jnp.sum((state.u - problem.truth.x) ** 2), jnp.sum(problem.truth.x**2)

    return jax.lax.map(trial, keys)


def errors(solver, family, num_steps, num_trials):
    """Squared errors and signal energies of independent problems, one after the other."""
    keys = jax.random.split(jax.random.key(0), num_trials)
    return (np.asarray(part) for part in squares(solver, family, keys, num_steps))


@pytest.mark.parametrize(("snr_db", "expected"), [(40, -45.5), (20, -23.6)])
def test_amp_reaches_the_bayes_error(snr_db, expected):
    """The standard protocol, 16 steps: within 0.4 dB of the figure for 4000 signals."""
    solver = ji.solvers.amp(ji.shrinkage.posterior_mean(0.1))
    error, energy = errors(solver, ji.problems.sparse(snr_db=snr_db), 16, 150)
    assert 10 * np.log10(error.sum() / energy.sum()) == pytest.approx(expected, abs=0.4)


def test_vamp_converges_where_amp_diverges():
    shrink = ji.shrinkage.posterior_mean(0.08)
    ill = family(snr_db=40, condition_number=30)
    error, energy = errors(ji.solvers.amp(shrink), ill, 30, 8)
    assert np.mean(error > energy) > 0.8
    for noise_std in (None, float(np.sqrt(0.08 * N / M)) * 1e-2):
        error, energy = errors(ji.solvers.vamp(shrink, noise_std), ill, 30, 8)
        assert np.median(error / energy) < 1e-3


def test_vamp_estimates_the_noise():
    problem = drawn(snr_db=20, condition_number=5)
    state = run(ji.solvers.vamp(ji.shrinkage.posterior_mean(0.08)), problem, 40)
    noise = np.asarray(problem.truth.noise, float)
    # the estimate subtracts a fit of about ten entries, and has the spread of 60 samples
    assert np.sqrt(state.noise_variance) == pytest.approx(noise.std(), rel=0.3)


def test_damping_keeps_the_fixed_point():
    problem = drawn(snr_db=15)
    shrink = ji.shrinkage.soft(1.5)
    start = jnp.zeros(N, DTYPE)
    for make in (ji.solvers.amp, lambda s, damping=0.0: ji.solvers.vamp(s, 0.1, damping=damping)):
        plain = ji.solve(make(shrink), problem, start, tol=1e-6, max_steps=2000)
        damped = ji.solve(make(shrink, damping=0.3), problem, start, tol=1e-6, max_steps=2000)
        assert int(damped.status) == ji.Status.CONVERGED
        assert damped.num_steps != plain.num_steps
        np.testing.assert_allclose(damped.u, plain.u, atol=3e-5)


def test_padded_problems_are_the_small_ones():
    padded = drawn(num_nonzeros=5, active_measurements=40)
    small = padded._replace(
        operator=ji.operators.dense(padded.operator.matrix[:40]), y=padded.y[:40], truth=None
    )
    for solver in (
        ji.solvers.amp(ji.shrinkage.soft(1.3)),
        ji.solvers.vamp(ji.shrinkage.posterior_mean(0.05)),
    ):
        np.testing.assert_allclose(
            run(solver, padded, 8).u, run(solver, small, 8).u, atol=2e4 * EPS
        )
    without = ji.solvers.amp(ji.shrinkage.soft(1.3), num_measurements=M)
    got = run(without, padded, 8).u
    assert not np.allclose(got, run(ji.solvers.amp(ji.shrinkage.soft(1.3)), small, 8).u, atol=1e-4)


def test_columns_of_any_norm_are_the_normalized_problem():
    problem = drawn()
    norms = jnp.asarray(np.random.default_rng(0).uniform(0.3, 3, N), DTYPE)
    scaled = problem._replace(operator=ji.operators.dense(problem.operator.matrix * norms))
    solver = ji.solvers.amp(ji.shrinkage.soft(1.2))
    plain = run(solver, problem, 8).u
    np.testing.assert_allclose(run(solver, scaled, 8).u * norms, plain, atol=3000 * EPS)
    empty = problem.operator.matrix.at[:, 4].set(0)
    got = run(solver, problem._replace(operator=ji.operators.dense(empty)), 8).u
    assert np.all(np.isfinite(got))
    assert got[4] == 0


def test_other_operators_work_too():
    key = jax.random.key(1)
    A = ji.operators.subsampled_hadamard(key, 64, 128)
    norms = np.linalg.norm(np.asarray(A.todense()), axis=0)
    A = A / float(norms.mean())
    x = jnp.zeros(128, DTYPE).at[jnp.arange(6) * 17].set(jnp.linspace(1, 2, 6, dtype=DTYPE))
    problem = ji.Problem(A, A(x))
    shrink = ji.shrinkage.posterior_mean(0.05)
    for solver in (ji.solvers.amp(shrink), ji.solvers.vamp(shrink)):
        np.testing.assert_allclose(run(solver, problem, 40).u, x, atol=1e-3)


@pytest.mark.parametrize("name", ["amp", "vamp"])
def test_nothing_measured_gives_zero(name):
    problem = drawn()._replace(y=jnp.zeros(M, DTYPE))
    for shrink in (ji.shrinkage.soft(), ji.shrinkage.posterior_mean(0.1)):
        solver = getattr(ji.solvers, name)(shrink)
        sol = ji.solve(solver, problem, jnp.zeros(N, DTYPE))
        assert int(sol.status) == ji.Status.CONVERGED
        np.testing.assert_array_equal(sol.u, 0)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", ["soft", "posterior_mean"])
def test_untrained_lamp_is_amp(name, tied):
    problem = drawn()
    shrink = getattr(ji.shrinkage, name)(1.2 if name == "soft" else 0.1)
    layers = ji.unfolded.lamp(problem.operator, 8, shrinkage=shrink, tied=tied)
    expected = run(ji.solvers.amp(shrink), problem, 8).u
    np.testing.assert_allclose(ji.unfold(layers, problem), expected, atol=3000 * EPS)
    assert layers.solver.weights.shape == ((M, N) if tied else (8, M, N))


def test_gradients_of_lamp_are_finite_differences():
    problem = drawn(snr_db=20)
    layers = ji.unfolded.lamp(problem.operator, 4, shrinkage=ji.shrinkage.posterior_mean(0.1))
    trainable, frozen = layers.partition()

    @jax.jit
    def loss(shrinkage):
        u = ji.unfold(frozen.merge({**trainable, "shrinkage": shrinkage}), problem)
        return jnp.sum((u - problem.truth.x) ** 2)

    slope = jax.jit(jax.grad(loss))(trainable["shrinkage"])
    step = 1e-5 if X64 else 1e-2
    for name in ("log_odds", "log_variance"):
        base = getattr(trainable["shrinkage"], name)
        for layer in (0, 3):
            ends = [
                loss(
                    PosteriorMean(
                        **{
                            **vars(trainable["shrinkage"]),
                            name: base.at[layer].add(sign * step),
                        }
                    )
                )
                for sign in (1, -1)
            ]
            expected = float(ends[0] - ends[1]) / (2 * step)
            got = float(getattr(slope, name)[layer])
            np.testing.assert_allclose(got, expected, rtol=2e-2 if not X64 else 1e-6, atol=1e-4)


def test_lamp_has_no_nan_without_signal():
    problem = drawn()
    layers = ji.unfolded.lamp(problem.operator, 6, shrinkage=ji.shrinkage.posterior_mean(0.1))
    trainable, frozen = layers.partition()
    empty = problem._replace(y=jnp.zeros(M, DTYPE))

    def loss(trainable):
        return jnp.sum(ji.unfold(frozen.merge(trainable), empty) ** 2)

    value, slope = jax.jit(jax.value_and_grad(loss))(trainable)
    assert value == 0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))


def test_columns_that_are_not_unit_are_announced():
    with pytest.warns(UserWarning, match=r"lamp: columns have norms from 2 to 2"):
        ji.unfolded.lamp(2 * drawn().operator.matrix, 4)
