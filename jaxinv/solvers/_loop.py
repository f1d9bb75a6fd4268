"""The loops, written once: ``solve`` until done, ``trace`` a fixed number of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import Status, checks, numerics
from jaxinv.misfits._outer import Outer as OuterMisfit
from jaxinv.operators import LinearOperator
from jaxinv.operators._outer import Outer
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.problems._problem import by_vector, has_squares
from jaxinv.solvers._base import Solver
from jaxinv.solvers._linearized import is_flat
from jaxinv.solvers._misfit import check_misfit, half_square, in_domain
from jaxinv.solvers._normalize import normalized
from jaxinv.solvers._sharding import automatic

_PROGRESS = 1e-3  # a plateau: the best loss fell by less than this share in `patience` steps
_CLOSER = 0.05  # the same of the error, of solvers that are judged by it
_MOST_STEPS = 2**31 - 1
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
    u0: Any,
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
    valid = valid & in_domain(problem, start_loss)
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
        finite = jnp.isfinite(loss) & jnp.isfinite(error) & _all_finite(state.u) & ~broken
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
    u0: Any,
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


def _check_solver(where: str, solver: Any) -> None:
    if not isinstance(solver, Solver):
        hint = "Make one with jaxinv.solvers, such as solvers.levenberg_marquardt()."
        checks.fail_type(where, "solver", "be a solver", solver, hint)


def step_limit(where: str, argument: str, value: Any) -> int:
    """Return a number of steps that fits the loops' int32 counter."""
    if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and checks.is_integer(value):
        value = value.item()
    result = checks.count(where, argument, value, minimum=0)
    if result > _MOST_STEPS:
        checks.fail(where, argument, f"be at most {_MOST_STEPS}", result)
    return result


def check_start(where: str, solver: Solver, problem: Any, u0: Any) -> tuple[Problem, Any]:
    """Return the problem and ``u0`` as arrays; raise for what can be seen to be wrong."""
    solver.check(where)
    problem = check_problem(where, problem, solver.misfits, _name_of(solver))
    if isinstance(u0, list | tuple) and getattr(_first_map(problem), "in_shape", None) is not None:
        u0 = checks.array(where, "u0", u0)  # the unknown is one array, not a tree
    u0 = automatic(where, "u0", checks.arrays(where, "u0", u0))
    if not solver.takes_trees and not isinstance(u0, jax.Array):
        hint = "Trees are for solvers.levenberg_marquardt, subgradient and gradient."
        got = f"a {type(u0).__name__} of {len(jax.tree.leaves(u0))} arrays"
        checks.fail(where, "u0", "be one array", got, hint)
    checks.finite(where, "u0", u0)
    if problem.prior is None and isinstance(u0, jax.Array):  # so that no state changes its type
        dtype = jnp.result_type(*jax.tree.leaves(problem.y), u0)
        u0 = u0.astype(jnp.result_type(u0, numerics.real_dtype(dtype)))
    start = solver.one_start(u0)
    _check_unknown(where, problem, start)
    _check_measurements(where, problem, jax.eval_shape(problem.predict, start))
    solver.check_problem(where, problem, u0)
    with jax.ensure_compile_time_eval():  # a concrete start may be a constant of a traced caller
        refused = checks.is_concrete(u0) and not bool(_valid_start(problem, u0))
    if refused:
        hint = "Zero is a fixed point of a ReLU network; use family.initial(key)."
        checks.fail(where, "u0", "not be zero", "all zeros", hint)
    return problem, u0


def check_problem(
    where: str, problem: Any, taken: str = "squares", name: str | None = None
) -> Problem:
    """Return the problem with ``y`` as an array; its maps must be pytrees that can be called.

    Its misfit must be one of those that are ``taken`` (``Solver.misfits``) by ``name``.
    """
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    operator, prior = problem.operator, problem.prior
    if not _is_map(operator):
        hint = "Use operators.dense for a matrix, operators.from_function for a function."
        checks.fail_type(where, "problem.operator", "be an operator", operator, hint)
    if prior is not None and not _is_map(prior):
        hint = "Use generators.from_function for a function of (params, z)."
        checks.fail_type(where, "problem.prior", "be a generator or an operator", prior, hint)
    y = problem.y
    if not isinstance(y, LinearOperator):
        y = checks.array(where, "problem.y", y)
    checks.finite(where, "problem.y", y, "Remove or replace the broken measurements.")
    if isinstance(operator, Outer):
        shape = (*y.out_shape, *y.in_shape) if isinstance(y, LinearOperator) else y.shape
        if tuple(shape) != operator.out_shape:
            checks.fail(where, "problem.y", f"have shape {operator.out_shape}", f"{shape}")
    problem = by_vector(problem._replace(y=y))
    check_misfit(where, name or where, problem, taken)
    return automatic(where, "problem", problem)


def _name_of(solver: Any) -> str:
    inner = getattr(solver, "solver", solver)
    return f"solvers.{type(inner).__module__.rpartition('._')[2]}"


def _is_map(value: Any) -> bool:
    """Whether it can be called and is a pytree: a plain function is not."""
    return callable(value) and not jax.tree_util.all_leaves([value])


def _first_map(problem: Problem) -> Any:
    return problem.operator if problem.prior is None else problem.prior


def _check_unknown(where: str, problem: Problem, start: Any) -> None:
    first = _first_map(problem)
    shape = getattr(first, "in_shape", None)
    like = getattr(first, "unknown_like", None)
    if like is None and shape is not None:
        like = jax.ShapeDtypeStruct(shape, jnp.float32)
    if like is not None:
        checks.tree_is(where, "u0", start, like, "That is what the operator, or the prior, takes.")


def _check_measurements(where: str, problem: Problem, expected: Any) -> None:
    if isinstance(problem.misfit, OuterMisfit):
        return  # held against a vector; its shape is that of ``outer``
    y, hint = problem.y, "That is what the operator returns."
    if y.shape[1:] == expected.shape:
        hint = "It holds a batch; use jax.vmap(..., in_axes=(None, family.axes, 0))."
    checks.shape_is(where, "problem.y", y, expected.shape, hint)
    if jnp.iscomplexobj(y) and not jnp.issubdtype(expected.dtype, jnp.complexfloating):
        hint = "Take jnp.real(y), or measure with a complex operator."
        checks.fail(where, "problem.y", "be real, as what the operator returns", y, hint)


def _valid_start(problem: Problem, u0: Any) -> Array:
    """Whether descent can leave ``u0``: not 0 for a prior that 0 is a fixed point of."""
    return _usable(u0, bool(getattr(problem.prior, "zero_is_fixed", False)))


@partial(jax.jit, static_argnums=1, inline=True)
def _usable(u0: Any, zero_is_fixed: bool) -> Array:
    finite = _all_finite(u0)
    if not zero_is_fixed:
        return finite
    nonzero = jnp.any(jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(u0)]))
    return finite & nonzero


def _all_finite(u: Any) -> Array:
    """Whether no entry of the unknown is NaN or infinite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(u)]))
