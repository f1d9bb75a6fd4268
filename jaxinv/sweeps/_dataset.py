"""Blocks of results as an xarray Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.sweeps._blocks import Trials
from jaxinv.sweeps._cells import token

if TYPE_CHECKING:
    import xarray as xr


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
    names = {values: tuple(sorted(found.arrays)) for values, found in results.items()}
    for values, found in results.items():
        first = next(iter(names))
        if names[values] != names[first]:
            raise ValueError(
                f"sweep: the cells {first} and {values} have other metrics, {names[first]} and "
                f"{names[values]}: they are no one sweep."
            )
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
