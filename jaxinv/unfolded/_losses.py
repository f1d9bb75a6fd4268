"""What training minimizes, over a batch of problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks, numerics
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.unfolded._family import check_family

Array = jax.Array

LOGARITHMIC = ("log_nmse", "log_error", "balanced", "mean_log_nmse")
TRUTHFUL = (*LOGARITHMIC, "mse")
NAMES = (*TRUTHFUL, "lasso")


def check_loss(where: str, loss: Any, layers: Any, family: Any) -> Any:
    """Return a loss by name, or a function of one sample, tried on the shapes of the family."""
    check_family(where, layers, family, truth=isinstance(loss, str) and loss in TRUTHFUL)
    if callable(loss):
        _try(where, loss, family)
        return loss
    checks.choice(where, "loss", loss, NAMES)
    if loss == "lasso" and not hasattr(layers.solver, "prox"):
        hint = "Use it with unfolded.step_lista, or give a function loss(u, problem)."
        expected = "have a penalty for loss='lasso'"
        checks.fail(where, "layers", expected, type(layers.solver).__name__, hint)
    return loss


def _try(where: str, loss: Any, family: Any) -> None:
    def one(key: Array) -> Any:
        return loss(family.initial(key), family.sample(key))

    try:
        value = jax.eval_shape(one, jax.random.key(0))
    except (TypeError, ValueError) as error:
        fail_function(where, "loss", "(u, problem)", error)
    if getattr(value, "shape", None) != ():
        checks.fail(where, "loss", "return a scalar", f"{value}")


def batch_loss(
    loss: str | Callable[[Any, Problem], Array],
    solver: Any,
    axes: Problem,
    outputs: Any,
    problems: Problem,
) -> Array:
    """Return the loss of a batch of outputs (B, ...), a scalar."""
    if callable(loss):
        return jnp.mean(jax.vmap(loss, in_axes=(0, axes))(outputs, problems))
    if loss == "lasso":
        value = jax.vmap(solver.objective, in_axes=(axes, 0))(problems, outputs)
        return jnp.mean(value)
    errors, energies = _energies(outputs, problems)
    if loss == "mse":
        return jnp.mean(errors)
    tiny = jnp.finfo(errors.dtype).tiny
    sums = jnp.log(jnp.sum(errors) + tiny) - jnp.log(jnp.sum(energies) + tiny)
    if loss == "log_nmse":
        return sums
    ratio = numerics.safe_divide(errors, energies, default=1.0) + jnp.finfo(errors.dtype).eps ** 2
    if loss == "mean_log_nmse":
        return jnp.mean(jnp.log(ratio))
    means = 2 * jnp.log(jnp.mean(jnp.sqrt(ratio)))
    return means if loss == "log_error" else (3 * sums + means) / 4


def _energies(outputs: Any, problems: Problem) -> tuple[Array, Array]:
    truth = problems.truth.u
    return (
        jax.vmap(numerics.sum_squares)(outputs - truth),
        jax.vmap(numerics.sum_squares)(truth),
    )
