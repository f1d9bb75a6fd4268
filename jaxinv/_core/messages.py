"""The one form of an error: where, argument, expected, got, hint; one line."""

from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def is_concrete(value: Any) -> bool:
    """Whether the numbers in ``value`` can be looked at (no tracer among its leaves)."""
    leaves = jax.tree.leaves(value, is_leaf=is_iterator)
    return not any(isinstance(leaf, Tracer) for leaf in leaves)


def is_iterator(value: Any) -> bool:
    """Whether a value is an iterator, of which ``jax.tree`` would warn."""
    return isinstance(value, Iterator)


def is_array(value: Any) -> bool:
    """Whether a value has a shape and a type of NumPy's or JAX's; ``np.float32`` itself has not."""
    if isinstance(value, jax.Array):
        return True
    return hasattr(value, "shape") and isinstance(getattr(value, "dtype", None), np.dtype)


def is_number_array(value: Any) -> bool:
    """Whether a value is an array of numbers or Booleans, of NumPy or JAX."""
    if not isinstance(value, jax.Array | np.ndarray | np.generic):
        return False
    return any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.number, jnp.bool_))


def is_key(value: Any) -> bool:
    """Whether an array holds PRNG keys."""
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def show(value: Any) -> str:
    """Describe a value in a few words for an error message."""
    if is_array(value):
        if is_key(value):
            return f"a PRNG key of shape {tuple(value.shape)}"
        if value.shape == () and is_concrete(value):
            return f"{_short(str(value))} ({value.dtype})"
        return f"shape {tuple(value.shape)} {value.dtype}"
    if isinstance(getattr(value, "shape", None), tuple) and not isinstance(value, type):
        return f"shape {tuple(value.shape)} {getattr(value, 'dtype', '')}".rstrip()
    return _short(repr(value))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def fail(where: str, argument: str, expected: str, got: Any, hint: str = "") -> NoReturn:
    """Raise the ValueError of this project's form."""
    text = got if isinstance(got, str) else show(got)
    raise ValueError(f"{where}: {argument} must {expected}, got {text}. {hint}".rstrip())


def fail_type(where: str, argument: str, expected: str, got: Any, hint: str = "") -> NoReturn:
    """Raise the TypeError of this project's form."""
    text = f"{type(got).__name__} {show(got)}"
    raise TypeError(f"{where}: {argument} must {expected}, got {text}. {hint}".rstrip())
