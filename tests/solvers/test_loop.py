"""``solve`` and ``trace`` by a solver whose losses and errors are written down beforehand."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv._core import pytree
from jaxinv.solvers import Info, Solver

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
SIZE = 40


class ScriptState(NamedTuple):
    u: jax.Array
    step: jax.Array


@pytree
class Script(Solver):
    """At step t, report the t-th loss and error and add 1 to ``u``."""

    losses: Any
    errors: Any

    patience = 6

    def init(self, problem, u0):
        return ScriptState(u0, jnp.zeros((), jnp.int32))

    def step(self, problem, state):
        info = Info(self.losses[state.step], self.errors[state.step])
        return ScriptState(state.u + 1, state.step + 1), info


PROBLEM = ji.Problem(ji.operators.identity((2,)), jnp.array([3.0, 4.0], DTYPE))
U0 = jnp.zeros(2, DTYPE)  # start loss ½‖y‖² = 12.5; divergence above 1e4 times that
FALLING = 10.0 * 0.5 ** np.arange(SIZE)


def run(losses=FALLING, errors=None, tol=1e-3, max_steps=30, problem=PROBLEM):
    errors = np.ones(SIZE) if errors is None else errors
    solver = Script(jnp.asarray(losses, DTYPE), jnp.asarray(errors, DTYPE))
    sol = ji.solve(solver, problem, U0, tol=tol, max_steps=max_steps)
    return ji.Status(int(sol.status)), int(sol.num_steps), sol


def at(step, value, rest=1.0):
    """A sequence that is ``value`` at one step (counted from 1) and ``rest`` elsewhere."""
    return np.where(np.arange(1, SIZE + 1) == step, value, rest)


def test_it_stops_at_the_first_error_below_the_tolerance():
    status, num_steps, sol = run(errors=at(9, 1e-3))
    assert (status, num_steps) == (ji.Status.CONVERGED, 9)
    np.testing.assert_array_equal(sol.u, 9.0)
    np.testing.assert_array_equal(sol.x, 9.0)
    assert float(sol.error) == pytest.approx(1e-3)


def test_it_stops_at_the_last_step():
    assert run()[:2] == (ji.Status.MAX_STEPS, 30)
    assert run(max_steps=7)[:2] == (ji.Status.MAX_STEPS, 7)
    assert run(max_steps=jnp.asarray(7))[:2] == (ji.Status.MAX_STEPS, 7)


def test_no_step_returns_the_start():
    status, num_steps, sol = run(max_steps=0)
    assert (status, num_steps) == (ji.Status.MAX_STEPS, 0)
    np.testing.assert_array_equal(sol.u, U0)


def test_a_plateau_stalls_after_the_solvers_patience():
    # the loss halves until step 10 and stands still from there on: 6 steps of patience
    losses = np.where(np.arange(1, SIZE + 1) <= 10, FALLING, FALLING[9])
    assert run(losses)[:2] == (ji.Status.STALLED, 16)
    barely = losses * (1 - 1e-4 * np.arange(SIZE))  # less than a thousandth in six steps
    assert run(barely)[:2] == (ji.Status.STALLED, 16)
    enough = losses * 0.9995 ** np.arange(SIZE)  # more than that
    assert run(enough)[:2] == (ji.Status.MAX_STEPS, 30)


def test_growth_diverges():
    assert run(at(5, 12.5 * 0.9e4))[0] == ji.Status.STALLED
    assert run(at(5, 12.5 * 1.1e4))[:2] == (ji.Status.DIVERGED, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_stop(bad):
    assert run(at(4, bad))[:2] == (ji.Status.NONFINITE, 4)
    assert run(errors=at(4, bad))[:2] == (ji.Status.NONFINITE, 4)


def test_the_worst_news_wins():
    assert run(at(5, 1e9), at(5, 0.0))[0] == ji.Status.DIVERGED
    assert run(at(5, np.nan), at(5, 0.0))[0] == ji.Status.NONFINITE


def test_without_a_tolerance_every_step_runs():
    flat = np.ones(SIZE)
    assert run(flat, np.zeros(SIZE), tol=0)[:2] == (ji.Status.MAX_STEPS, 30)
    assert run(flat, np.zeros(SIZE), tol=1e-9)[:2] == (ji.Status.CONVERGED, 1)
    assert run(at(5, np.nan), tol=0)[:2] == (ji.Status.NONFINITE, 5)


def test_lanes_of_a_batch_stop_by_themselves():
    losses = jnp.asarray(np.stack([FALLING, at(4, np.nan), np.ones(SIZE)]), DTYPE)
    errors = jnp.asarray(np.stack([at(9, 0.0), np.ones(SIZE), np.ones(SIZE)]), DTYPE)
    sol = jax.vmap(lambda s: ji.solve(s, PROBLEM, U0, tol=1e-3, max_steps=30))(
        Script(losses, errors)
    )
    expected = [ji.Status.CONVERGED, ji.Status.NONFINITE, ji.Status.STALLED]
    np.testing.assert_array_equal(sol.status, expected)
    np.testing.assert_array_equal(sol.num_steps, [9, 4, 7])
    np.testing.assert_array_equal(sol.u[:, 0], [9, 4, 7])
    assert sol.status.dtype == jnp.int32
    with pytest.raises(RuntimeError, match="NONFINITE"):
        ji.raise_if_failed(sol)
    text = ji.describe(sol.status)
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "CONVERGED",
        "STALLED",
        "NONFINITE",
    ]


def test_new_numbers_do_not_retrace():
    traces = []

    @jax.jit
    def go(losses, errors, tol, max_steps):
        traces.append(tol)
        return ji.solve(Script(losses, errors), PROBLEM, U0, tol=tol, max_steps=max_steps).num_steps

    errors = jnp.asarray(at(9, 1e-3), DTYPE)
    assert int(go(jnp.asarray(FALLING, DTYPE), errors, 1e-2, 30)) == 9
    assert int(go(jnp.asarray(2 * FALLING, DTYPE), errors, 1e-6, 12)) == 12
    assert len(traces) == 1


def total(problem, state):
    return jnp.sum(state.u)


def test_trace_records_every_step():
    solver = Script(jnp.asarray(FALLING, DTYPE), jnp.asarray(at(9, 0.0), DTYPE))
    state, info = ji.trace(solver, PROBLEM, U0, 12)
    np.testing.assert_allclose(info.loss, FALLING[:12], rtol=1e-6)
    np.testing.assert_array_equal(info.error, at(9, 0.0)[:12])
    np.testing.assert_array_equal(state.u, 12.0)
    state, (info, sums) = ji.trace(solver, PROBLEM, U0, 12, measure=total)
    np.testing.assert_array_equal(sums, 2.0 * np.arange(1, 13))
    assert ji.trace(solver, PROBLEM, U0, 0)[1].loss.shape == (0,)


def test_raise_if_failed_passes_what_is_usable():
    for errors in (at(9, 0.0), np.ones(SIZE)):
        sol = run(errors=errors)[2]
        assert ji.raise_if_failed(sol) is sol
    with pytest.raises(RuntimeError, match="DIVERGED: the loss grew"):
        ji.raise_if_failed(run(at(5, 1e9))[2])


SOLVER = Script(jnp.asarray(FALLING, DTYPE), jnp.ones(SIZE, DTYPE))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.solve(SOLVER, PROBLEM, U0, tol=-1), "solve: tol must be finite and >= 0"),
        (lambda: ji.solve(SOLVER, PROBLEM, U0, max_steps=-1), "max_steps must be >= 0, got -1"),
        (lambda: ji.trace(SOLVER, PROBLEM, U0, -1), "trace: num_steps must be >= 0, got -1"),
        (lambda: ji.solve(SOLVER, PROBLEM, jnp.ones(3)), r"shape \(2,\), got shape \(3,\)"),
        (
            lambda: ji.solve(SOLVER, PROBLEM._replace(y=jnp.ones(3)), U0),
            r"problem.y must have shape \(2,\), got shape \(3,\)",
        ),
        (lambda: ji.solve(SOLVER, PROBLEM, U0.at[0].set(jnp.nan)), "u0 must be finite"),
        (
            lambda: ji.solve(SOLVER, PROBLEM._replace(y=jnp.array([1.0, jnp.inf])), U0),
            "problem.y must be finite, got 1 NaN or infinite",
        ),
    ],
)
def test_bad_values_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.solve("fista", PROBLEM, U0), "solver must be a solver"),
        (lambda: ji.solve(SOLVER, (1, 2), U0), r"problem must be a jaxinv\.Problem"),
        (lambda: ji.solve(SOLVER, PROBLEM, "zero"), "u0 must be an array of numbers"),
        (lambda: ji.solve(SOLVER, PROBLEM, U0, max_steps=2.5), "max_steps must be an integer"),
        (lambda: ji.trace(SOLVER, PROBLEM, U0, 2.5), "num_steps must be an integer"),
    ],
)
def test_bad_types_are_refused(call, words):
    with pytest.raises(TypeError, match=words):
        call()


@pytree
class Doubling(Script):
    """A solver whose estimate of the signal is not that of its unknown."""

    def signal(self, problem, state):
        return 2 * problem.signal(state.u)


def test_the_solver_says_what_the_signal_is():
    own = Doubling(jnp.asarray(FALLING, DTYPE), jnp.ones(SIZE, DTYPE))
    sol = ji.solve(own, PROBLEM, U0, max_steps=3)
    np.testing.assert_array_equal(sol.u, [3, 3])
    np.testing.assert_array_equal(sol.x, [6, 6])
    starts = jnp.stack([U0, U0 + 3])
    sol = ji.solve(ji.solvers.with_restarts(own, 2), PROBLEM, starts, max_steps=2)
    np.testing.assert_array_equal(sol.u, [2, 2])
    np.testing.assert_array_equal(sol.x, [4, 4])
    np.testing.assert_array_equal(run()[2].x, run()[2].u)
