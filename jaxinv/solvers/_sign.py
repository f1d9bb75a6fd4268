"""The negation test: keep the better of u and −u by the measured loss."""

from __future__ import annotations

from collections.abc import Callable
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

    Three passes over the weights: forward at both points, backward at the one that is kept.
    With ``threshold``, ``u`` is kept while its loss is below.
    """
    here, there = _forward(problem, u), _forward(problem, -u)
    flip = there[0] < here[0]
    if threshold is not None:
        flip &= here[0] >= threshold
    loss = jnp.where(flip, there[0], here[0])
    residual = jnp.where(flip, there[1], here[1])
    (gradient,) = _chosen(flip, there[2], here[2])(residual)
    return jnp.where(flip, -u, u), loss, jnp.conj(gradient)


def _forward(problem: Problem, u: Array) -> tuple[Array, Array, Callable]:
    """Return the loss, the cotangent of the residual, and the pullback at ``u``."""
    prediction, pullback = jax.vjp(problem.predict, u)
    residual = prediction - problem.y
    loss = 0.5 * numerics.sum_squares(residual)
    return loss, cotangent(residual, prediction), pullback


def _chosen(flip: Array, yes: Callable, no: Callable) -> Callable:
    """Return one of two pullbacks of the same function by selecting what it remembers.

    A pullback is a pytree of what the forward pass left behind. The weights among it are the
    same array in both, and are not copied; activations are selected. ``lax.cond`` would, under
    ``vmap``, run both pullbacks.
    """
    leaves, tree = jax.tree.flatten(no)
    others = jax.tree.leaves(yes)
    chosen = [a if a is b else jnp.where(flip, b, a) for a, b in zip(leaves, others, strict=True)]
    return jax.tree.unflatten(tree, chosen)
