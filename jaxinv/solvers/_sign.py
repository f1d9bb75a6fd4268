"""The negation test: keep the better of u and −u by the measured loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.problems import Problem
from jaxinv.solvers._linearized import cotangent

Array = jax.Array


def better_sign_gradient(
    problem: Problem, u: Array, threshold: Any = None
) -> tuple[Array, Array, Array]:
    """Return the better of ``u`` and ``−u``, with its loss and gradient.

    Both points go through the model as two columns, so that weights are read once forward and
    once backward. With ``threshold``, ``u`` is kept while its loss is below.
    """
    predictions, pullback = jax.vjp(jax.vmap(problem.predict), jnp.stack([u, -u]))
    residuals = predictions - problem.y
    losses = 0.5 * jax.vmap(numerics.sum_squares)(residuals)
    flip = losses[1] < losses[0]
    if threshold is not None:
        flip &= losses[0] >= threshold
    keep = jnp.stack([~flip, flip]).reshape((2,) + (1,) * problem.y.ndim)
    (gradients,) = pullback(cotangent(jnp.where(keep, residuals, 0), predictions))
    gradient = jnp.conj(gradients[0] + gradients[1])  # the one not kept is 0
    return jnp.where(flip, -u, u), jnp.where(flip, losses[1], losses[0]), gradient
