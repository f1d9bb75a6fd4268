"""Gradient descent on a problem, recorded, for the theory of untrained networks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv.problems import Problem


class Claim(NamedTuple):
    """One inequality: what was measured, its bound, and whether it holds.

    ``measured`` and ``bound`` are arrays, or numbers; ``holds`` allows for rounding only.
    """

    measured: Array
    bound: Array
    holds: Array


def claim(measured: Array, bound: Array, scale: Array) -> Claim:
    """Compare, allowing for rounding relative to ``scale``; an infinite bound promises nothing."""
    slack = 1e3 * jnp.finfo(measured.dtype).eps
    return Claim(measured, bound, jnp.all(measured <= bound * (1 + slack) + slack * scale))


def descend(problem: Problem, params: Any, step_size: Array) -> tuple[Any, Array, Array]:
    """Take one step on ½‖A G(θ) − y‖²; return the new parameters, G(θ) and A G(θ) − y before it."""
    signal, through_prior = jax.vjp(problem.signal, params)
    prediction, through_operator = jax.vjp(problem.operator, signal)
    residual = prediction - problem.y
    (pulled,) = through_operator(jnp.conj(residual).astype(prediction.dtype))
    (gradient,) = through_prior(pulled)
    params = jax.tree.map(lambda p, g: p - step_size.astype(p.dtype) * g, params, gradient)
    return params, signal, residual


@partial(jax.jit, static_argnums=3)
def signals_of_descent(
    problem: Problem, params: Any, step_size: Any, num_steps: int
) -> tuple[Any, Array]:
    """Return the last parameters, and the signals before each step and after the last."""
    step_size = jnp.asarray(step_size)

    def body(params: Any, _: None) -> tuple[Any, Array]:
        params, signal, _residual = descend(problem, params, step_size)
        return params, signal

    params, signals = jax.lax.scan(body, params, None, length=num_steps)
    return params, jnp.concatenate([signals, problem.signal(params)[None]])


@partial(jax.jit, static_argnums=3)
def advance(problem: Problem, params: Any, step_size: Any, num_steps: int) -> Any:
    """Return the parameters after some steps."""
    step_size = jnp.asarray(step_size)
    return jax.lax.fori_loop(
        0, num_steps, lambda _, current: descend(problem, current, step_size)[0], params
    )
