"""Checks at the public boundary. Each failure is one line: where, argument, expected, got, hint."""

from __future__ import annotations

import difflib
import math
import numbers
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jaxinv._core import checks, outside
from jaxinv._core.outside import fail as fail
from jaxinv._core.outside import fail_type as fail_type
from jaxinv._core.outside import is_array, is_iterator
from jaxinv._core.outside import is_concrete as is_concrete
from jaxinv._core.outside import is_number_array as is_number_array
from jaxinv._core.outside import show as show

MOST_ENTRIES = 2**31 - 1  # XLA counts and indexes with int32 unless x64 is on


def is_integer(value: Any) -> bool:
    """Whether a value is an integer, or an array of integers; a bool is none."""
    if is_array(value):
        return jnp.issubdtype(value.dtype, jnp.integer)
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def array(where: str, argument: str, value: Any, *, ndim: int | None = None) -> jax.Array:
    """Return ``value`` as a floating or complex array; integers become the default float.

    Arrays of other libraries are taken by value or refused with the way out; see ``outside``.
    """
    result = outside.floats(where, argument, value)
    if ndim is not None and result.ndim != ndim:
        fail(where, argument, f"have {ndim} dimension(s)", result)
    return result


def arrays(where: str, argument: str, value: Any) -> Any:
    """Return a tree of arrays of numbers: its leaves are floating or complex, at least one."""
    if is_iterator(value):
        fail_type(where, argument, "be an array, or a tree of arrays", value)
    result = jax.tree.map(lambda leaf: array(where, argument, leaf), value)
    if not jax.tree.leaves(result):
        fail_type(where, argument, "be an array, or a tree of arrays", value)
    return result


def shape_is(where: str, argument: str, value: Any, shape: Sequence[int], hint: str = "") -> None:
    """Require an exact shape."""
    if tuple(jnp.shape(value)) != tuple(shape):
        fail(where, argument, f"have shape {tuple(shape)}", value, hint)


def tree_is(where: str, argument: str, value: Any, like: Any, hint: str = "") -> None:
    """Require the structure and the shapes of another tree; the first place that differs is named.

    A first axis more than that at every place is that of a batch.
    """
    found, expected = (
        {jax.tree_util.keystr(place): jnp.shape(leaf) for place, leaf in _places(tree)}
        for tree in (value, like)
    )
    for place in expected:
        if place not in found:
            got = f"arrays at {', '.join(found) or 'no place'}" if "" not in found else "one array"
            fail(where, argument, f"have an array at {argument}{place}", got[:200], hint)
    for place in found:
        if place not in expected:
            there = "one array" if "" in expected else f"arrays at {', '.join(expected)}"
            fail(where, argument, f"be {there}"[:200], f"another at {argument}{place}", hint)
    for place, shape in expected.items():
        if found[place] != shape:
            if found[place][1:] == shape:
                hint = "It holds a batch; use jax.vmap."
            fail(where, f"{argument}{place}", f"have shape {shape}", f"shape {found[place]}", hint)


def _places(tree: Any) -> list[Any]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def finite(where: str, argument: str, value: Any, hint: str = "") -> None:
    """Require finite numbers, when they can be looked at."""
    for leaf in jax.tree.leaves(value):
        seen = np.asarray(leaf) if is_concrete(leaf) else np.zeros(())
        if jnp.issubdtype(seen.dtype, jnp.inexact):
            bad = int(np.sum(~np.isfinite(seen)))
            if bad:
                fail(where, argument, "be finite", f"{bad} NaN or infinite value(s)", hint)


def no_nan(where: str, argument: str, result: Any) -> Any:
    """Return a result; refuse ``argument`` where finite numbers of it have led to NaN."""
    if is_concrete(result):
        for leaf in jax.tree.leaves(result):
            if np.any(np.isnan(np.asarray(leaf))):
                hint = "Numbers overflow on the way: scale them."
                fail(where, argument, "lead to a finite result", "NaN", hint)
    return result


def count(
    where: str, argument: str, value: Any, *, minimum: int = 1, maximum: int = MOST_ENTRIES
) -> int:
    """Return ``value`` as a Python int in ``[minimum, maximum]``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        fail_type(where, argument, f"be an integer >= {minimum}", value)
    number = int(value)
    if number < minimum:
        fail(where, argument, f"be >= {minimum}", value)
    if number > maximum:
        fail(where, argument, f"be at most {maximum}", value)
    return number


def scalar(
    where: str,
    argument: str,
    value: Any,
    *,
    low: float | int = -math.inf,
    high: float | int = math.inf,
    open_low: bool = False,
    single: bool = False,
    hint: str = "",
) -> Any:
    """Return a real scalar: concrete numbers as ``float`` (so new values never retrace).

    Tracers, and arrays of one value per trial that a ``vmap`` will split, pass untouched; with
    ``single``, an array of several values is refused.
    Concrete values must lie in ``[low, high]`` (``(low, high]`` with ``open_low``).
    """
    if hasattr(value, "shape") and not isinstance(value, type):
        value = outside.entries(where, argument, value)
        if single and value.shape != ():
            fail(where, argument, "be a scalar", value)
    if not is_concrete(value):
        return value
    if is_array(value):
        kinds: Any = (np.integer, np.floating)
        if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
            fail_type(where, argument, "be a real number", value)
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail_type(where, argument, "be a real number", value)
    elif abs(value) > sys.float_info.max:  # pyright: ignore[reportOperatorIssue]
        value = math.inf  # an integer that no float holds
    seen = np.asarray(value, np.float64)
    if seen.size == 0:
        fail(where, argument, "hold a value", value)
    above = seen > low if open_low else seen >= low
    if not bool(np.all(above & (seen <= high) & np.isfinite(seen))):
        fail(where, argument, f"be {_interval(low, high, open_low)}", value, hint)
    return value if is_array(value) and seen.ndim else float(seen)


_MOST_DECIBELS = 200.0


def decibels(where: str, argument: str, value: Any, *, single: bool = False) -> Any:
    """Return a signal-to-noise ratio in dB, as ``scalar``; refuse what must be a plain ratio."""
    hint = "Decibels are 10 log10 of the ratio of powers; None is no noise."
    value = scalar(where, argument, value, single=single, hint=hint)
    if is_concrete(value):
        size = np.abs(np.asarray(value, np.float64))
        if np.any((size > _MOST_DECIBELS) | ((size > 0) & (size < 1))):
            expected = f"be 0 dB, or between 1 and {_MOST_DECIBELS:g} dB in magnitude"
            fail(where, argument, expected, value, hint)
    return value


def _interval(low: float, high: float, open_low: bool) -> str:
    if math.isinf(high):
        bound = f"finite and {'>' if open_low else '>='} {low:g}"
        return bound if not math.isinf(low) else "a finite number"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}]"


def positive(where: str, argument: str, value: Any, hint: str = "", *, single: bool = False) -> Any:
    """Return a scalar > 0."""
    return scalar(where, argument, value, low=0.0, open_low=True, single=single, hint=hint)


def nonnegative(
    where: str, argument: str, value: Any, hint: str = "", *, single: bool = False
) -> Any:
    """Return a scalar >= 0."""
    return scalar(where, argument, value, low=0.0, single=single, hint=hint)


def share(where: str, argument: str, value: Any, *, single: bool = False) -> Any:
    """Return a scalar in (0, 1]."""
    return scalar(where, argument, value, low=0.0, high=1.0, open_low=True, single=single)


def sizes(where: str, argument: str, value: Any) -> tuple[int, ...]:
    """Return a tuple of positive ints; a bare int becomes a 1-tuple."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        fail_type(where, argument, "be an int or a tuple of ints", value)
    return tuple(count(where, f"{argument}[{i}]", entry) for i, entry in enumerate(value))


def shape(where: str, argument: str, value: Any) -> tuple[int, ...]:
    """Return the shape of an array as a tuple of positive ints; a bare int becomes a 1-tuple."""
    result = sizes(where, argument, value)
    if math.prod(result) > MOST_ENTRIES:
        fail(where, argument, f"have at most {MOST_ENTRIES} entries", value)
    return result


def float_type(where: str, dtype: Any, *, real: bool = False, argument: str = "dtype") -> Any:
    """Return a floating or complex type; refuse one that JAX would silently make narrower."""
    expected = "be a real floating type" if real else "be a floating or complex type"
    try:
        if hasattr(dtype, "__array__") and not isinstance(dtype, type):
            raise TypeError  # an array is no type, though it has one
        result = jnp.dtype(dtype)
    except (TypeError, ValueError):
        fail_type(where, argument, expected, dtype)
    if not jnp.issubdtype(result, jnp.floating if real else jnp.inexact):
        fail(where, argument, expected, result.name)
    if jnp.finfo(result).bits == 64 and jnp.result_type(float) != jnp.float64:
        hint = f'{result.name} needs jax.config.update("jax_enable_x64", True) at the start.'
        fail(where, argument, "have at most 32 bits while x64 is off", result.name, hint)
    return result


def optimizer(where: str, argument: str, value: Any) -> Any:
    """Return an optax transformation; refuse anything without its two functions."""
    if not all(hasattr(value, name) for name in ("init", "update")):
        fail_type(where, argument, "be an optax transformation", value, "Such as optax.adam(1e-3).")
    return value


def report(where: str, argument: str, value: Any) -> None:
    """Refuse a report that cannot be called, before any work."""
    if value is not None and not callable(value):
        fail_type(where, argument, "be a function, or None", value, "Such as print.")


def boolean(where: str, argument: str, value: Any) -> bool:
    """Return a switch as a bool; anything but True and False is refused."""
    if not isinstance(value, bool | np.bool_):
        fail_type(where, argument, "be True or False", value)
    return bool(value)


_MOST_LISTED = 20


def choice(where: str, argument: str, value: Any, choices: Iterable[str]) -> str:
    """Require one of some names; the message lists them and guesses the one meant."""
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        close = difflib.get_close_matches(str(value), names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        got = repr(value) if isinstance(value, str) else show(value)
        many = close and len(names) > _MOST_LISTED  # the guess would be lost behind them
        listed = f"{len(names)} names" if many else ", ".join(names)
        fail(where, argument, f"be one of {listed}", got, hint)
    return value


def writable_folder(where: str, argument: str, folder: Any) -> None:
    """Require a folder that exists or can be made, and written to; leaves nothing there."""
    place = Path(folder).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(dir=place):  # os.access does not know what lies in /proc
            return
    except OSError:
        fail(where, argument, "lie in a folder that can be written to", f"{folder}")


def key(where: str, value: Any, argument: str = "key") -> jax.Array:
    """Return one PRNG key as a typed key; both styles of JAX key are accepted."""
    hint = "Make one with jax.random.key(0)."
    if not isinstance(value, jax.Array | np.ndarray):
        fail_type(where, argument, "be a JAX PRNG key", value, hint)
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        if value.shape != ():
            fail(where, argument, "be one key", value, "Use jax.vmap for an array of keys.")
        return jnp.asarray(value)
    if value.dtype != np.uint32 or value.ndim != 1 or value.shape[0] not in (2, 4):
        fail_type(where, argument, "be a JAX PRNG key", value, hint)
    return jax.random.wrap_key_data(jnp.asarray(value))


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
