"""Proximal operators from any function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree
from jaxinv._core.checks import as_function
from jaxinv.prox._base import Prox


@pytree
class FromFunction(Prox):
    """See ``from_function``."""

    apply: Any
    penalty: Any

    def _apply(self, v: Array, step_size: Any) -> Array:
        w = self.apply(v, jnp.asarray(step_size).astype(numerics.real_dtype(v.dtype)))
        if jnp.shape(w) != v.shape:
            checks.fail("prox.from_function", "apply", f"return the shape {v.shape} of v", w)
        return w

    def value(self, w: Any) -> Array:
        w = checks.array("prox.from_function", "w", w)
        real = numerics.real_dtype(w.dtype)
        if self.penalty is None:
            return jnp.zeros((), real)
        value = jnp.asarray(self.penalty(w))
        if value.ndim:
            checks.fail("prox.from_function", "value", "return a scalar", value)
        return value.astype(real)


def from_function(
    apply: Callable[[Array, Array], Array], value: Callable[[Array], Array] | None = None
) -> FromFunction:
    """Wrap your own proximal operator, projection or denoiser.

    Args:
        apply: ``apply(v, step_size) -> w``, a module-level function, or a
            ``jax.tree_util.Partial`` of one, whose arrays stay leaves: those of a network can
            be trained through ``unfold``.
        value: ``value(w) -> scalar``, the penalty, which solvers add to the loss that they
            report; default 0, as for a projection.

    Returns:
        A ``Prox``.

    Raises:
        TypeError: not callable.

    Example:
        >>> import jax.numpy as jnp
        >>> def shrink(v, step_size):
        ...     return v / (1 + step_size)
        >>> from_function(shrink)(jnp.array([2.0, 4.0]), 1.0)
        Array([1., 2.], dtype=float32)
    """
    where = "prox.from_function"
    apply = as_function(where, "apply", apply, "apply(v, step_size)")
    if value is not None:
        value = as_function(where, "value", value, "value(w)")
    return FromFunction(apply, value)
