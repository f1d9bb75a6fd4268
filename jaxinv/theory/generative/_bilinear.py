"""Largest bilinear form over pairs of cones of secants, by their faces, on the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxinv.theory.generative._cones import RANK_CUT, chunks

_CHUNK = 1024


class Cones(NamedTuple):
    """Cones spanned by edges: bases (p, n, q) and edges in them (p, q, e)."""

    bases: np.ndarray
    edges: np.ndarray


class LargestForm(NamedTuple):
    """The largest |uᵀMv|/(‖u‖‖v‖): its value, the two cones, the weights of their edges."""

    value: float
    cones: tuple[int, int]
    weights: tuple[np.ndarray, np.ndarray]


def secant_cones(images: np.ndarray) -> tuple[Cones, np.ndarray]:
    """Return the cones of differences of a union of cones, and the pairs (p, 2) they come from."""
    pairs = np.stack(np.triu_indices(len(images)), axis=1)
    edges = np.concatenate([images[pairs[:, 0]], -images[pairs[:, 1]]], axis=2)
    return Cones(*np.linalg.qr(edges)), pairs


def largest_form(
    form: np.ndarray, cones: Cones, start: float = 0.0, first: np.ndarray | None = None
) -> LargestForm:
    """Return the largest |uᵀMv| of unit vectors in the cones, M symmetric, by branch and bound.

    Norms of the blocks of M bound the form; those above the best so far are opened in falling
    order, the pairs of the cones ``first`` before all others.
    """
    best = LargestForm(start, (0, 0), (np.zeros(0), np.zeros(0)))
    count = len(cones.bases)
    if first is not None:
        pairs = np.stack(np.triu_indices(len(first)), axis=1)
        best = _opened(form, cones, first[pairs], best)
    pairs, bounds = [], []
    measured = np.einsum("mn,pnq->pmq", form, cones.bases)
    for left in range(count):
        blocks = np.matmul(cones.bases[left].T, measured[left:])
        norms = _norm_bounds(blocks)
        above = np.flatnonzero(norms > best.value)
        pairs.append(np.stack([np.full_like(above, left), left + above], axis=1))
        bounds.append(norms[above])
    order = np.argsort(-np.concatenate(bounds), kind="stable")
    every, limits = np.concatenate(pairs)[order], np.concatenate(bounds)[order]
    for at in chunks(np.arange(len(every)), _CHUNK):
        if limits[at[0]] <= best.value:
            break
        best = _opened(form, cones, every[at], best)
    return best


def _norm_bounds(blocks: np.ndarray) -> np.ndarray:
    """Return upper bounds of spectral norms, at most 4^(1/8) = 1.19 times them at k = 2."""
    gram = np.matmul(blocks.transpose(0, 2, 1), blocks)
    fourth = np.matmul(gram, gram)
    return np.linalg.norm(fourth, axis=(1, 2)) ** 0.25 * (1 + 1e-12)


def _opened(form: np.ndarray, cones: Cones, pairs: np.ndarray, best: LargestForm) -> LargestForm:
    for chunk in chunks(pairs, _CHUNK):
        left, right = chunk[:, 0], chunk[:, 1]
        blocks = np.matmul(cones.bases[left].transpose(0, 2, 1), form @ cones.bases[right])
        close = np.linalg.norm(blocks, 2, axis=(1, 2)) > best.value
        found = faces_largest(
            blocks[close], cones.edges[left[close]], cones.edges[right[close]], best.value
        )
        if found is not None:
            value, row, weights = found
            place = tuple(int(i) for i in chunk[close][row])
            best = LargestForm(value, (place[0], place[1]), weights)
    return best


def faces_largest(
    blocks: np.ndarray, left: np.ndarray, right: np.ndarray, least: float
) -> tuple[float, int, tuple[np.ndarray, np.ndarray]] | None:
    """Return (value, row, weights) of the largest form above ``least`` over pairs of cones.

    The largest value lies inside two faces with independent edges, and is there the norm of the
    block of their subspaces. Faces are left when that norm is too small, and when its singular
    vectors lie inside.
    """
    best = None
    lefts, rights = _face_bases(left), _face_bases(right)
    alive = {(face, other): np.zeros(len(blocks), bool) for face in lefts for other in rights}
    alive[tuple(range(left.shape[2])), tuple(range(right.shape[2]))][:] = True
    for face, other in sorted(alive, key=lambda pair: -len(pair[0]) - len(pair[1])):
        rows = np.flatnonzero(alive[face, other])
        if not rows.size:
            continue
        a, b = lefts[face], rights[other]
        inner = np.matmul(a.basis[rows].transpose(0, 2, 1), blocks[rows] @ b.basis[rows])
        u, sizes, v = np.linalg.svd(inner, full_matrices=False)
        c = np.matmul(a.weights[rows], u[:, :, :1])[:, :, 0]
        d = np.matmul(b.weights[rows], v[:, :1].transpose(0, 2, 1))[:, :, 0]
        inside = a.independent[rows] & b.independent[rows] & _one_sign(c) & _one_sign(d)
        candidates = np.where(inside, sizes[:, 0], -1)
        at = int(np.argmax(candidates))
        if candidates[at] > least:
            least = float(candidates[at])
            weights = (_full(c[at], face, left), _full(d[at], other, right))
            best = (least, int(rows[at]), weights)
        going = rows[(sizes[:, 0] > least) & ~inside]
        for smaller in (*((f, other) for f in _facets(face)), *((face, f) for f in _facets(other))):
            alive[smaller][going] = True
    return best


class _Face(NamedTuple):
    basis: np.ndarray
    weights: np.ndarray
    independent: np.ndarray


def _face_bases(edges: np.ndarray) -> dict[tuple[int, ...], _Face]:
    """Return, for each set of edges, a basis of its span and the map from it to weights."""
    faces = {}
    for size in range(1, edges.shape[2] + 1):
        for face in itertools.combinations(range(edges.shape[2]), size):
            basis, sizes, right = np.linalg.svd(edges[:, :, face], full_matrices=False)
            kept = sizes > RANK_CUT * np.maximum(sizes[:, :1], 1e-300)
            independent = kept.all(axis=1) & (size <= edges.shape[1])
            inverse = np.where(kept, 1 / np.where(kept, sizes, 1), 0)
            weights = right.transpose(0, 2, 1) * inverse[:, None, :]
            faces[face] = _Face(basis * kept[:, None, :], weights, independent)
    return faces


def _facets(face: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if len(face) > 1:
        yield from itertools.combinations(face, len(face) - 1)


def _one_sign(weights: np.ndarray) -> np.ndarray:
    level = 1e-12 * np.max(np.abs(weights), axis=1, keepdims=True)
    return np.all(weights >= -level, axis=1) | np.all(weights <= level, axis=1)


def _full(weights: np.ndarray, face: tuple[int, ...], edges: np.ndarray) -> np.ndarray:
    full = np.zeros(edges.shape[2])
    full[list(face)] = np.abs(weights)
    return full
