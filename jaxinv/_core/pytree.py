"""Frozen dataclasses that are JAX pytrees."""

import dataclasses
import math
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """Mark a field as static: part of the tree's structure, hashed, never traced.

    Static values must be hashable and compare by value: numbers, strings, tuples,
    module-level functions. A lambda or a ``functools.partial`` retraces at each new object.

    ``pytree`` shows one.
    """
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def pytree(cls: type[T]) -> type[T]:
    """Register ``cls`` as a frozen dataclass whose non-static fields are leaves.

    For operators, solvers and networks of your own, with ``static`` for the fields that are
    settings. Equality and hash go by identity (array leaves have neither). Validation belongs
    into a lower-case constructor function: JAX rebuilds the object without ``__init__``.

    Example:
        >>> import jax
        >>> @pytree
        ... class Scale:
        ...     factor: jax.Array
        ...     name: str = static(default="scale")
        >>> jax.tree.map(lambda leaf: 2 * leaf, Scale(1.5)).factor
        3.0
    """
    made = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    if made.__repr__ is object.__repr__:
        made.__repr__ = _one_line
    _register(made)
    return made


def _register(cls: type) -> None:
    """Make ``cls`` a pytree whose structure knows its type.

    ``jax.tree_util.register_dataclass`` does not do: with jax 0.10.2 the structures of two such
    classes compare equal when their static values do, whatever the classes, and ``jit`` then now
    and then runs the program of the other one.
    """
    fields = dataclasses.fields(cls)
    statics = [field.name for field in fields if field.metadata.get("static", False)]
    leaves = [field.name for field in fields if field.name not in statics]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(made: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        settings = tuple([getattr(made, name) for name in statics])
        return tuple([getattr(made, name) for name in leaves]), settings

    def flatten_with_keys(made: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children, settings = flatten(made)
        return list(zip(keys, children, strict=True)), settings

    def unflatten(settings: tuple[Any, ...], children: Any) -> Any:
        made = object.__new__(cls)  # JAX may pass placeholders, which no constructor should see
        for name, value in zip((*leaves, *statics), (*children, *settings), strict=True):
            object.__setattr__(made, name, value)
        return made

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)


def _one_line(self: Any) -> str:
    """Show arrays by type and shape: their numbers would fill the screen, and wait for them."""
    fields = dataclasses.fields(self)
    shown = ", ".join(f"{field.name}={_brief(getattr(self, field.name))}" for field in fields)
    return f"{type(self).__name__}({shown})"


def _brief(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return repr(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    leaves = jax.tree.leaves(value)
    if not isinstance(value, dict | tuple | list) or not any(hasattr(x, "shape") for x in leaves):
        return repr(value)
    count = sum(math.prod(getattr(leaf, "shape", ())) for leaf in leaves)
    return f"<{len(leaves)} arrays, {count} numbers>"


def replace(obj: T, **changes: Any) -> T:
    """Return a copy of the dataclass ``obj`` with some fields changed."""
    return dataclasses.replace(obj, **changes)  # pyright: ignore[reportArgumentType, reportReturnType]
