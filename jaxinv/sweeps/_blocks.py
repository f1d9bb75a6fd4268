"""The finished blocks of one cell, in one array a metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

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
