"""What the Python functions that a program calls back are, as a digest.

The text of a program names a callback by a number only, so that two trials which differ in
their callbacks alone would pass for one.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

_PRIMITIVES = ("pure_callback", "io_callback")  # others have no results


def callbacks_digest(jaxpr: Any) -> bytes:
    """Return a digest of every callback in a program: code, constants, closures and globals.

    Of objects that are neither functions, numbers, arrays nor containers of these, only the
    class and the attributes count. Empty where nothing is called back.
    """
    functions = list(_callbacks(jaxpr))
    if not functions:
        return b""
    digest = hashlib.sha256()
    for function in functions:
        for text in _described(function, set()):
            digest.update(text)
    return digest.digest()


def _callbacks(jaxpr: Any) -> Iterator[Any]:
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if equation.primitive.name in _PRIMITIVES:
            yield equation.params["callback"]
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if isinstance(part, ClosedJaxpr | Jaxpr):
                    yield from _callbacks(part)


def _described(value: Any, seen: set[int]) -> Iterator[bytes]:
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield repr(value).encode()
        return
    yield type(value).__qualname__.encode()
    if isinstance(value, tuple | list):
        for inner in value:
            yield from _described(inner, seen)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        yield f"{array.dtype.str}{array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
    elif isinstance(value, types.FunctionType):
        yield from _function(value, seen)
    elif isinstance(value, types.CodeType):
        yield value.co_code
        yield from _described([*value.co_names, *value.co_consts], seen)
    elif isinstance(value, functools.partial):
        yield from _described([value.func, value.args, value.keywords], seen)
    elif isinstance(value, types.MethodType):
        yield from _described([value.__func__, value.__self__], seen)
    elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
        yield getattr(value, "__qualname__", value.__name__).encode()
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _described(name, seen)
            yield from _described(inner, seen)
    elif isinstance(value, set | frozenset):
        yield str(sorted(map(repr, value))).encode()
    else:
        slots = getattr(type(value), "__slots__", ())
        slots = (slots,) if isinstance(slots, str) else tuple(slots)
        for name in (*getattr(value, "__dict__", {}), *slots):
            yield from _described((name, getattr(value, name, None)), seen)


def _function(function: types.FunctionType, seen: set[int]) -> Iterator[bytes]:
    """Describe a function, and the functions and data of its own module that it names."""
    yield function.__qualname__.encode()
    yield from _described(function.__code__, seen)
    yield from _described([function.__defaults__, function.__kwdefaults__], seen)
    for cell in function.__closure__ or ():
        yield from _described(cell.cell_contents, seen)
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        is_data = isinstance(value, bool | int | float | complex | str | np.ndarray | jax.Array)
        is_function = isinstance(value, types.FunctionType)
        if is_data or (is_function and value.__module__ == function.__module__):
            yield from _described(value, seen)
