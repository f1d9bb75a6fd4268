"""Smallest gain of a matrix over the secants of a union of cones, by their faces, on the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxinv.theory.generative._regions import Regions

RANK_CUT = 1e-9  # of singular values, in double precision
_CHUNK = 1024


class LeastGain(NamedTuple):
    """The smallest ‖Av‖/‖v‖ found: its value, a lower bound, the latents, pairs opened."""

    value: float
    bound: float
    latents: tuple[np.ndarray, np.ndarray]
    opened: int


def simplicial(found: Regions) -> tuple[np.ndarray, np.ndarray]:
    """Return cones of k edges each that cover the regions: (edges (c, k, k), region of each)."""
    latent = found.maps.shape[2]
    cones, owners = [], []
    for index, rays in enumerate(found.rays):
        for j in range(max(len(rays) - latent, 0) + 1):
            cones.append(rays if latent < 3 else rays[[0, j + 1, j + 2]])
            owners.append(index)
    return np.stack(cones), np.array(owners)


def subspace_gains(matrix: np.ndarray, maps: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return σ_min(A orth[Λ_i, Λ_j]) of pairs (p, 2): the least gain over a whole subspace."""
    gains = []
    most = 2 * np.linalg.norm(matrix)  # for directions that are not there: never the least
    for chunk in chunks(pairs):
        basis, kept = orthonormal(np.concatenate([maps[chunk[:, 0]], maps[chunk[:, 1]]], axis=2))
        images = matrix @ basis
        absent = np.where(kept, 0, most)[:, None, :] * np.eye(kept.shape[1])
        images = np.concatenate([images, absent], axis=1)
        gains.append(np.linalg.svd(images, compute_uv=False)[:, -1])
    return np.concatenate(gains)


def least_gain(matrix: np.ndarray, found: Regions, *, open_pairs: bool = True) -> LeastGain:
    """Return the least ‖A(x₁ − x₂)‖/‖x₁ − x₂‖ over the range, by branch and bound over pairs.

    Without ``open_pairs`` only pairs of equal regions are opened, which gives a value to hold
    beside the bound.
    """
    num_regions = len(found.maps)
    pairs = np.stack(np.triu_indices(num_regions), axis=1)
    bounds = subspace_gains(matrix, found.maps, pairs)
    order = np.argsort(bounds, kind="stable")
    same = pairs[:, 0] == pairs[:, 1]
    cones, owners = simplicial(found)
    images = images_of(found.maps, cones, owners)
    best = _faces_least(matrix, images, _cone_pairs(pairs[same], owners))
    opened = int(same.sum())
    if open_pairs:
        for chunk in chunks(order[~same[order]], 128):
            chunk = chunk[bounds[chunk] < best[0]]
            if not chunk.size:
                break
            opened += len(chunk)
            candidate = _faces_least(matrix, images, _cone_pairs(pairs[chunk], owners))
            best = min(best, candidate, key=lambda entry: entry[0])
    value, (i, j), weights = best
    latents = [
        latent(found.maps[owners[cone]], cones[cone], part)
        for cone, part in zip((i, j), np.split(weights, 2), strict=True)
    ]
    bound = value if open_pairs else min(value, float(bounds.min()))
    return LeastGain(value, bound, (latents[0], latents[1]), opened)


def chunks(rows: np.ndarray, size: int = _CHUNK) -> Iterator[np.ndarray]:
    """Yield an array in pieces of ``size`` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def edge_lengths(maps: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the norms of images of edges (..., k, k), with 0 for what is only rounding."""
    lengths = np.linalg.norm(maps @ np.swapaxes(edges, -1, -2), axis=-2)
    floor = 1e-11 * np.linalg.norm(maps, axis=(-2, -1))
    return np.where(lengths > floor[..., None], lengths, 0)


def images_of(maps: np.ndarray, cones: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the images of the edges of each cone as columns of norm 1, or 0: (c, n, k)."""
    lengths = edge_lengths(maps[owners], cones)[:, None, :]
    images = maps[owners] @ cones.transpose(0, 2, 1)
    return np.where(lengths > 0, images / np.where(lengths > 0, lengths, 1), 0)


def latent(maps: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the z whose image is the sum of the images of the edges, of norm 1, with weights."""
    lengths = edge_lengths(maps, edges)
    return (weights / np.where(lengths > 0, lengths, 1)) @ edges


def _cone_pairs(pairs: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the pairs of simplicial cones that make up pairs of regions."""
    if np.array_equal(owners, np.arange(len(owners))):
        return pairs
    starts = np.searchsorted(owners, np.arange(owners[-1] + 2))
    found = [
        (a, b)
        for i, j in pairs
        for a in range(starts[i], starts[i + 1])
        for b in range(starts[j], starts[j + 1])
    ]
    return np.array(found)


def _faces_least(
    matrix: np.ndarray, images: np.ndarray, pairs: np.ndarray
) -> tuple[float, tuple[int, int], np.ndarray]:
    """Return (value, pair, weights >= 0 of the edges) of the least gain over cones of secants.

    The minimum over a cone lies inside the cone of some independent edges, and is there that of
    their subspace: so all sets of independent edges are tried, with the least singular vector
    of each. An edge that two neighbors share enters once with either sign, in two of the sets.
    """
    best = (np.inf, (0, 0), np.zeros(2 * images.shape[2]))
    for chunk in chunks(pairs):
        edges = np.concatenate([images[chunk[:, 0]], -images[chunk[:, 1]]], axis=2)
        basis, coordinates = np.linalg.qr(edges)
        measured = matrix @ basis
        for subset in _subsets(edges.shape[2], coordinates.shape[1]):
            gains, weights = _subspace_least(measured, coordinates[:, :, subset])
            at = int(np.argmin(gains))
            if gains[at] < best[0]:
                full = np.zeros(edges.shape[2])
                full[list(subset)] = np.abs(weights[at])
                best = (float(gains[at]), (int(chunk[at, 0]), int(chunk[at, 1])), full)
    return best


def _subspace_least(measured: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least gain over each span, infinite where it is not inside the cone."""
    left, sizes, right = np.linalg.svd(edges, full_matrices=False)
    independent = sizes[:, -1] > RANK_CUT * sizes[:, 0]
    sizes = np.where(independent[:, None], sizes, 1)
    images = measured @ left
    if images.shape[1] < images.shape[2]:
        images = np.concatenate(
            [images, np.zeros_like(images[:, :1].repeat(images.shape[2], 1))], 1
        )
    _, gains, vectors = np.linalg.svd(images, full_matrices=False)
    weights = np.einsum("pij,pi->pj", right, vectors[:, -1] / sizes)
    largest = np.max(np.abs(weights), axis=1, keepdims=True)
    inside = np.all(weights >= -1e-12 * largest, axis=1) | np.all(
        weights <= 1e-12 * largest, axis=1
    )
    return np.where(independent & inside, gains[:, -1], np.inf), weights


def _subsets(count: int, most: int) -> Iterator[tuple[int, ...]]:
    for size in range(1, most + 1):
        yield from itertools.combinations(range(count), size)


def orthonormal(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal bases of the spans of columns, and which of their vectors count."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left, sizes > RANK_CUT * np.maximum(sizes[:, :1], 1e-300)
