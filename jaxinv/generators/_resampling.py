"""Resampling of one axis as a small matrix, and the sizes that a decoder passes through."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np


@functools.lru_cache(maxsize=512)
def resampling_matrix(source: int, target: int, method: str | tuple[float, ...]) -> Any:
    """Return the (target, source) matrix of 1-D resampling.

    "bilinear" aligns pixel areas and clamps at the border (weights .25 and .75 for a factor of
    two), "nearest" takes pixel floor(i source / target); rows sum to one. A tuple of taps is a
    fixed kernel: a filter where the size stays, zero insertion and a filter where it doubles.
    """
    if not isinstance(method, str):
        return (_filter if source == target else _doubling)(source, target, method)
    matrix = np.zeros((target, source))
    rows = np.arange(target)
    if method == "nearest":
        matrix[rows, rows * source // target] = 1.0
        return matrix
    position = np.clip((rows + 0.5) * source / target - 0.5, 0, source - 1)
    lower = np.floor(position).astype(int)
    np.add.at(matrix, (rows, lower), 1 - (position - lower))
    np.add.at(matrix, (rows, np.minimum(lower + 1, source - 1)), position - lower)
    return matrix


def _filter(source: int, target: int, taps: tuple[float, ...]) -> Any:
    """Correlate; an even kernel sees one reflected pixel before the signal, then zeros."""
    matrix = np.zeros((target, source))
    before = len(taps) // 2
    for row in range(target):
        for tap, weight in enumerate(taps):
            column = row + tap - before
            if column == -1 and len(taps) % 2 == 0:
                column = min(1, source - 1)
            if 0 <= column < source:
                matrix[row, column] += weight
    return matrix


def _doubling(source: int, target: int, taps: tuple[float, ...]) -> Any:
    """Insert zeros and filter, the last pixels repeated; a target of 2 source - 1 is cropped."""
    matrix = np.zeros((target, source))
    centre = (len(taps) - 1) // 2
    for row in range(target):
        for column in range(-len(taps), source + len(taps)):
            tap = row + centre - 2 * column
            if 0 <= tap < len(taps):
                matrix[row, min(max(column, 0), source - 1)] += taps[tap]
    return matrix


def growing_sizes(
    size: tuple[int, ...], start: tuple[int, ...], num_steps: int
) -> tuple[tuple[int, ...], ...]:
    """Return the sizes ceil(start (size/start)^(i/d)), i = 1..d; the last one is ``size``."""
    steps = [
        tuple(
            math.ceil(low * (high / low) ** (i / num_steps) - 1e-9)
            for low, high in zip(start, size, strict=True)
        )
        for i in range(1, num_steps)
    ]
    return (*steps, size)


def doubling_sizes(size: tuple[int, ...], num_steps: int) -> tuple[tuple[int, ...], ...]:
    """Return the input size and the sizes after each doubling, the last one being ``size``."""
    return tuple(tuple(math.ceil(side / 2**i) for side in size) for i in range(num_steps, -1, -1))
