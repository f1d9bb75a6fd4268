"""Arrays that other libraries made: taken by value, or refused with the way out.

NumPy in any byte order, its masked arrays, pandas, xarray, h5py, scipy.sparse, PyTorch and all
that offers ``__array__``. None of these packages is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_EXPECTED = "be an array of numbers"
_PLAIN = "?bBhHiIlLqQefdFD"  # all numbers of NumPy's but long doubles, which JAX has not
_SPARSE = "Pass {dense}, or keep it sparse as an operator: operators.from_sparse."


def entries(where: str, argument: str, value: Any) -> jax.Array | np.ndarray:
    """Return the numbers in ``value`` as an array of JAX or NumPy, their type kept.

    The result is in the machine's byte order; Boolean, integer, floating or complex, or PRNG
    keys of JAX. What a float of JAX cannot hold is refused by ``floats``, not here.
    """
    if isinstance(value, jax.Array):
        return value
    if type(value) is np.ndarray and value.dtype.char in _PLAIN and value.dtype.isnative:
        return value
    if hasattr(value, "__jax_array__") or not is_concrete(value):
        return _traced(where, argument, value)
    return _native(where, argument, _opened(where, argument, value), value)


def floats(where: str, argument: str, value: Any) -> jax.Array:
    """Return ``value`` as a floating or complex array; integers become the default float."""
    result = entries(where, argument, value)
    if jnp.issubdtype(result.dtype, jax.dtypes.prng_key):
        fail_type(where, argument, _EXPECTED, result, "This is a PRNG key.")
    target = jax.dtypes.canonicalize_dtype(result.dtype)
    if not jnp.issubdtype(target, jnp.inexact):
        target = jnp.result_type(float)
    if isinstance(result, jax.Array):
        return result if result.dtype == target else result.astype(target)
    if result.dtype == target:
        return jnp.asarray(result)
    with np.errstate(all="ignore"):
        narrow = result.astype(target)  # of NumPy: JAX would wrap wide integers on the way
    if result.dtype.kind in "fc":
        _check_range(where, argument, result, narrow)
    return jnp.asarray(narrow)


def _check_range(where: str, argument: str, wide: np.ndarray, narrow: np.ndarray) -> None:
    """Refuse numbers that a narrower type turns into infinity, or all of them into 0."""
    largest = np.max(np.abs(wide), initial=0, where=np.isfinite(wide))
    range_ = np.finfo(narrow.dtype)
    if largest == 0 or range_.tiny <= largest <= range_.max:
        return
    expected = f"fit {narrow.dtype}, from {range_.tiny:.2g} to {range_.max:.2g} in magnitude"
    hint = 'Scale it, or jax.config.update("jax_enable_x64", True) at the start.'
    hint = "Scale it." if range_.bits == 64 else hint
    size = np.format_float_scientific(largest, precision=2)
    fail(where, argument, expected, f"{wide.dtype} up to {size}", hint)


def _traced(where: str, argument: str, value: Any) -> jax.Array:
    """Return an array of what JAX itself knows: a list that holds tracers, a Flax variable."""
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        fail_type(where, argument, _EXPECTED, value)


def _native(where: str, argument: str, found: np.ndarray, value: Any) -> np.ndarray:
    """Return an array of numbers in the machine's byte order and in types that JAX has."""
    dtype = found.dtype
    if dtype.kind not in "biufc" and not (dtype.kind == "V" and jnp.issubdtype(dtype, jnp.number)):
        fail_type(where, argument, _EXPECTED, value, _hint(found))
    if dtype.char in "gG":
        with np.errstate(all="ignore"):
            narrow = found.astype(complex if dtype.char == "G" else float)
        _check_range(where, argument, found, narrow)
        return narrow
    return np.asarray(found, dtype.newbyteorder("="))


def _hint(found: np.ndarray) -> str:
    """Say what to do with an array that holds no numbers."""
    if found.dtype.names:
        return f"Pass one of its fields, {', '.join(found.dtype.names[:5])}."
    if found.dtype.kind in "Mm":
        return "Pass times as numbers, such as (t - t[0]) / np.timedelta64(1, 's')."
    if found.dtype.kind == "O" and found.ndim and found.size:
        kind = type(found.flat[0]).__name__
        return f"Its entries are objects such as {kind}; numbers pass after .astype(float)."
    return ""


def _opened(where: str, argument: str, value: Any) -> np.ndarray:
    """Return the array inside a foreign value, whatever type its entries have."""
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(where, argument, value)
    if isinstance(value, list | tuple):
        # each by itself: NumPy would drop the masks of arrays in a list
        rows = [
            _opened(where, argument, row) if isinstance(row, list | tuple) or _shaped(row) else row
            for row in value
        ]
        return _as_numpy(where, argument, rows, value)
    if _is_sparse(value):
        dense = ".toarray()" if hasattr(value, "toarray") else ".todense()"
        fail_type(where, argument, "be a dense array", value, _SPARSE.format(dense=dense))
    if hasattr(value, "matvec") and hasattr(value, "rmatvec"):
        hint = "Wrap it with operators.from_linear_operator."
        fail_type(where, argument, _EXPECTED, value, hint)
    if hasattr(value, "to_numpy") and hasattr(value, "isna"):
        return _from_pandas(where, argument, value)
    return _as_numpy(where, argument, value, value)


def _as_numpy(where: str, argument: str, opened: Any, value: Any) -> np.ndarray:
    try:
        return np.asarray(opened)
    except Exception as error:  # of foreign code, which may raise anything
        text = " ".join(str(error).split())
        text = "Its rows have different lengths." if "inhomogeneous" in text else text[:160]
        fail_type(where, argument, _EXPECTED, value, text)


def _unmasked(where: str, argument: str, value: np.ma.MaskedArray) -> np.ndarray:
    masked = int(np.sum(np.ma.getmaskarray(value)))
    if masked:
        hint = (
            "Give them values with .filled(value); in measurements, leave them out with "
            "operators.mask(~x.mask)."
        )
        fail(where, argument, "have no masked entries", f"{masked} of {value.size}", hint)
    return np.asarray(value.data)


def _shaped(value: Any) -> bool:
    return hasattr(value, "shape") and not isinstance(value, type)


def _is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix of SciPy, JAX, CuPy or pydata."""
    return _shaped(value) and (
        (hasattr(value, "toarray") and hasattr(value, "nnz"))
        or (hasattr(value, "todense") and (hasattr(value, "nse") or hasattr(value, "nnz")))
    )


def _from_pandas(where: str, argument: str, value: Any) -> Any:
    """Return the values of a Series, Index or DataFrame; missing ones are named."""
    dtypes = list(value.dtypes) if hasattr(value, "columns") else [value.dtype]
    kinds = [getattr(dtype, "kind", "O") for dtype in dtypes]
    if any(kind not in "biufc" for kind in kinds):
        return np.asarray(value)
    missing = np.sum(np.asarray(value.isna()))
    if missing and not all(isinstance(dtype, np.dtype) for dtype in dtypes):
        got = f"{missing} missing (NA)"
        hint = "Use .fillna(value) or .dropna() first."
        fail(where, argument, "have a value in every place", got, hint)
    found = value.to_numpy()
    return found.astype(float) if found.dtype == object else found


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
    if len(text) <= 80:
        return text
    whole = text[:75].rpartition(", ")[0] if re.match(r"[A-Z]\w*\(", text) else ""
    return f"{whole}, ...)" if whole else f"{text[:77]}..."  # objects lose whole fields


def fail(where: str, argument: str, expected: str, got: Any, hint: str = "") -> NoReturn:
    """Raise the ValueError of this project's form."""
    text = got if isinstance(got, str) else show(got)
    raise ValueError(f"{where}: {argument} must {expected}, got {text}. {hint}".rstrip())


def fail_type(where: str, argument: str, expected: str, got: Any, hint: str = "") -> NoReturn:
    """Raise the TypeError of this project's form."""
    name, text = type(got).__name__, show(got)
    text = text if text.startswith(f"{name}(") else f"{name} {text}"
    raise TypeError(f"{where}: {argument} must {expected}, got {text}. {hint}".rstrip())
