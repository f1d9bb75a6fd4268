"""Frozen dataclasses that are JAX pytrees."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """Mark a field as static: part of the tree's structure, hashed, never traced.

    Static values must be hashable and compare by value: numbers, strings, tuples,
    module-level functions. A lambda or a ``functools.partial`` retraces at each new object.
    """
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def pytree(cls: type[T]) -> type[T]:
    """Register ``cls`` as a frozen dataclass whose non-static fields are leaves.

    Equality and hash go by identity (array leaves have neither). Validation belongs into a
    lower-case constructor function: ``__post_init__`` would run again, on placeholder
    leaves, whenever JAX rebuilds the object.

    Example:
        >>> import jax
        >>> @pytree
        ... class Scale:
        ...     factor: jax.Array
        ...     name: str = static(default="scale")
        >>> jax.tree.map(lambda leaf: 2 * leaf, Scale(1.5)).factor
        3.0
    """
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, eq=False)(cls))


def replace(obj: T, **changes: Any) -> T:
    """Return a copy of the dataclass ``obj`` with some fields changed."""
    return dataclasses.replace(obj, **changes)  # pyright: ignore[reportArgumentType, reportReturnType]
