"""The linear model of a problem, or what to use where there is none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._linearized import linear_model
from jaxinv.solvers._proximal import given_operator

_NORM_TOL = 1e-2
_MARGIN = 1.02  # on ‖A‖², which power iteration estimates from below


def require_linear(where: str, problem: Problem) -> LinearOperator:
    """Return ``predict`` as one linear operator, or say that it is none."""
    model = linear_model(problem)
    if model is None:
        hint = "For other models use solvers.ista, fista or gradient."
        got = type(given_operator(problem)).__name__
        if problem.prior is not None:
            got += f" after {type(problem.prior).__name__}"
        checks.fail(where, "problem", "have a linear operator (and prior)", got, hint)
    return model


def linear_problem(where: str, problem: Problem, u: Array) -> tuple[LinearOperator, Array]:
    """Return the whole linear model, and ``y`` in the type of its outputs."""
    model = require_linear(where, problem)
    prediction = jax.eval_shape(model, u)
    pulled = jax.eval_shape(model.adjoint, prediction)
    if jnp.issubdtype(pulled.dtype, jnp.complexfloating) and not jnp.iscomplexobj(u):
        checks.fail(where, "u0", "be complex, as the operator's adjoint is", u)
    return model, problem.y.astype(prediction.dtype)


def require_real(where: str, problem: Problem, u0: Array) -> None:
    """Refuse a complex unknown, or an operator that makes it one."""
    model = linear_model(problem)
    if jnp.iscomplexobj(u0):
        checks.fail(where, "u0", "be real", u0, "Use fista for complex data.")
    if model is not None and jnp.iscomplexobj(jax.eval_shape(model, u0)):
        got = "one with complex values"
        checks.fail(where, "problem.operator", "be real", got, "Use fista for complex data.")
