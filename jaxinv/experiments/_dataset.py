"""Blocks of results as an xarray Dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.experiments._cells import token

if TYPE_CHECKING:
    import xarray as xr

Results = dict[str, np.ndarray]


class Trials(NamedTuple):
    """The trials of one cell, in order.

    Attributes:
        arrays: one array per metric.
        ran: False for trials that were not run, or whose block is lost.
    """

    arrays: Results
    ran: np.ndarray


def in_order(blocks: Mapping[int, Results], micro_batch: int, num_trials: int) -> Trials:
    """Return the first ``num_trials`` trials of a cell; those of missing blocks are NaN."""
    last = math.ceil(num_trials / micro_batch)
    names = next(iter(blocks.values()))
    ran = np.repeat([block in blocks for block in range(last)], micro_batch)[:num_trials]
    arrays = {}
    for name, example in names.items():
        if not ran.all():
            dtype = np.result_type(example.dtype, np.float32)
            hole = np.full(micro_batch, np.nan, dtype)
            pieces = [blocks[b][name] if b in blocks else hole for b in range(last)]
        else:
            pieces = [blocks[block][name] for block in range(last)]
        arrays[name] = np.concatenate(pieces)[:num_trials]
    return Trials(arrays, ran)


def to_dataset(
    axes: Mapping[str, Sequence[Any]],
    results: Mapping[tuple[str, ...], Trials],
    num_trials: int,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Return a Dataset with one dimension per grid name, and ``trial``.

    ``results`` maps the tokens of a cell's values, in the order of ``axes``, to its trials. What
    is missing becomes NaN, its variable floating, and the coordinate ``ran`` tells it from
    trials that failed.
    """
    import xarray as xr

    shape = (*(len(values) for values in axes.values()), num_trials)
    positions = [{token(v): i for i, v in enumerate(values)} for values in axes.values()]
    ran = np.zeros(shape, bool)
    metrics: dict[str, np.dtype] = {}
    places = {}
    for values, found in results.items():
        place = tuple(index[value] for index, value in zip(positions, values, strict=True))
        places[values] = (*place, slice(0, min(num_trials, len(found.ran))))
        ran[places[values]] = found.ran[:num_trials]
        for name, array in found.arrays.items():
            metrics[name] = np.result_type(metrics.get(name, array.dtype), array.dtype)
    complete = bool(ran.all())
    variables = {}
    for name in sorted(metrics):
        dtype = metrics[name] if complete else np.result_type(metrics[name], np.float32)
        table = np.zeros(shape, dtype) if complete else np.full(shape, np.nan, dtype)
        for values, found in results.items():
            table[places[values]] = found.arrays[name][:num_trials]
        variables[name] = ((*axes, "trial"), table)
    coords: dict[str, Any] = {name: _coordinate(values) for name, values in axes.items()}
    coords["trial"] = np.arange(num_trials)
    if not complete:
        coords["ran"] = ((*axes, "trial"), ran)
    return xr.Dataset(variables, coords, dict(attrs))


def _coordinate(values: Sequence[Any]) -> list[Any]:
    plain = all(isinstance(value, bool | int | float | str) for value in values)
    return list(values) if plain else [str(value) for value in values]
