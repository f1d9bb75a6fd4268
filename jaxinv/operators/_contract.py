"""The contract of operators, what runs them, and the factors that scale them."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType

from jaxinv._core import checks, numerics


def name_of(op: Any) -> str:
    """Return the name of an operator's class, for messages."""
    return type(op).__name__


def run(where: str, argument: str, op: Any, product: Callable[[Array], Array], x: Array) -> Array:
    """Call a product; where a mesh with explicit axes forbids it, say so in one line."""
    try:
        return product(x)
    except Exception as error:  # ShardingTypeError is not public, and other types occur
        if not any(_is_explicit(leaf) for leaf in jax.tree.leaves((op, x))):
            raise
        hint = (
            "Make the mesh with jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * "
            f"len(names)). JAX says: {' '.join(str(error).split())[:160]}"
        )
        expected = "be on mesh axes of type AxisType.Auto for this product, as the operator"
        raise ValueError(
            f"{where}: {argument} must {expected}, got {jax.typeof(x)} on Explicit ones. {hint}"
        ) from error


def _is_explicit(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return False
    sharding: Any = jax.typeof(leaf).sharding
    return AxisType.Explicit in getattr(sharding.mesh, "axis_types", ())


class Operator:
    """A measurement map ``y = op(x)``: arrays are leaves, shapes are static.

    A subclass gives ``in_shape``, ``out_shape`` (where it differs) and ``_apply(x)``. Its dtype
    follows the input.
    """

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        raise NotImplementedError

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``y``; that of ``x`` unless the operator says otherwise."""
        return self.in_shape

    def _apply(self, x: Array) -> Array:
        raise NotImplementedError

    def _ndims(self) -> dict[str, int]:
        """Return how many axes the arrays of one operator have, to tell it from a batch."""
        return {}

    def __call__(self, x: Any) -> Array:
        """Measure ``x`` of shape ``in_shape``; returns ``y`` of shape ``out_shape``."""
        name = name_of(self)
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return run(name, "x", self, self._apply, x)

    def __matmul__(self, other: Any) -> Any:
        """Apply to an array, as a call does."""
        if isinstance(other, Operator):
            hint = "Compose its linear part, op.linear @ B, and wrap the result."
            checks.fail_type("A @ B", "A", "be linear to be composed", self, hint)
        return self(other)


def require_single(op: Operator) -> None:
    """Refuse a batch of operators outside ``vmap``, which would broadcast to wrong numbers."""
    for name, ndim in op._ndims().items():
        held = getattr(op, name)
        if getattr(held, "ndim", 0) > ndim:
            hint = "The operator holds a batch; use jax.vmap."
            checks.fail(name_of(op), name, f"have {ndim} dimension(s)", held, hint)
    for name in getattr(op, "__dataclass_fields__", ()):
        if isinstance(getattr(op, name), Operator):
            require_single(getattr(op, name))


def scalar(where: str, value: Any) -> Array:
    """Return a number as a floating or complex array that holds it."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
        hint = "Compose operators with @; weight entries with operators.mask."
        checks.fail_type(where, "c", "be a scalar", value, hint)
    if isinstance(value, numbers.Real):  # an integer of any length
        try:
            value = float(value)
        except OverflowError:
            checks.fail(where, "c", "be a finite number", value)
    result = checks.array(where, "c", value)
    checks.finite(where, "c", result)
    return result


def scaled(factor: Array, value: Array) -> Array:
    """Multiply in the type of ``value``: a scalar gives its kind but never its width."""
    kind = complex if jnp.iscomplexobj(factor) else float
    result = jnp.result_type(value, kind)
    wide = jnp.promote_types(result, jnp.float32)  # half precision cannot hold every factor
    own = wide if jnp.iscomplexobj(factor) else numerics.real_dtype(wide)
    return (factor.astype(own) * value.astype(wide)).astype(result)
