"""Checks that several functions of the theory share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem

Array = jax.Array


def real_arrays(where: str, **values: Any) -> list[Array]:
    """Return real finite arrays of one type, of at least 32 bits."""
    given = [checks.array(where, name, value) for name, value in values.items()]
    for name, value in zip(values, given, strict=True):
        checks.finite(where, name, value)
        if jnp.iscomplexobj(value):
            checks.fail(where, name, "be real", value)
    dtype = jnp.result_type(jnp.float32, *given)
    return [value.astype(dtype) for value in given]


def descent_start(where: str, problem: Any, params: Any) -> tuple[Problem, Any]:
    """Return the problem, and the parameters as finite floating arrays that fit it."""
    if not isinstance(problem, Problem) or problem.prior is None:
        checks.fail_type(where, "problem", "be a jaxinv.Problem with a prior", problem)
    params = checks.arrays(where, "params", params)
    checks.finite(where, "params", params)
    params = jax.tree.map(
        lambda leaf: leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)), params
    )
    problem = problem._replace(truth=None)
    try:
        predicted = jax.eval_shape(problem.predict, params)
    except (TypeError, ValueError) as error:
        fail_function(where, "problem", "params of these shapes", error)
    checks.shape_is(where, "problem.y", problem.y, predicted.shape)
    return problem, params
