"""An exception for trials that failed, for those who want one."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxinv._core import Status, checks, describe


def raise_if_failed(solution: Any) -> Any:
    """Raise RuntimeError when any trial of a solution did not end well, on the host.

    CONVERGED, STALLED, STOPPED, MAX_STEPS, SAMPLED and UNMIXED pass: their estimates are usable.

    Args:
        solution: what ``jaxinv.solve``, ``untrained.fit`` or ``sample`` returned.

    Returns:
        The solution itself.

    Raises:
        RuntimeError: a trial that ended otherwise; the text is that of ``describe``.
        TypeError: what is no solution.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.ones(2))
        >>> solution = ji.solve(ji.solvers.ista(1.0, 0.1), problem, jnp.zeros(2))
        >>> round(float(raise_if_failed(solution).x[0]), 3)
        0.9
    """
    if not hasattr(solution, "status"):
        hint = "Pass what jaxinv.solve, untrained.fit or sample returned."
        got = type(solution).__name__
        checks.fail_type("raise_if_failed", "solution", "be a solution", got, hint)
    failed = (
        Status.DIVERGED, Status.NONFINITE, Status.INVALID_START, Status.FLAT, Status.LONG_STEP,
        Status.ANNEALING,
    )  # fmt: skip
    status = np.asarray(solution.status)
    bad = status[np.isin(status, failed)]
    if bad.size:
        raise RuntimeError(describe(bad if status.ndim else status))
    return solution
