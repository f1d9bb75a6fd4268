"""What every solver promises, row by row of ``solver_cases.SOLVERS``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, rows
from solver_cases import SOLVERS, STEP

import jaxinv as ji
from jaxinv.operators._dense import Dense

every = rows(SOLVERS)
relu = rows([case for case in SOLVERS if case.family is SOLVERS[0].family])
STEPS = 3000
POWERS = (1e-18, 1e-9, 1.0, 1e9, 1e18)
SCALES = [pair for p in POWERS for pair in ((p, 1.0), (1.0, p), (p, p)) if p != 1]


@functools.cache
def drawn(family, num_restarts):
    """Three problems of a family, and a start for each."""
    family = family()
    keys = jax.random.split(jax.random.key(5), 3)
    batch = jax.jit(family.batch)(keys)
    if num_restarts is None:
        return batch, jax.jit(jax.vmap(family.initial))(keys)
    return batch, jax.jit(jax.vmap(lambda key: family.initial(key, num_restarts)))(keys)


def trial(case, index=0):
    return jax.tree.map(lambda leaf: leaf[index], drawn(case.family, case.num_restarts))


class Run:
    """``solve`` under jit for one row, counting its traces."""

    def __init__(self, case, in_axes=None):
        self.traces = 0

        def run(value, problem, u0):
            self.traces += 1
            sol = ji.solve(case.make(value), problem, u0, tol=case.tol, max_steps=STEPS)
            return sol.u, sol.status, sol.num_steps, sol.error

        self.call = jax.jit(run if in_axes is None else jax.vmap(run, in_axes=in_axes))


@functools.cache
def compiled(index):
    return Run(SOLVERS[index])


def single(case):
    return compiled(SOLVERS.index(case))


def assert_same(got, expected):
    """Equal outcomes; the step at which rounding crosses the tolerance may move by a few."""
    np.testing.assert_array_equal(got[1], expected[1])
    np.testing.assert_allclose(got[2], expected[2], rtol=0.02, atol=2)
    np.testing.assert_allclose(got[0], expected[0], atol=2e-4)


@every
def test_it_converges_and_new_values_do_not_retrace(case):
    run = single(case)
    before = run.traces
    for value in case.values:
        for number in (value, jnp.asarray(value, floats())):
            _, status, num_steps, error = run.call(number, *trial(case))
            assert int(status) == ji.Status.CONVERGED
            assert 0 < int(num_steps) < STEPS
            assert float(error) <= case.tol
    assert run.traces - before <= 2  # Python floats are weakly typed, arrays are not


@every
def test_vmap_over_problems_equals_a_loop(case):
    batch, u0 = drawn(case.family, case.num_restarts)
    got = Run(case, (None, 0, 0)).call(case.values[0], batch, u0)
    for index in range(3):
        one = single(case).call(case.values[0], *trial(case, index))
        assert_same([part[index] for part in got], one)


@every
def test_vmap_over_one_leaf_equals_a_loop(case):
    values = jnp.asarray(case.values, floats())
    got = Run(case, (0, None, None)).call(values, *trial(case))
    for index, value in enumerate(case.values):
        one = single(case).call(value, *trial(case))
        assert_same([part[index] for part in got], one)
    assert np.any(np.asarray(got[2][0]) != got[2][1]) or np.any(got[0][0] != got[0][1])


@every
def test_state_structure_and_types_are_stable(case):
    problem, u0 = trial(case)
    solver = case.make(case.values[0])
    state = jax.eval_shape(solver.init, problem, u0)
    following, info = jax.eval_shape(solver.step, problem, state)
    assert jax.tree.structure(following) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(following), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
    one = solver.one_start(u0)
    assert (state.u.shape, state.u.dtype) == (one.shape, floats())
    for value in (info.loss, info.error):
        assert (value.shape, value.dtype) == ((), floats())


@every
def test_the_truth_is_never_read(case):
    problem, u0 = trial(case)
    poisoned = problem._replace(truth=jax.tree.map(lambda x: x * jnp.nan, problem.truth))
    solver = case.make(case.values[0])
    for start, step in [(solver.init, solver.step)]:
        _, info = jax.jit(lambda p, u, start=start, step=step: step(p, start(p, u)))(poisoned, u0)
        assert np.isfinite(info.loss)
        assert np.isfinite(info.error)


@every
def test_units_change_neither_answer_nor_status_nor_steps(case):
    problem, u0 = trial(case)
    problem, run = problem._replace(truth=None), single(case).call
    u, status, num_steps, _ = run(case.values[0], problem, u0)
    for operator, data in SCALES:
        a, b = (jnp.asarray(number, floats()) for number in (operator, data))
        other = problem._replace(operator=ji.operators.dense(problem.operator.matrix * a))
        other = other._replace(y=problem.y * b)
        got = run(case.value_in_units(operator, data), other, u0 / a * b)
        assert int(got[1]) == int(status), (operator, data)
        assert abs(int(got[2]) - int(num_steps)) <= 1, (operator, data)
        gap = np.asarray(got[0], float) * operator / data - np.asarray(u, float)
        assert np.linalg.norm(gap) <= 1e-4 * np.linalg.norm(u), (operator, data)


@pytest.mark.slow  # a program a row
@every
def test_a_traced_state_is_in_the_units_of_the_caller(case):
    problem, u0 = trial(case)
    problem = problem._replace(
        operator=ji.operators.dense(problem.operator.matrix * 2.0**-9),
        y=problem.y * 2.0**7,
        truth=None,
    )
    u0, solver = u0 * 2.0**16, case.make(case.value_in_units(2.0**-9, 2.0**7))

    @jax.jit
    def both(solver, problem, u0):
        state = ji.trace(solver, problem, u0, 2)[0]
        return solver.prepare(problem).step(problem, state), ji.trace(solver, problem, u0, 3)

    (by_hand, info), (traced, infos) = both(solver, problem, u0)
    for ours, theirs in zip(jax.tree.leaves(by_hand), jax.tree.leaves(traced), strict=True):
        size = float(jnp.max(jnp.abs(theirs))) if theirs.size else 0.0
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * size)
    np.testing.assert_allclose(info.loss, infos.loss[-1], rtol=1e-4, atol=1e-6 * infos.loss[0])
    np.testing.assert_allclose(info.error, infos.error[-1], rtol=1e-3)


@rows([case for case in SOLVERS if case.unit == STEP])
def test_a_tiny_step_is_not_converged(case):
    problem, u0 = trial(case)
    for share in (1e-4, 1e-12):
        _, status, _, error = single(case).call(share * case.values[0], problem, u0)
        assert int(status) in (ji.Status.STALLED, ji.Status.MAX_STEPS)
        assert float(error) > 100 * case.tol


@pytest.mark.parametrize("make", [ji.solvers.ista, ji.solvers.fista])
def test_a_step_that_no_entry_shows_is_not_converged(make):
    problem, _ = trial(next(case for case in SOLVERS if case.name == "ista"))
    far = jnp.ones(problem.operator.in_shape, floats())
    sol = ji.solve(make(1e-18, 0.1), problem, far, max_steps=5)
    np.testing.assert_array_equal(sol.u, far)
    assert int(sol.status) == ji.Status.MAX_STEPS


@every
def test_a_nan_in_the_operator_is_a_status_under_jit(case):
    problem, u0 = trial(case)
    broken = Dense(problem.operator.matrix.at[1, 2].set(jnp.nan))
    _, status, _, _ = single(case).call(case.values[0], problem._replace(operator=broken), u0)
    assert int(status) == ji.Status.NONFINITE


@every
def test_bad_numbers_are_a_status_under_jit(case):
    problem, u0 = trial(case)
    broken = problem._replace(y=problem.y.at[1].set(jnp.nan))
    _, status, num_steps, _ = single(case).call(case.values[0], broken, u0)
    assert (int(status), int(num_steps)) == (ji.Status.NONFINITE, 1)
    _, status, num_steps, _ = single(case).call(case.values[0], problem, u0 * jnp.inf)
    assert int(status) == ji.Status.INVALID_START
    with pytest.raises(ValueError, match=r"problem\.y must be finite, got 1 NaN"):
        ji.solve(case.make(case.values[0]), broken, u0)


@relu
def test_a_start_at_zero_is_refused_for_relu_priors(case):
    problem, u0 = trial(case)
    _, status, num_steps, _ = single(case).call(case.values[0], problem, 0 * u0)
    assert (int(status), int(num_steps)) == (ji.Status.INVALID_START, 0)
    with pytest.raises(ValueError, match=r"u0 must not be zero.*family\.initial"):
        ji.solve(case.make(case.values[0]), problem, 0 * u0)


@rows([case for case in SOLVERS if case.diverging])
def test_a_step_that_is_too_large_diverges(case):
    sol = ji.solve(case.diverging(), *trial(case), tol=case.tol)
    assert int(sol.status) in (ji.Status.DIVERGED, ji.Status.NONFINITE)
    assert int(sol.num_steps) < 50
    with pytest.raises(RuntimeError, match=r"DIVERGED|NONFINITE"):
        ji.raise_if_failed(sol)


@every
def test_a_solver_is_a_pytree_of_its_numbers(case):
    solver = case.make(case.values[0])
    leaves, structure = jax.tree.flatten(solver)
    assert float(case.values[0]) in [float(leaf) for leaf in leaves]
    assert structure == jax.tree.structure(case.make(case.values[1]))
