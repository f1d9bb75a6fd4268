"""The weight distribution condition in the plane: exact up to a tolerance, on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxinv.theory.generative._regions import MOST_REGIONS, enumerate_regions

TOLERANCE = 1e-5
_MOST_BOXES = 4_000_000


class Worst(NamedTuple):
    """The largest deviation found, a bound of all, and the directions that attain it."""

    value: float
    bound: float
    witness: tuple[np.ndarray, np.ndarray]


def on_the_line(weights: np.ndarray) -> Worst:
    """Return the largest |Σ w² − ½| over the two signs: with opposite ones both sides are 0."""
    deviations = [abs(np.sum(np.maximum(sign * weights, 0) ** 2) - 0.5) for sign in (1.0, -1.0)]
    value, sign = max(zip(deviations, (1.0, -1.0), strict=True))
    witness = np.array([sign])
    return Worst(float(value), float(value), (witness, witness))


def in_the_plane(where: str, weights: np.ndarray, cap: int = MOST_REGIONS) -> Worst:
    """Return the largest ‖W₊ᵣᵀW₊ₛ − Q(r, s)‖ of an (n, 2) matrix, by boxes of two angles.

    On a box of two sectors the first matrix is constant, and the norm changes by at most 1/π a
    radian. Boxes are halved until none can hold more than the best by ``TOLERANCE``.
    """
    sectors, active = _sectors(where, weights, cap)
    products = np.einsum("na,nb->nab", weights, weights)[:, (0, 0, 1), (0, 1, 1)]
    pairs = np.stack(np.triu_indices(len(sectors)), axis=1)
    both = active[pairs[:, 0]] & active[pairs[:, 1]]
    first, cross, second = (both.astype(float) @ products).T
    scalar, turn = (first + second) / 2, (first - second) / 2 + 1j * cross
    low = sectors[pairs, 0]
    high = sectors[pairs, 1]
    best, at, reached = -1.0, np.zeros(2), 0.0
    while len(low):
        # the corners of the closed sectors count: their neighbors' masks hold up to them
        for corner in (low, high, np.stack([low[:, 0], high[:, 1]], 1), (low + high) / 2):
            values = _deviation(corner, scalar, turn)
            place = int(np.argmax(values))
            if values[place] > best:
                best, at = float(values[place]), corner[place]
        limits = values + (high - low).sum(axis=1) / (2 * np.pi)
        open_ = limits > best + TOLERANCE
        reached = float(limits[open_].max(initial=best))
        if 2 * open_.sum() > _MOST_BOXES:
            break
        low, high, scalar, turn = (part[open_] for part in (low, high, scalar, turn))
        low, high = _halved(low, high)
        scalar, turn = np.tile(scalar, 2), np.tile(turn, 2)
    bound = max(reached, best) + TOLERANCE
    witness = [np.array([np.cos(angle), np.sin(angle)]) for angle in at]
    return Worst(best, bound, (witness[0], witness[1]))


def _sectors(where: str, weights: np.ndarray, cap: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sectors as pairs of angles, and which rows are active on each.

    Rows that are opposite leave edges with a pattern of their own; they are sectors of width 0.
    """
    found = enumerate_regions(where, [weights], cap)
    rays = np.stack(found.rays)
    start = np.arctan2(rays[:, 0, 1], rays[:, 0, 0])
    turn = rays[:, 0, 0] * rays[:, 1, 1] - rays[:, 0, 1] * rays[:, 1, 0]
    width = np.arctan2(turn, np.sum(rays[:, 0] * rays[:, 1], axis=1))
    sectors = np.stack([np.minimum(start, start + width), np.maximum(start, start + width)], 1)
    order = np.argsort(np.mod(sectors[:, 0], 2 * np.pi))
    sectors, active = sectors[order], found.patterns[0][order]
    before = np.roll(active, 1, axis=0)
    edge = active & before
    new = np.any(edge != active, axis=1) & np.any(edge != before, axis=1)
    edges = np.repeat(sectors[new, :1], 2, axis=1)
    return np.concatenate([sectors, edges]), np.concatenate([active, edge[new]])


def _deviation(angles: np.ndarray, scalar: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return the norm of a symmetric 2 × 2 matrix less Q, both as multiple of I and reflection."""
    theta = np.abs(angles[:, 0] - angles[:, 1])
    theta = np.arccos(np.clip(np.cos(theta), -1, 1))
    reflection = np.sin(theta) * np.exp(1j * angles.sum(axis=1)) / (2 * np.pi)
    return np.abs(scalar - (np.pi - theta) / (2 * np.pi)) + np.abs(turn - reflection)


def _halved(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the halves of boxes, cut across their longer side."""
    side = np.argmax(high - low, axis=1)
    rows = np.arange(len(low))
    middle = (low[rows, side] + high[rows, side]) / 2
    upper, lower = low.copy(), high.copy()
    upper[rows, side] = middle
    lower[rows, side] = middle
    return np.concatenate([low, upper]), np.concatenate([lower, high])
