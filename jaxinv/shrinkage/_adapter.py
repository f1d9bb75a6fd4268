"""Shrinkage from any entrywise function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree
from jaxinv._core.checks import as_function
from jaxinv.shrinkage._base import Shrinkage


@pytree
class FromFunction(Shrinkage):
    """See ``from_function``."""

    apply: Any

    def _apply(self, v: Array, noise_std: Array) -> Array:
        estimate = self.apply(v, noise_std)
        if jnp.shape(estimate) != v.shape:
            expected = f"return the shape {v.shape} of v"
            checks.fail("shrinkage.from_function", "apply", expected, estimate)
        return estimate.astype(v.dtype)


def from_function(apply: Callable[[Array, Array], Array]) -> FromFunction:
    """Wrap your own estimator; its derivative comes from forward-mode differentiation.

    Args:
        apply: ``apply(v, noise_std) -> estimate``, which must treat each entry by itself; a
            module-level function, or a ``jax.tree_util.Partial`` of one, whose arrays stay
            leaves.

    Returns:
        A ``Shrinkage``.

    Raises:
        TypeError: not callable. ValueError, at the call: a result of another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> def wiener(v, noise_std):
        ...     return v / (1 + noise_std**2)
        >>> from_function(wiener).derivative(jnp.array([2.0, 4.0]), 1.0)
        Array([0.5, 0.5], dtype=float32)
    """
    return FromFunction(
        as_function("shrinkage.from_function", "apply", apply, "apply(v, noise_std)")
    )
