"""Hard thresholding and pursuits against NumPy, scikit-learn and brute force."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp

import jaxinv as ji
from jaxinv.solvers._sparsity import keep_largest, largest_entries, num_entries

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
COMPLEX = jnp.complex128 if X64 else jnp.complex64
EPS = float(jnp.finfo(DTYPE).eps)
KEY = jax.random.key(0)
O = ji.operators

M, N, S = 30, 60, 3

SOLVERS = {
    "iht": lambda s: ji.solvers.iht(s, 0.5),
    "niht": lambda s: ji.solvers.iht(s, normalized=True),
    "omp": lambda s: ji.solvers.omp(s),
    "cosamp": lambda s: ji.solvers.cosamp(s),
}
every = pytest.mark.parametrize("make", SOLVERS.values(), ids=SOLVERS)


@functools.cache
def drawn(snr_db=None, count=3):
    family = ji.problems.sparse(M, N, num_nonzeros=S, snr_db=snr_db, dtype=DTYPE)
    keys = jax.random.split(KEY, count)
    return jax.jit(family.batch)(keys), jax.vmap(family.initial)(keys)


def trial(snr_db=None, index=0):
    return jax.tree.map(lambda leaf: leaf[index], drawn(snr_db))


def as_numpy(problem):
    return np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)


def unknown(problem, state):
    return state.u


def threshold(v, count):
    """Keep the largest entries, of equal ones the first, by a stable sort."""
    kept = np.argsort(-np.abs(v), kind="stable")[:count]
    return np.where(np.isin(np.arange(v.size), kept), v, 0)


# --- the threshold ----------------------------------------------------------------------------


def test_the_threshold_keeps_exactly_so_many_entries_of_tied_ones():
    values = np.random.default_rng(0).integers(-3, 4, (40, 12)).astype(DTYPE)
    counts = np.arange(40) % 12 + 1
    got = jax.jit(jax.vmap(keep_largest))(jnp.asarray(values), jnp.asarray(counts))
    expected = [threshold(v, k) for v, k in zip(values, counts, strict=True)]
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(largest_entries(jnp.zeros(4, DTYPE), 2), False)
    wide = keep_largest(jnp.asarray([[3j, 1], [2, -4]], COMPLEX), 2)
    np.testing.assert_array_equal(wide, [[3j, 0], [0, -4]])


def test_counts_and_fractions_name_the_same_number():
    for size, count in itertools.product((10, 60, 500), (1, 3, 7, 10)):
        fraction = jnp.asarray(count / size, DTYPE)
        assert int(num_entries(fraction, size)) == int(num_entries(count, size)) == count
    assert int(num_entries(1e-9, 50)) == 1


# --- exact recovery, and what all of them share ------------------------------------------------


@every
def test_noiseless_signals_are_recovered_exactly_each_in_its_own_time(make):
    problems, u0 = drawn()
    run = jax.jit(jax.vmap(lambda p, u: ji.solve(make(S), p, u, tol=1e-6)))
    sol = run(problems, u0)
    np.testing.assert_array_equal(sol.status, ji.Status.CONVERGED)
    np.testing.assert_allclose(sol.u, problems.truth.u, atol=3e-5)
    np.testing.assert_array_equal(jnp.sum(sol.u != 0, axis=1), S)
    for index in range(3):
        one = ji.solve(make(S), *trial(None, index), tol=1e-6)
        assert abs(int(one.num_steps) - int(sol.num_steps[index])) <= 1


@every
def test_one_program_serves_every_sparsity(make):
    problem, u0 = trial()
    counts = jnp.arange(1, 8)
    run = jax.jit(jax.vmap(lambda s: ji.solve(make(s), problem, u0, max_steps=400).u))
    got = run(counts)
    np.testing.assert_array_equal(jnp.sum(got != 0, axis=1)[:S], counts[:S])
    np.testing.assert_allclose(got[S - 1], problem.truth.u, atol=1e-4)
    by_fraction = ji.solve(make(S / N), problem, u0, max_steps=400).u
    np.testing.assert_allclose(by_fraction, got[S - 1], atol=1e-4)


@every
def test_zero_measurements_and_zero_columns_are_harmless(make):
    problem, u0 = trial()
    sol = ji.solve(make(S), problem._replace(y=0 * problem.y), u0)
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_array_equal(sol.u, 0)
    empty = O.dense(0 * problem.operator.matrix)
    assert np.all(np.isfinite(ji.solve(make(S), problem._replace(operator=empty), u0).u))
    off = jnp.flatnonzero(problem.truth.u == 0)[:10]
    holed = problem._replace(operator=O.dense(problem.operator.matrix.at[:, off].set(0)))
    np.testing.assert_allclose(ji.solve(make(S), holed, u0).u, problem.truth.u, atol=1e-4)


@every
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "num_nonzeros must be finite and >= 1, got 0.*fraction"),
        (0.0, r"num_nonzeros must be in \(0, 1\], got 0.0"),
        (1.5, r"num_nonzeros must be in \(0, 1\], got 1.5.*integer"),
        (float("nan"), r"num_nonzeros must be in \(0, 1\], got nan"),
    ],
)
def test_a_sparsity_out_of_range_is_one_line(make, value, message):
    with pytest.raises(ValueError, match=message):
        make(value)


@every
def test_a_sparsity_that_does_not_fit_is_one_line(make):
    problem, u0 = trial()
    with pytest.raises(ValueError, match=f"num_nonzeros must be at most {N} .*, got 61"):
        ji.solve(make(N + 1), problem, u0)
    for value in (True, "5", None):
        with pytest.raises(TypeError, match="num_nonzeros must be a real number"):
            make(value)
    with pytest.raises(ValueError, match=r"solver\.num_nonzeros must be a scalar.*vmap"):
        ji.solve(make(jnp.asarray([2, 3])), problem, u0)


# --- iterative hard thresholding ---------------------------------------------------------------


def test_iht_iterates_are_those_of_the_paper():
    problem, u0 = trial(30.0)
    A, y = as_numpy(problem)
    u, expected = np.zeros(N), []
    for _ in range(20):
        u = threshold(u + 0.2 * A.T @ (y - A @ u), S)
        expected.append(u)
    _, (info, got) = ji.trace(ji.solvers.iht(S, 0.2), problem, u0, 20, measure=unknown)
    np.testing.assert_allclose(got, expected, atol=200 * EPS)
    move = np.linalg.norm(expected[5] - expected[4]) / 0.2 / np.linalg.norm(A.T @ y)
    np.testing.assert_allclose(info.error[5], move, rtol=1e-3)


def normalized_iht(A, y, num_steps):
    """Blumensath and Davies (2010), written from the paper; also how often a step shrank."""
    u, iterates, shrinks = np.zeros(A.shape[1]), [], 0
    for _ in range(num_steps):
        g = A.T @ (y - A @ u)
        support = np.flatnonzero(u) if u.any() else np.flatnonzero(threshold(g, S))
        step = np.sum(g[support] ** 2) / np.sum((A[:, support] @ g[support]) ** 2)
        new = threshold(u + step * g, S)
        while set(np.flatnonzero(new)) != set(support):
            stretch = np.sum((A @ (new - u)) ** 2)
            if step * stretch <= 0.99 * np.sum((new - u) ** 2):
                break
            step, shrinks = step / (2 * 0.99), shrinks + 1
            new = threshold(u + step * g, S)
        u = new
        iterates.append(u)
    return np.array(iterates), shrinks


def test_normalized_iterates_are_those_of_the_paper():
    shrinks = 0
    for index in range(3):
        problem, u0 = trial(20.0, index)
        expected, shrunk = normalized_iht(*as_numpy(problem), 12)
        solver = ji.solvers.iht(S, normalized=True)
        _, (_, got) = ji.trace(solver, problem, u0, 12, measure=unknown)
        np.testing.assert_allclose(got, expected, atol=1000 * EPS)
        shrinks += shrunk
    assert shrinks > 0  # the line search was exercised


def test_the_normalized_loss_never_rises_and_units_do_not_matter():
    problem, u0 = trial(20.0)
    scaled = problem._replace(operator=O.dense(100 * problem.operator.matrix))
    solver = ji.solvers.iht(S, normalized=True)
    _, (info, u) = ji.trace(solver, scaled, u0, 20, measure=unknown)
    assert np.all(np.diff(info.loss) <= 1e-5 * info.loss[0])
    _, (_, plain) = ji.trace(solver, problem, u0, 20, measure=unknown)
    np.testing.assert_allclose(100 * u, plain, atol=1e-4)


def test_a_fixed_step_is_refused_with_normalization():
    with pytest.raises(ValueError, match="step_size must be None with normalized=True"):
        ji.solvers.iht(3, 0.1, normalized=True)
    with pytest.raises(ValueError, match="step_size must be finite and > 0"):
        ji.solvers.iht(3, -0.1)


# --- orthogonal matching pursuit ---------------------------------------------------------------


def test_omp_equals_scikit_learn_at_every_step():
    problems, u0 = drawn(15.0)
    run = jax.jit(jax.vmap(lambda p, u: ji.trace(ji.solvers.omp(12), p, u, 12, measure=unknown)))
    _, (_, got) = run(problems, u0)
    for index in range(3):
        A, y = as_numpy(trial(15.0, index)[0])
        for s in range(1, 13):
            expected = orthogonal_mp(A, y, n_nonzero_coefs=s)
            np.testing.assert_array_equal(got[index, s - 1] != 0, expected != 0)
            np.testing.assert_allclose(got[index, s - 1], expected, atol=200 * EPS)


def test_omp_stops_at_the_relative_residual():
    problem, u0 = trial(25.0)
    A, y = as_numpy(problem)
    sol = ji.solve(ji.solvers.omp(25), problem, u0, tol=0.1)
    expected = orthogonal_mp(A, y, tol=0.01 * np.sum(y**2))
    np.testing.assert_allclose(sol.u, expected, atol=200 * EPS)
    assert int(sol.num_steps) == np.count_nonzero(expected) < 25
    residual = np.linalg.norm(A @ np.asarray(sol.u, np.float64) - y) / np.linalg.norm(y)
    np.testing.assert_allclose(sol.error, residual, rtol=1e-4)


def test_omp_stays_accurate_on_nearly_dependent_columns():
    family = ji.problems.sparse(
        M, N, num_nonzeros=20, condition_number=1e3, unit_columns=False, dtype=DTYPE
    )
    problem, u0 = jax.jit(family.sample)(KEY), family.initial(KEY)
    state, _ = ji.trace(ji.solvers.omp(20), problem, u0, 25)
    basis = np.asarray(state.basis, np.float64)
    np.testing.assert_allclose(basis @ basis.T, np.eye(20), atol=50 * EPS)
    A, y = as_numpy(problem)
    chosen = A[:, state.support]
    best = np.linalg.norm(y - chosen @ np.linalg.lstsq(chosen, y, rcond=None)[0])
    got = np.linalg.norm(y - A @ np.asarray(state.u, np.float64))
    assert got <= best + 1e3 * EPS * np.linalg.norm(y)


def test_omp_ends_when_no_independent_column_is_left():
    A = np.repeat(np.random.default_rng(1).normal(size=(8, 3)), 4, axis=1)  # rank 3
    y = np.random.default_rng(2).normal(size=8)
    problem = ji.Problem(O.dense(jnp.asarray(A, DTYPE)), jnp.asarray(y, DTYPE))
    sol = ji.solve(ji.solvers.omp(6), problem, jnp.zeros(12, DTYPE), tol=1e-6)
    assert (int(sol.status), int(sol.num_steps)) == (ji.Status.CONVERGED, 4)
    assert int(sol.state.num_chosen) == 3
    best = np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(A @ np.asarray(sol.u), A @ best, atol=1000 * EPS)


def test_pursuits_take_any_linear_operator_and_prior():
    mask = O.random_mask(KEY, (36,), 0.6)
    operator, prior = O.mask(mask), O.dct((36,)).H
    truth = jnp.zeros(36, DTYPE).at[jnp.asarray([3, 17, 30])].set(jnp.asarray([2.0, -1.0, 1.5]))
    matrix = (operator @ prior).todense()
    problem = ji.Problem(operator, matrix @ truth, prior)
    for make in SOLVERS.values():
        sol = ji.solve(make(3), problem, jnp.zeros(36, DTYPE), max_steps=3000)
        np.testing.assert_allclose(sol.u, truth, atol=1e-4)
        np.testing.assert_allclose(sol.x, prior @ truth, atol=1e-4)


@every
def test_pursuits_recover_complex_signals(make):
    operator = O.gaussian(KEY, 20, 30, dtype=COMPLEX)
    truth = jnp.zeros(30, COMPLEX).at[jnp.asarray([2, 11, 29])].set(jnp.asarray([2j, -1, 1 + 1j]))
    problem = ji.Problem(operator, operator @ truth)
    sol = ji.solve(make(3), problem, jnp.zeros(30, COMPLEX))
    np.testing.assert_allclose(sol.u, truth, atol=1e-4)


@pytest.mark.parametrize("make", [SOLVERS["omp"], SOLVERS["cosamp"]])
def test_pursuits_say_what_they_cannot_take(make):
    relu = ji.problems.generative((3, 20, 24), 18, dtype=DTYPE)
    with pytest.raises(ValueError, match=r"linear operator \(and prior\), got Dense after Relu"):
        ji.solve(make(2), relu.sample(KEY), relu.initial(KEY))
    operator = O.gaussian(KEY, 20, 30, dtype=COMPLEX)
    problem = ji.Problem(operator, operator @ jnp.ones(30, COMPLEX))
    with pytest.raises(ValueError, match="u0 must be complex"):
        ji.solve(make(2), problem, jnp.zeros(30, DTYPE))


def test_omp_says_when_its_room_does_not_fit():
    problem, u0 = trial()
    with pytest.raises(ValueError, match=r"must be at most 30 \(m = 30, n = 60\), got 31"):
        ji.solve(ji.solvers.omp(31), problem, u0)
    with pytest.raises(ValueError, match=r"num_nonzeros must be at most 4 \(max_nonzeros\), got 5"):
        ji.solvers.omp(5, max_nonzeros=4)


# --- compressive sampling matching pursuit -----------------------------------------------------


def test_cosamp_steps_are_those_of_the_paper():
    for index in range(3):
        problem, u0 = trial(20.0, index)
        A, y = as_numpy(problem)
        u, expected = np.zeros(N), []
        for _ in range(5):
            merged = (threshold(A.T @ (y - A @ u), 2 * S) != 0) | (u != 0)
            b = np.zeros(N)
            b[merged] = np.linalg.lstsq(A[:, merged], y, rcond=None)[0]
            u = threshold(b, S)
            expected.append(u)
        _, (_, got) = ji.trace(ji.solvers.cosamp(S), problem, u0, 5, measure=unknown)
        np.testing.assert_allclose(got, expected, atol=1000 * EPS)


@pytest.mark.parametrize("make", [SOLVERS[name] for name in ("niht", "omp", "cosamp")])
def test_the_support_is_the_best_of_all_supports(make):
    rng = np.random.default_rng(3)
    A = rng.normal(size=(14, 18)) / np.sqrt(14)
    truth = np.zeros(18)
    truth[[4, 12]] = 1.5, -2.0
    y = A @ truth + 0.05 * rng.normal(size=14)

    def solved(support):
        values, *_ = np.linalg.lstsq(A[:, support], y, rcond=None)
        return np.sum((A[:, support] @ values - y) ** 2), support, values

    _, support, values = min(
        (solved(list(pair)) for pair in itertools.combinations(range(18), 2)), key=lambda r: r[0]
    )
    expected = np.zeros(18)
    expected[support] = values
    problem = ji.Problem(O.dense(jnp.asarray(A, DTYPE)), jnp.asarray(y, DTYPE))
    sol = ji.solve(make(2), problem, jnp.zeros(18, DTYPE))
    np.testing.assert_allclose(ji.solvers.debias(problem, sol.u), expected, atol=1000 * EPS)


def test_cosamp_past_its_limit_ends_without_nan():
    family = ji.problems.sparse(12, 40, num_nonzeros=8, dtype=DTYPE)
    keys = jax.random.split(KEY, 8)
    problems, u0 = family.batch(keys), jax.vmap(family.initial)(keys)
    sol = jax.jit(jax.vmap(lambda p, u: ji.solve(ji.solvers.cosamp(8), p, u)))(problems, u0)
    assert np.all(np.isfinite(sol.u))
    assert set(np.unique(sol.status)) <= {ji.Status.CONVERGED, ji.Status.STALLED}
