"""Loss and gradient with the negation test: keep the better of u and −u by the measured loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares
from jaxinv.solvers._linearized import cotangent, reflections
from jaxinv.solvers._piece import Piece, Tables, negated, tail


def better_sign_gradient(
    problem: Problem, u: Array, threshold: Any = None
) -> tuple[Array, Array, Array]:
    """Return the better of ``u`` and ``−u``, or what the prior reflects it to, and its gradient.

    Three passes over the weights: forward at both points, backward at the one that is kept.
    With ``threshold``, ``u`` is kept while its loss is below.
    """
    forward = partial(_forward, problem.predict, problem)
    _, other, *more = reflections(problem.prior, u)
    for one in more:  # two points are all that most priors have
        other = jnp.where(problem.loss(one) < problem.loss(other), one, other)
    flip, loss, gradient = _better(forward, u, other, threshold)
    return jnp.where(flip, other, u), loss, jnp.conj(gradient)


def better_sign_gradient_in_piece(
    problem: Problem, table: Tables, piece: Piece, u: Array, threshold: Any = None
) -> tuple[Array, Piece, Array, Array]:
    """Do the same from the linear piece at ``u``; returns the point's piece as well.

    The first two layers cost products with two (k, n_2) maps in place of their weights.
    """
    forward = partial(_forward, partial(tail, problem), problem)
    here = numerics.matmul(u, piece.map)
    there = here - numerics.matmul(u, table.product)
    flip, loss, slope = _better(forward, here, there, threshold)
    gradient = numerics.matmul(piece.map, slope)
    against = numerics.matmul(table.product, slope) - gradient
    gradient = jnp.where(flip, against, gradient)
    return jnp.where(flip, -u, u), negated(table, piece, flip), loss, gradient


def gradient_in_piece(problem: Problem, piece: Piece, u: Array) -> tuple[Array, Array]:
    """Return the loss and gradient at ``u`` from its linear piece."""
    second = numerics.matmul(u, piece.map)
    loss, residual, pullback = _forward(partial(tail, problem), problem, second)
    (slope,) = pullback(residual)
    return loss, numerics.matmul(piece.map, slope)


def _better(
    forward: Callable, here: Array, there: Array, threshold: Any
) -> tuple[Array, Array, Array]:
    """Return whether ``there`` is better, and the loss and gradient at the better of the two."""
    stay, go = forward(here), forward(there)
    flip = go[0] < stay[0]
    if threshold is not None:
        flip &= stay[0] >= threshold
    loss = jnp.where(flip, go[0], stay[0])
    residual = jnp.where(flip, go[1], stay[1])
    (gradient,) = _chosen(flip, go[2], stay[2])(residual)
    return flip, loss, gradient


def _forward(function: Callable, problem: Problem, point: Array) -> tuple[Array, Array, Callable]:
    """Return the loss, the cotangent of the misfit, and the pullback at a point."""
    prediction, pullback = jax.vjp(function, point)
    if not has_squares(problem):
        misfit, y = problem.misfit, problem.y
        slope = cotangent(misfit.gradient(prediction, y), prediction)
        return misfit._value(prediction, y), slope, pullback
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
