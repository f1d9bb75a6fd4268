"""Generators from any function, and from Flax modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxinv._core import checks, pytree, static
from jaxinv._core.functions import as_function
from jaxinv.generators._base import Generator

Array = jax.Array


@pytree
class FromFunction(Generator):
    """A generator from ``apply(params, z)``; see ``from_function``."""

    params: Any
    apply: Any
    shape: tuple[int, ...] | None = static(default=None)

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.shape

    def _apply(self, z: Array) -> Array:
        return self.apply(self.params, z)


def from_function(
    apply: Callable[[Any, Any], Array], params: Any, *, in_shape: Any = None
) -> FromFunction:
    """Wrap ``apply(params, z) -> x`` as a generator.

    Args:
        apply: a module-level function (a new lambda at each call retraces), or a
            ``jax.tree_util.Partial`` of one, whose arrays stay leaves.
        params: any pytree of arrays.
        in_shape: shape of ``z``; when given, it is checked at each call, and ``unfold`` can
            start at zero.

    Returns:
        A generator whose leaves are ``params``, and what is bound to ``apply``.

    Raises:
        TypeError: ``apply`` is not callable.

    Example:
        >>> import jax.numpy as jnp
        >>> def sine(params, z):
        ...     return params["a"] * jnp.sin(z)
        >>> from_function(sine, {"a": jnp.asarray(2.0)})(jnp.zeros(3))
        Array([0., 0., 0.], dtype=float32)
    """
    apply = as_function("from_function", "apply", apply, "apply(params, z)")
    shape = None if in_shape is None else checks.shape("from_function", "in_shape", in_shape)
    return FromFunction(params, apply, shape)


@pytree
class FromFlax(Generator):
    """A generator from a Flax module; see ``from_flax``. The module or graph is static."""

    params: Any
    rest: Any
    module: Any = static()
    shape: tuple[int, ...] | None = static(default=None)

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.shape

    def _apply(self, z: Array) -> Array:
        from flax.errors import FlaxError

        try:
            return self._evaluate(z)
        except (FlaxError, TypeError, ValueError) as error:  # what a wrong size of z ends in
            hint = f"Flax says: {type(error).__name__}: {str(error).splitlines()[0][:160]}"
            raise ValueError(
                f"FromFlax: z must fit the module, got {checks.show(z)}. {hint}"
            ) from error

    def _evaluate(self, z: Array) -> Array:
        from flax import linen

        if isinstance(self.module, linen.Module):
            return self.module.apply(self.params, z)  # pyright: ignore[reportReturnType]
        from flax import nnx

        return nnx.merge(self.module, self.params, self.rest)(z)


def from_flax(module: Any, params: Any = None, *, in_shape: Any = None) -> FromFlax:
    """Wrap a Flax module, linen or nnx, as a generator.

    Args:
        module: a ``flax.linen.Module``, with its ``params`` (the variables that ``init``
            returned), or a ``flax.nnx.Module``, which holds its own.
        params: variables of a linen module; for nnx, None, or a state of ``nnx.Param`` to use
            in place of the module's own.
        in_shape: shape of ``z``, as in ``from_function``.

    Returns:
        A generator whose leaves are the parameters.

    Raises:
        TypeError: not a Flax module, or ``params`` that are not its variables.
        ValueError: a linen module without ``params``; at the call, a ``z`` of a wrong size.

    Example:
        >>> import flax.linen as nn, jax
        >>> module = nn.Dense(4)
        >>> params = module.init(jax.random.key(0), jax.numpy.ones(3))
        >>> from_flax(module, params)(jax.numpy.ones(3)).shape
        (4,)
    """
    from flax import linen

    shape = None if in_shape is None else checks.shape("from_flax", "in_shape", in_shape)
    if isinstance(module, linen.Module):
        if params is None:
            hint = "Pass module.init(key, z)."
            checks.fail("from_flax", "params", "be the variables of the linen module", None, hint)
        if not isinstance(params, Mapping):
            hint = "Pass module.init(key, z)."
            checks.fail_type("from_flax", "params", "be the module's variables", params, hint)
        return FromFlax(params, None, module, shape)
    from flax import nnx

    if not isinstance(module, nnx.Module):
        checks.fail_type("from_flax", "module", "be a flax.linen or flax.nnx module", module)
    if params is not None and not isinstance(params, nnx.State):
        hint = "Pass nnx.state(module, nnx.Param), or nothing for the module's own."
        checks.fail_type("from_flax", "params", "be a state of nnx.Param", params, hint)
    graph, own, rest = nnx.split(module, nnx.Param, ...)
    return FromFlax(own if params is None else params, rest, graph, shape)
