"""What every solver promises, row by row of ``cases.SOLVERS``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SOLVERS, floats, rows

import jaxinv as ji

every = pytest.mark.parametrize("case", rows(SOLVERS))
relu = pytest.mark.parametrize(
    "case", rows([case for case in SOLVERS if case.family is SOLVERS[0].family])
)
STEPS = 3000


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


@pytest.mark.parametrize("case", rows([case for case in SOLVERS if case.diverging]))
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
