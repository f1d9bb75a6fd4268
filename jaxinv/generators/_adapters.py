"""Generators from any function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv._core.checks import as_function
from jaxinv.generators._base import Generator


@pytree
class FromFunction(Generator):
    """A generator from ``apply(params, z)``; see ``from_function``."""

    params: Any
    apply: Any
    shape: tuple[int, ...] | None = static(default=None)
    density: Any = None  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.shape

    def _apply(self, z: Any) -> Array:
        return self.apply(self.params, z)


def from_function(
    apply: Callable[[Any, Any], Array],
    params: Any,
    *,
    in_shape: Any = None,
    energy: Callable[[Any], Any] | None = None,
) -> FromFunction:
    """Wrap ``apply(params, z) -> x`` as a generator.

    Args:
        apply: a module-level function (a new lambda at each call retraces), or a
            ``jax.tree_util.Partial`` of one, whose arrays stay leaves.
        params: any pytree of arrays.
        in_shape: shape of ``z``; when given, it is checked at each call, and ``unfold`` can
            start at zero.
        energy: ``energy(z)``, −log of the prior density of the latent up to a constant; None:
            ½‖z‖², that of N(0, I). Used by samplers and by ``latent_penalty``.

    Returns:
        A generator whose leaves are ``params``, and what is bound to ``apply``.

    Raises:
        TypeError: ``apply``, or ``energy``, is not callable.
        ValueError: where it is used, an ``energy`` that is not one real number.

    Example:
        >>> import jax.numpy as jnp
        >>> def sine(params, z):
        ...     return params["a"] * jnp.sin(z)
        >>> from_function(sine, {"a": jnp.asarray(2.0)})(jnp.zeros(3))
        Array([0., 0., 0.], dtype=float32)
    """
    apply = as_function("from_function", "apply", apply, "apply(params, z)")
    shape = None if in_shape is None else checks.shape("from_function", "in_shape", in_shape)
    if energy is not None:
        energy = as_function("from_function", "energy", energy, "energy(z)")
    return FromFunction(params, apply, shape, energy)
