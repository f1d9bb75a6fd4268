"""Families of problems: distributions, padded against exact shapes, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
NUM_TRIALS = 300


def keys(seed):
    return jax.random.split(jax.random.key(seed), NUM_TRIALS)


@jax.jit
def batch(family, keys):
    """All trials by one program: families that differ in their leaves share it."""
    return family.batch(keys)


@jax.jit
def drawn_matrices(family, keys):
    """The matrices alone: what else a trial draws is not compiled."""
    return family.batch(keys).operator.matrix


def matrices(family):
    return np.asarray(drawn_matrices(family, keys(0)), np.float64)


@jax.jit
def signals(family, keys):
    """The signals alone."""
    return family.batch(keys).truth.x


# --- sparse signals -----------------------------------------------------------------------------


def test_columns_have_unit_norm_and_entries_their_variance():
    A = matrices(ji.problems.sparse(12, 24, dtype=DTYPE))
    np.testing.assert_allclose(np.linalg.norm(A, axis=1), 1, rtol=20 * EPS)
    A = matrices(ji.problems.sparse(12, 24, unit_columns=False, dtype=DTYPE))
    squares = 12 * A.ravel() ** 2
    assert abs(np.mean(squares) - 1) < 4 * np.std(squares) / np.sqrt(squares.size)
    assert abs(np.mean(squares**2) - 3) < 4 * np.std(squares**2) / np.sqrt(squares.size)


def test_bernoulli_gaussian_signals():
    family = ji.problems.sparse(12, 24, 0.2, dtype=DTYPE)
    x = np.asarray(signals(family, keys(1)), np.float64)
    num_nonzeros = np.sum(x != 0, axis=1)
    p_value = stats.chisquare(*binned_binomial(num_nonzeros, 24, 0.2)).pvalue
    assert p_value > 0.01
    assert stats.kstest(x[x != 0], "norm").pvalue > 0.01


def binned_binomial(counts, n, p):
    """Observed and expected numbers of trials for counts 0-2, 3, ..., 6, 7 and more."""
    edges = np.array([3, 4, 5, 6, 7])
    observed = np.bincount(np.digitize(counts, edges), minlength=6)
    upper = np.concatenate([stats.binom.cdf(edges - 1, n, p), [1.0]])
    return observed, counts.size * np.diff(upper, prepend=0.0)


def test_exact_signals_have_their_number_of_entries_at_uniform_places():
    family = ji.problems.sparse(12, 24, num_nonzeros=5, dtype=DTYPE)
    x = np.asarray(batch(family, keys(2)).truth.x)
    np.testing.assert_array_equal(np.sum(x != 0, axis=1), 5)
    assert stats.chisquare(np.sum(x != 0, axis=0)).pvalue > 0.01
    assert stats.kstest(x[x != 0], "norm").pvalue > 0.01
    none = ji.problems.sparse(12, 24, num_nonzeros=0, dtype=DTYPE)
    np.testing.assert_array_equal(batch(none, keys(2)).y, 0)


@pytest.mark.parametrize("condition_number", [1.0, 30.0])
def test_condition_number_makes_a_geometric_ladder(condition_number):
    family = ji.problems.sparse(
        12, 24, condition_number=condition_number, unit_columns=False, dtype=DTYPE
    )
    A = matrices(family)[0]
    values = np.linalg.svd(A, compute_uv=False)
    expected = condition_number ** (-np.arange(12) / 11)
    np.testing.assert_allclose(values / values[0], expected, rtol=1e-4)
    np.testing.assert_allclose(np.sum(values**2), 24, rtol=1e-4)


def test_condition_number_after_normalized_columns_is_near_the_one_measured():
    # 250 x 500: 4.97 for 5 and 29.5 for 30; small matrices vary more
    family = ji.problems.sparse(60, 120, condition_number=5.0, dtype=DTYPE)
    A = np.asarray(jax.jit(family.sample)(jax.random.key(0)).operator.matrix, np.float64)
    values = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=20 * EPS)
    assert 4.5 < values[0] / values[-1] < 5.5


def test_noise_follows_the_ratio_of_each_trial():
    family = ji.problems.sparse(200, 40, 0.5, 10.0, dtype=DTYPE)
    problems = batch(family, keys(3))
    clean = np.sum(np.asarray(problems.y - problems.truth.noise, np.float64) ** 2, axis=1)
    noise = np.sum(np.asarray(problems.truth.noise, np.float64) ** 2, axis=1)
    assert np.std(clean) > 0.1 * np.mean(clean)  # signals differ in energy; the ratio does not
    np.testing.assert_allclose(10 * np.log10(clean / noise), 10.0, atol=1.5)


def test_sizes_and_type_are_those_of_a_given_operator():
    operator = ji.operators.dense(jnp.ones((6, 9), DTYPE))
    family = ji.problems.sparse(operator=operator)
    problem = family.sample(jax.random.key(0))
    assert (problem.y.shape, problem.truth.x.shape) == ((6,), (9,))
    assert problem.truth.x.dtype == family.initial(jax.random.key(0)).dtype == DTYPE


def test_a_shared_operator_may_be_complex():
    mask = ji.operators.random_mask(jax.random.key(0), 24, 0.5)
    operator = ji.operators.subsampled_fourier(mask, real=True)
    family = ji.problems.sparse(24, 24, snr_db=20.0, operator=operator, dtype=DTYPE)
    problem = jax.jit(family.sample)(jax.random.key(1))
    assert jnp.iscomplexobj(problem.y)
    assert problem.truth.x.dtype == DTYPE
    assert family.axes.operator is None


# --- padded against exact shapes ----------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0)
def recovery_errors(solver_of, family, keys):
    """The recovery error of every trial; sizes in use are arguments of the program."""

    def trial(key):
        problem = family.sample(key)
        state, _ = ji.trace(solver_of(), problem, family.initial(key), 8)
        return ji.metrics.relative_error(problem.signal(state.u), problem.truth.x)

    return jax.vmap(trial)(keys)


def descent():
    return ji.solvers.subgradient(0.3)


def fista():
    return ji.solvers.fista(0.1, 0.05)


def generative(widths, num_measurements, **options):
    return ji.problems.generative(widths, num_measurements, noise_norm=0.1, dtype=DTYPE, **options)


def sparse(num_measurements, **options):
    return ji.problems.sparse(num_measurements, 24, snr_db=20.0, dtype=DTYPE, **options)


@functools.cache
def errors(name):
    families = {
        "generative": (generative((3, 20, 16), 8), descent),
        "generative padded": (
            generative((6, 20, 16), 12, active_latent=3, active_measurements=8),
            descent,
        ),
        "generative wrong": (
            generative((6, 20, 16), 12, active_latent=5, active_measurements=8),
            descent,
        ),
        "sparse": (sparse(12, num_nonzeros=3), fista),
        "sparse padded": (sparse(20, num_nonzeros=3, active_measurements=12), fista),
        "sparse wrong": (sparse(20, num_nonzeros=3, active_measurements=15), fista),
    }
    family, solver_of = families[name]
    return np.asarray(recovery_errors(solver_of, family, keys(hash_of(name))))


def hash_of(name):
    """Another seed for each sample: they must not be paired."""
    return sum(name.encode())


@pytest.mark.parametrize("name", ["generative", "sparse"])
def test_padded_and_exact_shapes_agree_in_distribution(name):
    assert stats.ks_2samp(errors(name), errors(f"{name} padded")).pvalue > 0.01


@pytest.mark.parametrize("name", ["generative", "sparse"])
def test_that_comparison_sees_another_size(name):
    assert stats.ks_2samp(errors(name), errors(f"{name} wrong")).pvalue < 0.01


@pytest.mark.parametrize("make", ["generative", "sparse"])
def test_padding_scales_the_measurements_by_the_active_size(make):
    if make == "generative":
        family = generative((3, 20, 16), 12, active_measurements=8)
    else:
        family = sparse(12, num_nonzeros=3, active_measurements=8, unit_columns=False)
    problems = batch(family, keys(0))
    A = np.asarray(problems.operator.matrix, np.float64)
    np.testing.assert_array_equal(A[:, 8:], 0)
    squares = 8 * A[:, :8].ravel() ** 2
    assert abs(np.mean(squares) - 1) < 4 * np.std(squares) / np.sqrt(squares.size)
    wrong = squares * 8 / 12  # had it been scaled by the padded size
    assert abs(np.mean(wrong) - 1) > 4 * np.std(wrong) / np.sqrt(wrong.size)
    assert np.all(np.asarray(problems.y)[:, :8] != 0)
    np.testing.assert_array_equal(np.asarray(problems.y)[:, 8:], 0)


def test_padded_condition_numbers_hold_for_the_active_rows():
    family = ji.problems.sparse(
        16, 24, active_measurements=10, condition_number=20.0, unit_columns=False, dtype=DTYPE
    )
    A = matrices(family)[0]
    values = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(values[:10] / values[0], 20.0 ** (-np.arange(10) / 9), rtol=1e-3)
    np.testing.assert_allclose(values[10:], 0, atol=1e-4)
    np.testing.assert_allclose(A[10:], 0, atol=1e-5)


def test_a_grid_of_sizes_compiles_once():
    traces = []

    @jax.jit
    def energy(active, count, key):
        traces.append(1)
        family = ji.problems.sparse(12, 24, num_nonzeros=count, active_measurements=active)
        return jnp.sum(family.sample(key).y ** 2)

    values = [energy(m, s, jax.random.key(0)) for m in (4, 8, 12) for s in (2, 4)]
    assert len(traces) == 1
    assert len({float(value) for value in values}) == 6


# --- the problem itself -------------------------------------------------------------------------


def test_jacobian_of_a_generative_problem_is_its_forward_mode():
    problem = jax.jit(generative((3, 20, 16), 8).sample)(jax.random.key(0))
    J = ji.problems.jacobian(problem, problem.truth.u)
    expected = jax.jit(jax.jacfwd(problem.predict))(problem.truth.u)
    np.testing.assert_allclose(J, expected, atol=50 * EPS)


def test_gradient_of_a_complex_unknown_is_the_ascent_direction():
    dtype = jnp.result_type(DTYPE, complex)
    operator = ji.operators.gaussian(jax.random.key(0), 6, 4, dtype=dtype)
    problem = ji.Problem(operator, jax.random.normal(jax.random.key(1), (6,), dtype))
    u = jax.random.normal(jax.random.key(2), (4,), dtype)
    loss, gradient = ji.problems.loss_and_gradient(problem, u)
    A = np.asarray(operator.matrix)
    residual = A @ np.asarray(u) - np.asarray(problem.y)
    np.testing.assert_allclose(gradient, A.conj().T @ residual, atol=50 * EPS)
    np.testing.assert_allclose(loss, 0.5 * np.sum(np.abs(residual) ** 2), rtol=20 * EPS)


def test_a_bad_key_is_refused():
    with pytest.raises(TypeError, match="key"):
        ji.problems.sparse().sample(3)
