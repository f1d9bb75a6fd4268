"""Whether a problem measures as an operator does."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, numerics
from jaxinv.problems import Problem

_PROBES = 2


def same_model(operator: Any, problem: Problem) -> bool:
    """Whether the map from unknown to measurements is this operator, as far as can be told.

    Two trees of one structure are compared array by array. Any other problem, such as one with a
    prior or with a product of operators, is compared by what it makes of random vectors.
    Traced values cannot be looked at, and pass.
    """
    given, prior = problem.operator, problem.prior
    if not checks.is_concrete((operator, given, prior)):
        return True
    if prior is None and jax.tree.structure(operator) == jax.tree.structure(given):
        return numerics.same_arrays(operator, given)
    with jax.ensure_compile_time_eval():
        return all(_agree(operator, problem, index) for index in range(_PROBES))


def _agree(operator: Any, problem: Problem, index: int) -> bool:
    probe = jax.random.normal(jax.random.key(index), operator.in_shape, operator.in_dtype)
    try:
        ours, theirs = (np.asarray(model(probe)) for model in (operator, problem.predict))
    except (TypeError, ValueError):  # it takes another shape, or another type
        return False
    if ours.shape != theirs.shape:
        return False
    rounding = max(float(jnp.finfo(each.dtype).eps) for each in (ours, theirs))
    wide = np.promote_types(np.result_type(ours, theirs), np.float64)
    difference = np.linalg.norm(ours.astype(wide) - theirs.astype(wide))
    return bool(difference <= 10 * rounding**0.5 * np.linalg.norm(ours.astype(wide)))
