"""Follow a path of falling penalties: what reconstructions by a convex penalty share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import Status, numerics, replace
from jaxinv.problems import Problem
from jaxinv.solvers._fista import Fista

Progress = Callable[[str, float], None]

_FIRST, _LAST = 0.5, 1e-3  # thresholds, in units of the image's range
_STAGES = 24  # thresholds from first to last
_HOLD = 6  # further stages at the last one
STEPS = 10  # steps a stage
THRESHOLDS = [_FIRST * (_LAST / _FIRST) ** (i / (_STAGES - 1)) for i in range(_STAGES)]
THRESHOLDS += [_LAST] * _HOLD
MARGIN = 1.01  # on ‖A‖², which power iteration estimates from below


class End(NamedTuple):
    """Where a path of penalties ended."""

    unknown: Array
    threshold: float
    num_stages: int
    status: Status


def follow(solver: Fista, problem: Problem, state: Any, noise_norm: float, report: Progress) -> End:
    """Lower the penalty stage by stage until the measurements are fitted to their noise."""
    step_size = float(solver.step_size)
    status = Status.MAX_STEPS if noise_norm > 0 else Status.CONVERGED
    unknown, threshold, stage = state.u, _FIRST, 0
    for stage, threshold in enumerate(THRESHOLDS, start=1):
        prox = replace(solver.prox, penalty=threshold / step_size)
        state, unknown, misfit = _stage(replace(solver, prox=prox), problem, state)
        misfit = float(misfit)
        report(f"threshold {threshold:.3g}, misfit {misfit:.3g}", stage / len(THRESHOLDS))
        if not math.isfinite(misfit):
            status = Status.NONFINITE
            break
        if misfit <= noise_norm:
            status = Status.CONVERGED
            break
    return End(unknown, threshold, stage, status)


@jax.jit
def _stage(solver: Fista, problem: Problem, state: Any) -> tuple[Any, Array, Array]:
    """Take the steps of one stage; also return the mean u of the steps, and ‖A x(u) − y‖.

    Random shifts keep the iterates moving about the solution; their mean is closer to it.
    """

    def body(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], None]:
        state = solver.step(problem, carry[0])[0]
        return (state, carry[1] + state.u), None

    (state, total), _ = lax.scan(body, (state, jnp.zeros_like(state.u)), None, length=STEPS)
    mean = total / STEPS
    return state, mean, numerics.safe_norm(problem.residual(mean))


@jax.jit
def signal_of(problem: Problem, u: Array) -> Array:
    """Return the signal that ``u`` stands for."""
    return problem.signal(u)


def silent(text: str, fraction: float) -> None:
    """Report nothing."""
