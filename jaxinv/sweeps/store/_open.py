"""Stores of finished sweeps: open one as a Dataset."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.sweeps._cells import Blocks, cell_from_id, to_dataset, token
from jaxinv.sweeps.store._budget import MOST_BYTES
from jaxinv.sweeps.store._location import clean
from jaxinv.sweeps.store._rows import StoreError, layout_of
from jaxinv.sweeps.store._store import Store
from jaxinv.sweeps.store._survey import Place, Survey, named, survey

if TYPE_CHECKING:
    import xarray as xr


def open_store(store: str | os.PathLike[str], *, max_bytes: int = MOST_BYTES) -> xr.Dataset:
    """Return the results in a store as a Dataset; trials not yet run are NaN.

    Args:
        store: path of a file that ``sweep`` wrote. Another process may be writing it; what it
            finished in the last second is not there yet.
        max_bytes: most memory that the store may ask for.

    Returns:
        A Dataset as ``sweep`` returns it, over every cell the store has been asked for.

    Raises:
        StoreError: the file does not exist, is not a store, cannot be read through, or asks for
            more memory.

    Warns:
        UserWarning: damaged blocks and blocks of another sweep, named, whose trials read as
            NaN; rows that were lost.

    Cost: reads the whole file once and verifies every checksum.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> store = tempfile.mkdtemp() + "/sweep.sqlite"
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> found = ji.sweep(
        ...     trial, {"n": [4]}, key=jax.random.key(0), num_trials=3, store=store)
        >>> ji.sweeps.open_store(store).equals(found)
        True
    """
    with Store(store, write=False, max_bytes=max_bytes) as opened:
        opened.require_sweep("open")
        found = survey(opened)
        warn(found, opened.path, "open", stacklevel=3)
        return dataset_of(opened, found)


def recipes(store: str | os.PathLike[str]) -> list[Any]:
    """Return how the sweep in a store was asked for: every ``recipe`` given to ``sweep`` with it.

    Args:
        store: path of a file that ``sweep`` wrote.

    Returns:
        The recipes in the order of asking, as JSON holds them. A file may say anything: check
        what you go by.

    Raises:
        StoreError: the file does not exist or is not a store.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> store = tempfile.mkdtemp() + "/sweep.sqlite"
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> _ = ji.sweep(trial, {"n": [4]}, key=jax.random.key(0), num_trials=3, store=store,
        ...              recipe={"study": "means", "seed": 0})
        >>> ji.sweeps.recipes(store)
        [{'study': 'means', 'seed': 0}]
    """
    with Store(store, write=False) as opened:
        return opened.recipes()


def warn(found: Survey, path: os.PathLike[str], where: str, *, stacklevel: int) -> None:
    """Warn of everything in a store that is not as it was written."""
    repair = "sweeps.verify(store, repair=True) settles it, and the same sweep computes it."
    texts = []
    if found.damaged:
        texts.append(f"damaged blocks in {path}, read as NaN: {named(found.damaged)}")
    if found.foreign:
        texts.append(f"blocks of another sweep in {path}, left out: {named(found.foreign)}")
    if found.faults:
        text = f"{path} is damaged: {'; '.join(found.faults)}"
        absent = f" Absent blocks: {named(found.missing)}." if found.missing else ""
        texts.append(f"{text}.{absent} {repair}")
    for text in texts:
        warnings.warn(f"{where}: {text}", stacklevel=stacklevel)


def dataset_of(store: Store, found: Survey) -> xr.Dataset:
    """Return the sound blocks of a store as a Dataset."""
    claims, asked = store.claims(), found.cells
    values = {cell: cell_from_id(cell) for cell in asked}
    names = store.manifest().get("dims")
    if not isinstance(names, list) or sorted(map(str, names)) != sorted(claims["names"]):
        names = claims["names"]
    axes = {name: _in_order([cell[name] for cell in values.values()]) for name in names}
    size = claims["block_size"]
    num_trials = max(asked.values(), default=0)
    num_entries = num_trials * math.prod(len(values) for values in axes.values())
    store.budget.take(2 * num_entries * (1 + _bytes_of_a_trial(store, found)))
    table = {}
    for identifier, cell in values.items():
        blocks = found.results(identifier, size)
        if blocks:
            place = tuple(token(cell[name]) for name in names)
            table[place] = blocks.trials(asked[identifier])
    whole = not (found.missing or found.damaged or found.foreign or found.faults)
    attrs = {"block_size": size, "complete": int(whole)}
    return to_dataset(axes, table, num_trials, attrs)


def _bytes_of_a_trial(store: Store, found: Survey) -> int:
    """Return the bytes of one trial's results; refuses cells of other metrics than the first."""
    kinds: dict[str, set[np.dtype]] = {}
    for cell, blocks in found.found.items():
        for row in list(blocks.values())[:1]:
            layout = {name: dtype for name, dtype, _ in layout_of(row.payload)}
            if kinds and kinds.keys() != layout.keys():
                text = f"the cell {cell} has other metrics than the first: they are no one sweep"
                raise StoreError(f"store {store.path}: {text}.")
            for name, dtype in layout.items():
                kinds.setdefault(name, {np.dtype(np.float32)}).add(dtype)
    try:
        return sum(np.result_type(*dtypes).itemsize for dtypes in kinds.values())
    except TypeError:
        text = f"its metrics are of types that no table holds: {clean(kinds)}"
        raise StoreError(f"store {store.path}: {text}.") from None


def _in_order(values: list[Any]) -> list[Any]:
    different = list({token(value): value for value in values}.values())
    sortable = all(isinstance(value, int | float) for value in different)
    return sorted(different) if sortable else different


def read(store: Store, block_size: int) -> tuple[dict[str, Blocks], list[Place]]:
    """Return the sound blocks by cell, and the damaged and foreign ones, to be done again.

    A store that is being written is settled first, when its records are at fault or hold blocks
    that nobody asked for: with a warning, it then holds its sound rows and nothing else.
    """
    found = survey(store)
    asked = found.cells
    stray = [place for place in found.foreign + found.damaged if place[0] not in asked]
    if found.faults or stray:
        settled = found._replace(damaged=[], foreign=stray)
        warn(settled, store.path, "sweep", stacklevel=6)
        store.rebuild(found.rows, asked)
    results = {cell: found.results(cell, block_size) for cell in found.found}
    return results, [*found.damaged, *found.foreign]
