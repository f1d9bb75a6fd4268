"""Stores of finished sweeps: open one as a Dataset."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.experiments._cells import cell_from_id, token
from jaxinv.experiments._dataset import to_dataset
from jaxinv.experiments._store import Results, Store

if TYPE_CHECKING:
    import xarray as xr


def open_store(store: str | os.PathLike[str]) -> xr.Dataset:
    """Return the results in a store as a Dataset; trials not yet run are NaN.

    Args:
        store: path of a file that ``sweep`` wrote. Another process may be writing it.

    Returns:
        A Dataset as ``sweep`` returns it, over every cell the store has been asked for.

    Raises:
        StoreError: the file does not exist or is not a store.

    Warns:
        UserWarning: damaged blocks, named; their trials read as NaN.
    """
    with Store(store, write=False) as opened:
        manifest = opened.manifest()
        asked = opened.cells()
        names = manifest.get("dims", [])
        found, damaged = read(opened)
    if damaged:
        rows = ", ".join(f"{cell} block {block}" for cell, block in damaged)
        warnings.warn(f"open: damaged blocks in {store}, read as NaN: {rows}", stacklevel=2)
    values = {cell: cell_from_id(cell) for cell in asked}
    axes = {name: _in_order([cell[name] for cell in values.values()]) for name in names}
    size = manifest["micro_batch"]
    num_trials = max(asked.values(), default=0)
    table = {}
    for identifier, cell in values.items():
        blocks = found.get(identifier, {})
        if blocks:
            place = tuple(token(cell[name]) for name in names)
            table[place] = _spread(blocks, size, asked[identifier])
    return to_dataset(axes, table, num_trials, {"micro_batch": size})


def _in_order(values: list[Any]) -> list[Any]:
    different = list({token(value): value for value in values}.values())
    sortable = all(isinstance(value, int | float) for value in different)
    return sorted(different) if sortable else different


def _spread(blocks: Mapping[int, Results], size: int, num_trials: int) -> Results:
    """Return the trials of a cell in order, NaN for the blocks that are missing."""
    last = math.ceil(num_trials / size)
    if all(block in blocks for block in range(last)):
        return join(blocks, last)
    some = next(iter(blocks.values()))
    missing = {
        name: np.full(size, np.nan, np.result_type(array.dtype, np.float32))
        for name, array in some.items()
    }
    return join({block: blocks.get(block, missing) for block in range(last)}, last)


def join(blocks: Mapping[int, Results], count: int) -> Results:
    """Return the first ``count`` blocks of a cell, one after the other."""
    return {
        name: np.concatenate([blocks[block][name] for block in range(count)]) for name in blocks[0]
    }


def read(store: Store) -> tuple[dict[str, dict[int, Results]], list[tuple[str, int]]]:
    """Return the sound blocks by cell, and the damaged ones."""
    found: dict[str, dict[int, Results]] = {}
    damaged = []
    for cell, block, results in store.blocks():
        if results is None:
            damaged.append((cell, block))
        else:
            found.setdefault(cell, {})[block] = results
    return found, damaged
