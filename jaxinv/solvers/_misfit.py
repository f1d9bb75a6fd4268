"""What solvers do with a misfit that is not half the sum of squares, and who refuses it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.misfits import Misfit
from jaxinv.misfits._outer import Outer
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares, misfit_name

_TAKEN = {
    "squares": "misfits.squared",
    "smooth": "misfits.squared or one of bounded curvature (weighted, huber, student_t, logistic)",
}


def check_misfit(where: str, solver: str, problem: Problem, taken: str) -> None:
    """Refuse a misfit that a solver does not take, and measurements that the misfit does not."""
    misfit = problem.misfit
    if misfit is not None and not isinstance(misfit, Misfit):
        hint = "Make one with jaxinv.misfits, such as misfits.huber(0.1)."
        checks.fail_type(where, "problem.misfit", "be a misfit", misfit, hint)
    smooth = getattr(misfit, "smoothness", None) is not None
    if not (has_squares(problem) or taken == "any" or (taken == "smooth" and smooth)):
        hint = "solvers.levenberg_marquardt, subgradient and gradient take every misfit."
        expected = f"be {_TAKEN[taken]} for {solver}"
        checks.fail(where, "problem.misfit", expected, f"misfits.{misfit_name(problem)}", hint)
    if isinstance(problem.y, LinearOperator) and not isinstance(misfit, Outer):
        hint = "Where measurements are a matrix, use operators.outer."
        checks.fail_type(where, "problem.y", "be an array", problem.y, hint)
    if misfit is not None:
        misfit.check(where, "problem.y", problem.y)


def in_domain(problem: Problem, start_loss: Array) -> Array | bool:
    """Whether the measurements lie where the misfit is defined, and the start has a loss."""
    if has_squares(problem):
        return True
    return problem.misfit.in_domain(problem.y) & ~jnp.isposinf(start_loss)


def half_square(problem: Problem, u: Any) -> Array:
    """Return ½‖y‖², or its like of another misfit."""
    if has_squares(problem):
        return 0.5 * numerics.sum_squares(problem.y)
    return 0.5 * jnp.square(problem.misfit.size(problem.predict(u), problem.y))
