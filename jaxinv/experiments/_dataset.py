"""Blocks of results as an xarray Dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.experiments._cells import token

if TYPE_CHECKING:
    import xarray as xr

Results = Mapping[str, np.ndarray]


def to_dataset(
    axes: Mapping[str, Sequence[Any]],
    results: Mapping[tuple[str, ...], Results],
    num_trials: int,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Return a Dataset with one dimension per grid name, and ``trial``.

    ``results`` maps the tokens of a cell's values, in the order of ``axes``, to its trials. What
    is missing becomes NaN, and its variable floating.
    """
    import xarray as xr

    shape = (*(len(values) for values in axes.values()), num_trials)
    positions = [{token(v): i for i, v in enumerate(values)} for values in axes.values()]
    complete = len(results) == math.prod(shape[:-1])
    complete &= all(len(a) >= num_trials for r in results.values() for a in r.values())
    metrics: dict[str, np.dtype] = {}
    for arrays in results.values():
        for name, array in arrays.items():
            metrics[name] = np.result_type(metrics.get(name, array.dtype), array.dtype)
    variables = {}
    for name in sorted(metrics):
        dtype = metrics[name] if complete else np.result_type(metrics[name], np.float32)
        table = np.zeros(shape, dtype) if complete else np.full(shape, np.nan, dtype)
        for values, arrays in results.items():
            place = tuple(index[value] for index, value in zip(positions, values, strict=True))
            found = arrays[name][:num_trials]
            table[(*place, slice(0, len(found)))] = found
        variables[name] = ((*axes, "trial"), table)
    coords = {name: _coordinate(values) for name, values in axes.items()}
    return xr.Dataset(variables, {**coords, "trial": np.arange(num_trials)}, dict(attrs))


def _coordinate(values: Sequence[Any]) -> list[Any]:
    plain = all(isinstance(value, bool | int | float | str) for value in values)
    return list(values) if plain else [str(value) for value in values]
