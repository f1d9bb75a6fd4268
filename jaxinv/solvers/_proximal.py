"""What the proximal-gradient solvers share: the penalty, and the step from the norm."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxinv import prox as proxes
from jaxinv._core import checks, numerics, pytree
from jaxinv.operators import LinearOperator
from jaxinv.operators._algebra import Scaled
from jaxinv.operators._dense import Dense
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares
from jaxinv.prox._base import penalty_weight
from jaxinv.prox._entrywise import Soft
from jaxinv.solvers._linearized import linear_model, squared_norm

_NORM_TOL = 1e-2  # a norm to 1e-3 takes as many products as the solve itself
_MARGIN = 1.02  # on ‖A‖², which power iteration estimates from below


def penalty_prox(where: str, penalty: Any, prox: Any) -> proxes.Prox:
    """Return the proximal operator that the two arguments of a constructor ask for."""
    if (penalty is None) == (prox is None):
        got = "neither" if penalty is None else "both"
        hint = "penalty=0.1 is short for prox=prox.soft(0.1)."
        checks.fail(where, "penalty or prox", "be given, one of the two", got, hint)
    if prox is None:
        return Soft(penalty_weight(where, penalty))
    if not isinstance(prox, proxes.Prox):
        hint = "Make one with jaxinv.prox; wrap a function with prox.from_function."
        checks.fail_type(where, "prox", "be a proximal operator", prox, hint)
    return prox


@pytree
class Rescaled:
    """An operator, not linear, whose measurements are multiplied by ``factor``."""

    factor: Array
    operator: Any

    def __call__(self, x: Any) -> Array:
        y = self.operator(x)
        return self.factor.astype(numerics.real_dtype(y.dtype)) * y

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("factor", "operator"):
            raise AttributeError(name)
        return getattr(self.operator, name)


def given_operator(problem: Problem) -> Any:
    """Return the operator of the caller, for messages."""
    held = problem.operator
    return held.operator if isinstance(held, Rescaled) else held


def held_matrix(model: LinearOperator) -> Array | None:
    """Return the matrix of a model that is one, times a number or not; None of any other."""
    base = model
    while isinstance(base, Scaled):
        base = base.operator
    return model.todense() if isinstance(base, Dense) else None


def mapping_error(
    mapping: Array, u: Array, gradient: Array, step_size: Array, scale: Array
) -> Array:
    """Return the prox-gradient mapping ‖u − u⁺‖ / η over ``scale``, and no less than it can tell.

    Where a step is shorter than the spacing of the numbers at ``u``, u⁺ is u, and says nothing:
    the error is then that spacing over η, or the gradient where it is smaller.
    """
    spacing = 0.5 * jnp.finfo(step_size.dtype).eps * numerics.safe_norm(u) / step_size
    unseen = jnp.minimum(spacing, numerics.safe_norm(gradient))
    return jnp.maximum(numerics.safe_norm(mapping) / step_size, unseen) / scale


def safe_step(problem: Problem, u: Array) -> Array:
    """Return 1/‖J‖², slightly less: ``predict`` itself where it is linear, else at ``u``.

    Divided by the largest curvature of the misfit, which is 1 for squares.

    The step is a constant for differentiation: power iteration stops by a test.
    """
    problem = lax.stop_gradient(problem._replace(truth=None))
    model = linear_model(problem)
    if model is None:
        square = squared_norm(problem, u, tol=_NORM_TOL, max_steps=300)
    else:
        square = jnp.square(model.norm(tol=_NORM_TOL))
    if not has_squares(problem):
        square = square * jnp.asarray(problem.misfit.smoothness).astype(square.dtype)
    step_size = numerics.safe_divide(1.0, _MARGIN * square, default=1.0)
    return step_size.astype(numerics.real_dtype(u.dtype))
