"""Cells of a grid: canonical values, identifiers, and the key each one owns."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks

_WHERE = "sweep"


def canonical(name: str, value: Any) -> Any:
    """Return a cell value as plain Python, so that 20 and ``np.int64(20)`` are one value."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | np.bool_ | str):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            checks.fail(_WHERE, f"grid[{name!r}]", "have finite values", value)
        return float(value)
    if isinstance(value, tuple | list):
        return tuple(canonical(name, entry) for entry in value)
    expected = "have values that are numbers, strings, booleans, None or tuples of these"
    checks.fail_type(_WHERE, f"grid[{name!r}]", expected, value)


def token(value: Any) -> str:
    """Return the text of a canonical value; 1 and 1.0 are one value, True is another."""

    def plain(entry: Any) -> Any:
        if isinstance(entry, tuple | list):
            return [plain(inner) for inner in entry]
        whole = isinstance(entry, float) and entry.is_integer()
        return int(entry) if whole else entry

    return json.dumps(plain(value), separators=(",", ":"))


def cell_id(cell: Mapping[str, Any]) -> str:
    """Return the text that identifies a cell: its values by name, whatever their order."""
    pairs = (f"{json.dumps(name)}:{token(cell[name])}" for name in sorted(cell))
    return "{" + ",".join(pairs) + "}"


def cell_from_id(identifier: str) -> dict[str, Any]:
    """Return the cell that ``cell_id`` named."""

    def restore(value: Any) -> Any:
        return tuple(restore(entry) for entry in value) if isinstance(value, list) else value

    return {name: restore(value) for name, value in json.loads(identifier).items()}


def cell_key(root: jax.Array, identifier: str) -> jax.Array:
    """Return the key of a cell: the root folded with both halves of a 64-bit hash of its values."""
    digest = hashlib.sha256(identifier.encode()).digest()
    halves = np.frombuffer(digest[:8], ">u4").astype(np.uint32)
    return _folded(root, halves[0], halves[1])


@jax.jit
def _folded(key: jax.Array, first: Any, second: Any) -> jax.Array:
    """Fold twice; compiled, as a grid may have thousands of cells."""
    return jax.random.fold_in(jax.random.fold_in(key, first), second)


def check_grid(grid: Any, traced: Any) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Return the grid with canonical values, and the traced names."""
    if not isinstance(grid, Mapping):
        checks.fail_type(_WHERE, "grid", "be a dict of names to values", grid)
    axes: dict[str, list[Any]] = {}
    for name, values in grid.items():
        if not isinstance(name, str) or not name.isidentifier() or name in ("trial", "key"):
            expected = "have names that are identifiers other than 'trial' and 'key'"
            checks.fail(_WHERE, "grid", expected, repr(name))
        axes[name] = [canonical(name, value) for value in _listed(name, values)]
        if not axes[name]:
            checks.fail(_WHERE, f"grid[{name!r}]", "have at least one value", "none")
        if len(set(map(token, axes[name]))) < len(axes[name]):
            checks.fail(_WHERE, f"grid[{name!r}]", "have different values", str(axes[name]))
    if isinstance(traced, str) or not isinstance(traced, Iterable):
        checks.fail_type(_WHERE, "traced", "be a tuple of names", traced)
    for name in traced:
        checks.choice(_WHERE, "traced", name, axes)
        for value in axes[name]:
            if isinstance(value, str | tuple) or value is None:
                expected = "be numbers, to be traced"
                checks.fail_type(_WHERE, f"grid[{name!r}]", expected, value)
            if isinstance(value, int) and not -(2**31) <= value < 2**31:
                checks.fail(_WHERE, f"grid[{name!r}]", "fit into int32, to be traced", value)
            largest = float(jnp.finfo(jnp.result_type(float)).max)
            if isinstance(value, float) and abs(value) > largest:
                checks.fail(_WHERE, f"grid[{name!r}]", "fit into float32, to be traced", value)
    return axes, tuple(sorted(traced))


def _listed(name: str, values: Any) -> Sequence[Any]:
    """Return the values of an axis: those of a sequence, or of an array or column of any kind."""
    if isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray):
        return values
    if not hasattr(values, "dtype") or not getattr(values, "ndim", 0):
        checks.fail_type(_WHERE, f"grid[{name!r}]", "be a sequence of values", values)
    if np.ma.is_masked(values):
        checks.fail(_WHERE, f"grid[{name!r}]", "have no masked values", str(values))
    array = np.asarray(values)  # also of a DataArray, an Index or a Series
    if array.dtype.kind in "mM":
        checks.fail_type(_WHERE, f"grid[{name!r}]", "have numbers, strings or booleans", values)
    return array.tolist()


def cells(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every cell of the grid, the last name varying fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
