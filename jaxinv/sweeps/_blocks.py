"""The finished blocks of a sweep: in one array a metric and cell, and as an xarray Dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.sweeps._cells import token

if TYPE_CHECKING:
    import xarray as xr

Results = dict[str, np.ndarray]


class Trials(NamedTuple):
    """Trials of a cell in order, and which of them were run."""

    arrays: Results
    ran: np.ndarray


class Blocks(Mapping[int, Results]):
    """A mapping from block numbers to results, which takes few bytes for each trial.

    A block of one trial as a dict of arrays of its own would take hundreds.
    """

    def __init__(self, block_size: int, blocks: Mapping[int, Results] | None = None) -> None:
        self._size = block_size
        self._arrays: Results = {}
        self._done = np.zeros(0, bool)
        for number, results in (blocks or {}).items():
            self.put(number, results)

    def put(self, number: int, results: Results) -> None:
        """Keep a copy of the results of a block."""
        if number >= len(self._done):
            self._grow(max(number + 1, 2 * len(self._done)))
        place = slice(number * self._size, (number + 1) * self._size)
        for name, values in results.items():
            if name not in self._arrays:
                self._arrays[name] = np.zeros(len(self._done) * self._size, values.dtype)
            self._arrays[name][place] = values
        self._done[number] = True

    def _grow(self, count: int) -> None:
        more = count - len(self._done)
        self._done = np.pad(self._done, (0, more))
        for name, array in self._arrays.items():
            self._arrays[name] = np.concatenate([array, np.zeros(more * self._size, array.dtype)])

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number < len(self._done) and bool(self._done[number])

    def __getitem__(self, number: int) -> Results:
        if number not in self:
            raise KeyError(number)
        place = slice(number * self._size, (number + 1) * self._size)
        return {name: array[place] for name, array in self._arrays.items()}

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._done).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._done))

    def trials(self, num_trials: int) -> Trials:
        """Return the first ``num_trials`` trials; those of missing blocks are NaN."""
        done = self._done[: math.ceil(num_trials / self._size)]
        ran = np.zeros(num_trials, bool)
        there = np.repeat(done, self._size)[:num_trials]
        ran[: len(there)] = there
        arrays = {}
        for name, array in self._arrays.items():
            if ran.all():
                arrays[name] = array[:num_trials].copy()
                continue
            arrays[name] = np.full(num_trials, np.nan, np.result_type(array.dtype, np.float32))
            arrays[name][: len(there)][there] = array[: len(there)][there]
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
