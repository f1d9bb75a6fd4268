"""The model linearized at a point: its norm, and the scale of its gradients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.problems import Problem

Array = jax.Array


def squared_norm(problem: Problem, u: Array, *, tol: float, max_steps: int) -> Array:
    """Return λ_max(JᴴJ) at ``u``, from below, by power iteration."""
    _, pushforward = jax.linearize(problem.predict, u)
    pullback = jax.linear_transpose(pushforward, u)

    def gram(v: Array) -> Array:
        return jnp.conj(pullback(jnp.conj(pushforward(v)))[0])

    start = jax.random.normal(jax.random.key(0), u.shape, u.dtype)
    return numerics.power_iteration(gram, start, tol=tol, max_steps=max_steps).value


def gradient_scale(problem: Problem, u: Any) -> Array:
    """Return ‖Jᴴy‖ at ``u``: the gradient that the measurements alone make; 1 where that is 0.

    A gradient divided by it is dimensionless, and does not depend on any step size.
    """
    prediction, pullback = jax.vjp(problem.predict, u)
    (gradient,) = pullback(cotangent(problem.y, prediction))
    size = tree_norm(gradient)
    return jnp.where(size > 0, size, 1)


def tree_norm(tree: Any) -> Array:
    """Return the ℓ2 norm of all entries of a pytree, with derivative 0 at 0."""
    sizes = [numerics.safe_norm(leaf) for leaf in jax.tree.leaves(tree)]
    return numerics.safe_norm(jnp.stack(sizes))


def cotangent(residual: Array, prediction: Array) -> Array:
    """Return what a pullback of ``prediction`` takes for the gradient of ½‖residual‖².

    Measurements of another kind or width than the model's are cast to its own.
    """
    if not jnp.iscomplexobj(prediction):
        residual = jnp.real(residual)
    return jnp.conj(residual).astype(prediction.dtype)
