"""What the message-passing solvers share: the model, its rows and columns, one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv import shrinkage as shrinkages
from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.shrinkage import Shrinkage
from jaxinv.solvers._linearized import linear_model
from jaxinv.solvers._proximal import given_operator, held_matrix

_PROBES = 4  # products that estimate the mean column norm of an operator that is no matrix


class MessageState(NamedTuple):
    """State of ``amp`` and of ``unfolded.lamp``.

    Attributes:
        u: the estimate x.
        residual: the corrected residual v that the last step used; ‖v‖/√m estimates the
            standard deviation of the noise in the pseudo-data.
        onsager: b, the factor of ``residual`` in the next one.
    """

    u: Array
    residual: Array
    onsager: Array


def first_state(problem: Problem, u0: Array) -> MessageState:
    """Return the state before the first step: no correction yet."""
    return MessageState(u0, -problem.residual(u0), jnp.zeros((), u0.dtype))


def noise_level(residual: Array, num_measurements: Any) -> Array:
    """Return ‖v‖/√m."""
    count = jnp.asarray(num_measurements).astype(residual.dtype)
    return numerics.safe_norm(residual) / jnp.sqrt(count)


class Update(NamedTuple):
    """One undamped step of approximate message passing."""

    u: Array
    residual: Array
    onsager: Array
    loss: Array


def message_step(
    problem: Problem,
    state: MessageState,
    shrinkage: Shrinkage,
    backward: Callable[[Array], Array],
    num_measurements: Any,
    *,
    keep: Any = 0.0,
    column_norms: Any = 1.0,
) -> Update:
    """Return the residual with its correction, and the estimate from it.

    Args:
        backward: v ↦ Aᵀ v / ‖a_i‖², or a trained matrix in its place.
        keep: share of the last residual that is kept.
        column_norms: ‖a_i‖: entry i of the pseudo-data has noise ‖v‖/√m / ‖a_i‖.
    """
    plain = -problem.residual(state.u)
    keep = jnp.asarray(keep).astype(plain.dtype)
    residual = keep * state.residual + (1 - keep) * (plain + state.onsager * state.residual)
    noise_std = noise_level(residual, num_measurements) / column_norms
    pseudo_data = state.u + backward(residual)
    estimate = shrinkage(pseudo_data, noise_std)
    count = jnp.asarray(num_measurements).astype(plain.dtype)
    onsager = jnp.sum(shrinkage.derivative(pseudo_data, noise_std)) / count
    return Update(estimate, residual, onsager, 0.5 * numerics.sum_squares(plain))


def real_linear_model(where: str, problem: Problem) -> LinearOperator:
    """Return the whole model as one linear operator; refuse others, and complex measurements."""
    model = linear_model(problem)
    if model is None:
        hint = "Use solvers.gradient, or ista and fista, for others."
        operator = given_operator(problem)
        checks.fail_type(where, "problem", "have a linear model", operator, hint)
    if jnp.iscomplexobj(problem.y):
        checks.fail(where, "problem.y", "be real", problem.y, "Use fista for complex data.")
    return model


def rows_in_use(model: LinearOperator, y: Array) -> Array:
    """Return m: the rows of a matrix that are not zero; the size of ``y`` for other operators."""
    size, matrix = jnp.asarray(y.size), held_matrix(model)
    if matrix is not None:
        size = jnp.sum(jnp.any(matrix != 0, axis=-1))
    return jnp.maximum(size, 1).astype(y.dtype)


def norms_of_columns(model: LinearOperator, y: Array) -> Array:
    """Return ‖a_i‖ of a matrix, with 1 for a zero column; of other operators their mean.

    That mean is √E‖A s‖²/n over random signs s, the root of the mean of the squared norms.
    """
    matrix = held_matrix(model)
    if matrix is not None:
        norms = jnp.squeeze(numerics.safe_norm(matrix, 0), 0).astype(y.dtype)
        return jnp.where(norms > 0, norms, 1)

    def energy(key: Array) -> Array:
        signs = jax.random.rademacher(key, model.in_shape, y.dtype)
        return numerics.sum_squares(model(signs)) / signs.size

    mean = jnp.mean(lax.map(energy, jax.random.split(jax.random.key(0), _PROBES)))
    return jnp.where(mean > 0, jnp.sqrt(mean), 1).astype(y.dtype)


def chosen_shrinkage(where: str, shrinkage: Any) -> Shrinkage:
    """Return the shrinkage asked for; None is the soft threshold."""
    if shrinkage is None:
        return shrinkages.soft()
    if not isinstance(shrinkage, Shrinkage):
        hint = "Make one with jaxinv.shrinkage; wrap a function with shrinkage.from_function."
        checks.fail_type(where, "shrinkage", "be a shrinkage", shrinkage, hint)
    return shrinkage


def kept_share(where: str, damping: Any) -> Any:
    """Return a share in [0, 1)."""
    damping = checks.scalar(where, "damping", damping)
    given = np.asarray(damping) if checks.is_concrete(damping) else np.zeros(())
    if np.any((given < 0) | (given >= 1)):
        checks.fail(where, "damping", "be in [0, 1)", damping, "At 1 nothing would move.")
    return damping
