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
O = ji.operators

M, N, S = 30, 60, 3

SOLVERS = {
    "iht": lambda s: ji.solvers.iht(s, 0.5),
    "niht": lambda s: ji.solvers.iht(s, normalized=True),
    "omp": lambda s: ji.solvers.omp(s),
    "cosamp": lambda s: ji.solvers.cosamp(s),
}
every = pytest.mark.parametrize("make", SOLVERS.values(), ids=SOLVERS)
each = pytest.mark.parametrize("name", SOLVERS)
pursuits = pytest.mark.parametrize("name", ["niht", "omp", "cosamp"])


@functools.cache
def trial(snr_db=None, seed=0, count=S):
    """A problem drawn by NumPy, so that it is the same one in float32 and float64."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(M, N))
    A /= np.linalg.norm(A, axis=0)
    truth = np.zeros(N)
    truth[rng.permutation(N)[:count]] = rng.choice([-1, 1], count) * rng.uniform(0.5, 2, count)
    y = A @ truth
    if snr_db is not None:
        y += rng.normal(size=M) * np.linalg.norm(y) / np.sqrt(M) * 10 ** (-snr_db / 20)
    A, y, truth = (jnp.asarray(v, DTYPE) for v in (A, y, truth))
    return ji.Problem(O.dense(A), y), truth


def start():
    return jnp.zeros(N, DTYPE)


def rewritten(problem, change):
    """The problem with another matrix, and the measurements that it has of the same signal."""
    return problem._replace(operator=O.dense(change(problem.operator.matrix)))


@functools.cache
def lanes(name):
    """What is solved in one batch: for each label the count, the tolerance and the problem."""
    (plain, truth), noisy = trial(), trial(25.0)[0]
    off = jnp.flatnonzero(truth == 0)[:10]
    found = {f"draw{seed}": (S, 1e-6, trial(None, seed)[0]) for seed in range(3)}
    found |= {f"count{s}": (s, 1e-6, plain) for s in range(1, 8)}
    found["no signal"] = S, 1e-6, plain._replace(y=0 * plain.y)
    found["no operator"] = S, 1e-6, rewritten(plain, lambda A: 0 * A)
    found["holes"] = S, 1e-6, rewritten(plain, lambda A: A.at[:, off].set(0))
    found["pair"] = 2, 1e-6, trial(20.0, 3, 2)[0]
    if name == "omp":
        found["early"] = 25, 0.1, noisy
        found["rank 3"] = 6, 1e-6, rewritten(noisy, lambda A: jnp.repeat(A[:, :3], 20, axis=1))
        ladder = jnp.asarray(np.geomspace(1, 1e-3, M), DTYPE)
        found["ill-conditioned"] = 20, 0.0, rewritten(noisy, lambda A: ladder[:, None] * A)
    if name == "cosamp":
        found |= {f"past{seed}": (14, 1e-6, trial(None, seed, 14)[0]) for seed in range(4)}
    return found


@functools.cache
def solutions(name):
    """Solve all of them by one program, in which the count is traced."""
    counts, tols, problems = zip(*lanes(name).values(), strict=True)
    problems = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)

    def run(count, tol, problem):
        return ji.solve(SOLVERS[name](count), problem, start(), tol=tol, max_steps=300)

    found = jax.jit(jax.vmap(run))(jnp.asarray(counts), jnp.asarray(tols, DTYPE), problems)
    return jax.tree.map(np.asarray, found)


def solved(name, label):
    index = list(lanes(name)).index(label)
    return jax.tree.map(lambda leaf: leaf[index], solutions(name))


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


@each
def test_noiseless_signals_are_recovered_exactly_each_in_its_own_time(name):
    # a fixed step may be trapped at another fixed point; on these draws it is not
    for seed in range(3):
        sol = solved(name, f"draw{seed}")
        assert int(sol.status) == ji.Status.CONVERGED
        np.testing.assert_allclose(sol.u, trial(None, seed)[1], atol=3e-5)
        assert np.count_nonzero(sol.u) == S
        assert sol.num_steps < (5 if name in ("omp", "cosamp") else 100)


@each
def test_one_program_serves_every_sparsity(name):
    for count in range(1, S + 1):
        assert np.count_nonzero(solved(name, f"count{count}").u) == count
    np.testing.assert_allclose(solved(name, f"count{S}").u, trial()[1], atol=1e-4)
    for count in range(S + 1, 8):
        assert np.count_nonzero(solved(name, f"count{count}").u) <= count


@each
def test_zero_measurements_and_zero_columns_are_harmless(name):
    sol = solved(name, "no signal")
    assert int(sol.status) == ji.Status.CONVERGED
    np.testing.assert_array_equal(sol.u, 0)
    assert np.all(np.isfinite(solved(name, "no operator").u))
    np.testing.assert_allclose(solved(name, "holes").u, trial()[1], atol=1e-4)


@pursuits
def test_the_support_is_the_best_of_all_supports(name):
    problem = trial(20.0, 3, 2)[0]
    A, y = as_numpy(problem)

    def fitted(support):
        values, *_ = np.linalg.lstsq(A[:, support], y, rcond=None)
        return np.sum((A[:, support] @ values - y) ** 2), support, values

    pairs = itertools.combinations(range(N), 2)
    _, support, values = min((fitted(list(pair)) for pair in pairs), key=lambda r: r[0])
    expected = np.zeros(N)
    expected[support] = values
    got = ji.solvers.debias(problem, solved(name, "pair").u)
    np.testing.assert_allclose(got, expected, atol=1000 * EPS)


@every
def test_a_sparsity_that_does_not_fit_is_one_line(make):
    problem, u0 = trial()[0], start()
    for value, got in ((M + 1, "31"), (N + 1, "61"), (0.6, "0.6, that is 36")):
        with pytest.raises(ValueError, match=f"num_nonzeros must be at most 30 .*, got {got}"):
            ji.solve(make(value), problem, u0)
    with pytest.raises(ValueError, match=r"num_nonzeros must be at most 30 .*, got 31"):
        jax.jit(lambda y: ji.solve(make(M + 1), problem._replace(y=y), u0).u)(problem.y)
    with pytest.raises(ValueError, match=r"solver\.num_nonzeros must be a scalar.*vmap"):
        ji.solve(make(jnp.asarray([2, 3])), problem, u0)


def test_restarts_pass_the_check_on():
    solver = ji.solvers.with_restarts(ji.solvers.cosamp(M + 1), 2)
    with pytest.raises(ValueError, match="num_nonzeros must be at most 30"):
        ji.solve(solver, trial()[0], jnp.zeros((2, N), DTYPE))


# --- iterative hard thresholding ---------------------------------------------------------------


def test_iht_iterates_are_those_of_the_paper():
    problem, u0 = trial(30.0)[0], start()
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
    for seed in range(3):
        problem, u0 = trial(20.0, seed)[0], start()
        expected, shrunk = normalized_iht(*as_numpy(problem), 12)
        solver = ji.solvers.iht(S, normalized=True)
        _, (_, got) = ji.trace(solver, problem, u0, 12, measure=unknown)
        np.testing.assert_allclose(got, expected, atol=1000 * EPS)
        shrinks += shrunk
    assert shrinks > 0  # the line search was exercised


def test_the_normalized_loss_never_rises_and_units_do_not_matter():
    problem, u0 = trial(20.0)[0], start()
    scaled = problem._replace(operator=O.dense(100 * problem.operator.matrix))
    solver = ji.solvers.iht(S, normalized=True)
    _, (info, u) = ji.trace(solver, scaled, u0, 12, measure=unknown)
    assert np.all(np.diff(info.loss) <= 1e-5 * info.loss[0])
    _, (_, plain) = ji.trace(solver, problem, u0, 12, measure=unknown)
    np.testing.assert_allclose(100 * u, plain, atol=1e-4)


def test_without_a_step_size_it_is_normalized():
    assert ji.solvers.iht(3).normalized
    assert not ji.solvers.iht(3, 0.5).normalized
    assert not ji.solvers.iht(3, normalized=False).normalized


# --- orthogonal matching pursuit ---------------------------------------------------------------


def test_omp_equals_scikit_learn_at_every_step():
    for seed in range(3):
        problem = trial(15.0, seed)[0]
        _, (_, got) = ji.trace(ji.solvers.omp(12), problem, start(), 12, measure=unknown)
        for s in range(1, 13):
            expected = orthogonal_mp(*as_numpy(problem), n_nonzero_coefs=s)
            np.testing.assert_array_equal(got[s - 1] != 0, expected != 0)
            np.testing.assert_allclose(got[s - 1], expected, atol=200 * EPS)


def test_omp_stops_at_the_relative_residual():
    A, y = as_numpy(trial(25.0)[0])
    sol = solved("omp", "early")
    expected = orthogonal_mp(A, y, tol=0.01 * np.sum(y**2))
    np.testing.assert_allclose(sol.u, expected, atol=200 * EPS)
    assert int(sol.num_steps) == np.count_nonzero(expected) < 25
    residual = np.linalg.norm(A @ sol.u.astype(np.float64) - y) / np.linalg.norm(y)
    np.testing.assert_allclose(sol.error, residual, rtol=1e-4)


def test_omp_stays_accurate_on_nearly_dependent_columns():
    state = solved("omp", "ill-conditioned").state
    assert int(state.num_chosen) == 20
    basis = state.basis[:20].astype(np.float64)
    np.testing.assert_allclose(basis @ basis.T, np.eye(20), atol=50 * EPS)
    A, y = as_numpy(lanes("omp")["ill-conditioned"][2])
    chosen = A[:, state.support[:20]]
    assert np.linalg.cond(chosen) > 50
    best = np.linalg.norm(y - chosen @ np.linalg.lstsq(chosen, y, rcond=None)[0])
    got = np.linalg.norm(y - A @ state.u.astype(np.float64))
    assert got <= best + 1e3 * EPS * np.linalg.norm(y)


def test_omp_ends_when_no_independent_column_is_left():
    sol = solved("omp", "rank 3")
    assert (int(sol.status), int(sol.num_steps)) == (ji.Status.CONVERGED, 4)
    assert int(sol.state.num_chosen) == 3
    A, y = as_numpy(lanes("omp")["rank 3"][2])
    best = np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(A @ sol.u, A @ best, atol=1000 * EPS)


@each
def test_complex_images_behind_a_fast_operator_and_a_prior_are_recovered(name):
    shape = (6, 6)
    mask = np.random.default_rng(0).random(shape) < 0.75
    operator, prior = O.subsampled_fourier(jnp.asarray(mask)), O.dct(shape).H
    places = tuple(jnp.asarray(v) for v in ((0, 2, 5), (1, 4, 3)))
    truth = jnp.zeros(shape, COMPLEX).at[places].set(jnp.asarray([2j, -1.5, 1 + 1j]))
    problem = ji.Problem(operator, operator(prior(truth)), prior)
    sol = ji.solve(SOLVERS[name](3 / 36), problem, 0 * truth)  # a fraction means the same
    np.testing.assert_allclose(sol.u, truth, atol=1e-4)
    np.testing.assert_allclose(sol.x, prior(truth), atol=1e-4)


@pytest.mark.parametrize("name", ["omp", "cosamp"])
def test_complex_measurements_of_a_real_signal_count_twice(name):
    operator = O.subsampled_fourier(jnp.arange(16) < 5, real=True)
    truth = jnp.zeros(16, DTYPE).at[jnp.asarray([3, 9])].set(jnp.asarray([1.0, -2.0], DTYPE))
    problem = ji.Problem(operator, operator(truth))
    sol = ji.solve(SOLVERS[name](2), problem, 0 * truth)
    assert sol.u.dtype == DTYPE
    np.testing.assert_allclose(sol.u, truth, atol=1e-4)


def test_omp_says_when_its_room_does_not_fit():
    with pytest.raises(ValueError, match=r"max_nonzeros must be at most 30 \(m = 30, n = 60\)"):
        ji.solve(ji.solvers.omp(0.1, max_nonzeros=31), trial()[0], start())


# --- compressive sampling matching pursuit -----------------------------------------------------


def test_cosamp_steps_are_those_of_the_paper():
    for seed in range(3):
        problem, u0 = trial(20.0, seed)[0], start()
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


def test_cosamp_past_its_limit_ends_without_nan():
    for seed in range(4):
        sol = solved("cosamp", f"past{seed}")
        assert np.all(np.isfinite(sol.u))
        assert int(sol.status) in (ji.Status.CONVERGED, ji.Status.STALLED)
