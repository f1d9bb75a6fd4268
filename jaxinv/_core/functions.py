"""Functions of the user's as pytrees: what is bound to them stays arrays."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from jaxinv._core import checks


def as_function(where: str, argument: str, value: Any, call: str) -> Any:
    """Return a function of the user's as a pytree that can be called.

    A ``Partial``, and any other object that is a pytree, keeps its arrays as leaves: they can
    be batched, differentiated and trained. A plain function becomes a ``Partial`` without
    leaves, so that it is part of the structure.

    Args:
        where: the function that asks.
        argument: the name of its argument.
        value: what was given.
        call: how it will be called, such as ``"apply(v, step_size)"``.

    Raises:
        TypeError: not callable, or a ``Partial`` of what is no number.

    Example:
        >>> import jax.numpy as jnp
        >>> as_function("f", "fn", Partial(jnp.add, 1.0), "fn(x)").args
        (1.0,)
    """
    if not callable(value):
        checks.fail_type(where, argument, f"be a function {call}", value)
    if not isinstance(value, Partial):
        return Partial(value) if jax.tree_util.all_leaves([value]) else value
    for leaf in jax.tree.leaves(value):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | complex):
            hint = "Bind settings with functools.partial, numbers with jax.tree_util.Partial."
            checks.fail_type(where, f"what is bound to {argument}", "be numbers", leaf, hint)
    return _unwrapped(value)


def _unwrapped(function: Partial) -> Partial:
    """Return one ``Partial`` for a ``Partial`` of a ``Partial``, whose arrays JAX hides."""
    inner = getattr(function.func, "fun", None)
    if not isinstance(inner, Partial):
        return function
    inner = _unwrapped(inner)
    keywords = {**inner.keywords, **function.keywords}
    return Partial(inner.func, *inner.args, *function.args, **keywords)
