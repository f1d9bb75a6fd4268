"""The loops, written once: ``solve`` until done, ``trace`` a fixed number of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import Status, checks
from jaxinv._core.typed import PyTree
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares
from jaxinv.solvers._base import Solver, normalized
from jaxinv.solvers._checked import (
    _check_solver,
    _valid_start,
    all_finite,
    check_start,
    half_square,
    in_domain,
    step_limit,
)
from jaxinv.solvers._linearized import is_flat

_PROGRESS = 1e-3  # a plateau: the best loss fell by less than this share in `patience` steps
_CLOSER = 0.05  # the same of the error, of solvers that are judged by it
_GROWTH = 1e4  # divergence: the loss grew this many times above the larger of start and ½‖y‖²


class Solution(NamedTuple):
    """What ``solve`` returns.

    Attributes:
        u: the estimate of the unknown.
        x: the estimate of the signal, ``solver.signal(problem, state)``: that of ``u``, unless
            the method has a better one.
        state: the solver's last state.
        status: int32 code; ``describe(status)`` explains it.
        num_steps: steps taken.
        error: the solver's stopping measure at the last step.
    """

    u: Any
    x: Array
    state: Any
    status: Array
    num_steps: Array
    error: Array


class _Carry(NamedTuple):
    state: Any
    status: Array
    num_steps: Array
    error: Array
    best_loss: Array
    best_error: Array
    since_progress: Array


def solve(
    solver: Solver,
    problem: Problem,
    u0: PyTree,
    *,
    tol: Any = 1e-6,
    max_steps: Any = 5000,
) -> Solution:
    """Run a solver until it converges, stalls, diverges or has taken ``max_steps``.

    Args:
        solver: any solver of ``jaxinv.solvers``.
        problem: what to solve; its truth is never read.
        u0: the start, a pytree of arrays.
        tol: stop when ``info.error <= tol``; 0 runs every step.
        max_steps: most steps, >= 0; may be traced.

    Returns:
        A ``Solution``. One bad trial in a batch never raises: its ``status`` tells.

    Raises:
        ValueError: a start or measurements that cannot be used, where their values can be
            looked at: NaN, infinity, or 0 for a ReLU prior.

    Notes: reverse-mode differentiation (``jax.grad``) does not pass through ``solve``, whose
        loop is a ``lax.while_loop``: differentiate ``trace``, or use forward mode (``jax.jvp``).

    Cost: the solver's own steps. Under ``vmap`` a batch runs to its slowest trial.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> sol = solve(ji.solvers.levenberg_marquardt(), problem, family.initial(key))
        >>> ji.describe(sol.status)[:9], float(ji.metrics.nmse(sol.x, problem.truth.x)) < 1e-9
        ('CONVERGED', True)
    """
    _check_solver("solve", solver)
    tol = checks.nonnegative("solve", "tol", tol)
    if getattr(tol, "ndim", 0):
        checks.fail("solve", "tol", "be a scalar", tol)
    if checks.is_concrete(max_steps):
        max_steps = step_limit("solve", "max_steps", max_steps)
    problem, u0 = check_start("solve", solver, problem, u0)
    return _solve(solver, problem._replace(truth=None), u0, tol, max_steps)


@jax.jit
def _solve(solver: Solver, problem: Problem, u0: Any, tol: Any, max_steps: Any) -> Solution:
    given, own, valid = problem, solver, _valid_start(problem, u0)
    units = normalized(solver, problem, u0)
    solver, problem, u0, _ = units
    solver = solver.prepare(problem)
    start_loss = solver.objective(problem, solver.one_start(u0))
    valid = valid & in_domain(given, start_loss)  # labels of another size are in another unit
    typical = half_square(problem, solver.one_start(u0))
    ceiling = _GROWTH * jnp.maximum(start_loss, typical)
    broken = jnp.isnan(start_loss)  # by a NaN of the operator: a search of the largest misses it
    real = start_loss.dtype
    tol = jnp.asarray(tol, real)

    by_error = solver.judged_by_error or not has_squares(problem)  # the least may be far from 0

    def body(carry: _Carry) -> _Carry:
        state, info = solver.step(problem, carry.state)
        loss, error = jnp.asarray(info.loss, real), jnp.asarray(info.error, real)
        progress = loss < (1 - _PROGRESS) * carry.best_loss
        closer = error < (1 - _CLOSER) * carry.best_error
        moved = progress | closer if by_error else progress
        since = jnp.where(moved, 0, carry.since_progress + 1)
        # a NaN in u need not show in the loss, which is that of the point before
        finite = jnp.isfinite(loss) & jnp.isfinite(error) & all_finite(state.u) & ~broken
        status = _judge(loss, error, finite, since, ceiling, tol, solver.patience)
        best = jnp.where(progress, loss, carry.best_loss)
        best_error = jnp.where(closer, error, carry.best_error)
        return _Carry(state, status, carry.num_steps + 1, error, best, best_error, since)

    def running(carry: _Carry) -> Array:
        return (carry.status == Status.RUNNING) & (carry.num_steps < max_steps)

    zero = jnp.zeros((), jnp.int32)
    infinity = jnp.asarray(jnp.inf, real)
    status = jnp.where(valid, Status.RUNNING, Status.INVALID_START).astype(jnp.int32)
    first = _Carry(solver.init(problem, u0), status, zero, infinity, infinity, infinity, zero)
    last = lax.while_loop(running, body, first)
    status = jnp.where(last.status == Status.RUNNING, Status.MAX_STEPS, last.status)
    flat = (status == Status.CONVERGED) & is_flat(problem, last.state.u)
    status = jnp.where(flat, Status.FLAT, status)
    state = units.state(last.state)
    x = own.signal(given, state)
    return Solution(state.u, x, state, status, last.num_steps, last.error)


def _judge(
    loss: Array,
    error: Array,
    finite: Array,
    since_progress: Array,
    ceiling: Array,
    tol: Array,
    patience: int,
) -> Array:
    """Return the status after one step; the worst news wins."""
    asked = tol > 0
    status = jnp.asarray(Status.RUNNING, jnp.int32)
    status = jnp.where(asked & (since_progress >= patience), Status.STALLED, status)
    status = jnp.where(asked & (error <= tol), Status.CONVERGED, status)
    status = jnp.where(loss > ceiling, Status.DIVERGED, status)
    return jnp.where(finite, status, Status.NONFINITE).astype(jnp.int32)


def trace(
    solver: Solver,
    problem: Problem,
    u0: PyTree,
    num_steps: int,
    *,
    measure: Callable[[Problem, Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Run a fixed number of steps and record every one.

    Args:
        solver: any solver.
        problem: what to solve.
        u0: the start.
        num_steps: steps, >= 0 (static: another number compiles again).
        measure: ``measure(problem, state) -> pytree`` after each step, for example an error
            against ``problem.truth``; a module-level function, since it is static.

    Returns:
        ``(state, info)``: the last state, and the steps' infos stacked along a new first axis;
        with ``measure``, ``(state, (info, measurements))``.

    Raises:
        ValueError: as ``solve``.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> solver = ji.solvers.subgradient(0.2)
        >>> state, info = trace(solver, family.sample(key), family.initial(key), 100)
        >>> info.loss.shape, bool(info.loss[-1] < 1e-2 * info.loss[0])
        ((100,), True)
    """
    _check_solver("trace", solver)
    num_steps = step_limit("trace", "num_steps", num_steps)
    if measure is not None and not callable(measure):
        checks.fail_type("trace", "measure", "be a function measure(problem, state)", measure)
    problem, u0 = check_start("trace", solver, problem, u0)
    return _trace(solver, problem, u0, num_steps, measure)


@partial(jax.jit, static_argnums=(3, 4))
def _trace(solver: Solver, problem: Problem, u0: Any, num_steps: int, measure: Any) -> Any:
    given = problem
    units = normalized(solver, problem, u0)
    solver, problem, u0, _ = units
    solver = solver.prepare(problem)

    def body(state: Any, _: None) -> tuple[Any, Any]:
        state, info = solver.step(problem, state)
        # a measure of when to stop has no derivative that anybody wants, and often a NaN
        info = units.info(info)._replace(error=lax.stop_gradient(info.error))
        if measure is None:
            return state, info
        return state, (info, _measured(measure, given, units.state(state)))

    state, reports = lax.scan(body, solver.init(problem, u0), None, length=num_steps)
    return units.state(state), reports


def _measured(measure: Any, problem: Problem, state: Any) -> Any:
    """Return what ``measure`` says; name it where it fails or returns no numbers."""
    try:
        found = measure(problem, state)
    except (TypeError, ValueError) as error:
        fail_function("trace", "measure", "(problem, state)", error)
    for leaf in jax.tree.leaves(found):
        if not isinstance(leaf, jax.Array | np.ndarray | np.number | int | float | complex):
            checks.fail_type("trace", "measure", "return arrays or numbers", leaf)
    return found
