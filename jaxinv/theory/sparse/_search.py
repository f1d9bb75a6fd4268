"""Searches for bad supports and bad directions of a Gram matrix, on the host."""

from __future__ import annotations

import numpy as np

_POWER_STEPS = 60


def random_supports(
    generator: np.random.Generator, size: int, order: int, count: int
) -> np.ndarray:
    """Return ``count`` random supports, shape (count, order)."""
    scores = generator.random((count, size))
    return np.argpartition(scores, order - 1, axis=1)[:, :order]


def extreme_supports(
    generator: np.random.Generator, gram: np.ndarray, order: int, num_starts: int
) -> np.ndarray:
    """Return supports whose minors have extreme eigenvalues, by truncated power iterations.

    One iteration is toward the largest eigenvalue, with G, one toward the smallest, with c - G.
    """
    size = gram.shape[0]
    top = float(np.linalg.eigvalsh(gram)[-1])
    # minors have far smaller eigenvalues than G itself; a small shift moves faster toward theirs
    shift = 0.5 * (top + float(np.max(np.real(np.diag(gram)))))
    found = []
    for sign, offset in ((1.0, 0.0), (-1.0, top), (-1.0, shift)):
        vectors = _sparse_starts(generator, gram, order, num_starts, sign)
        for _ in range(_POWER_STEPS):
            vectors = sign * (gram @ vectors) + offset * vectors
            vectors = _keep_largest(vectors, order)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=0), 1e-300)
        found.append(_supports(vectors, order))
        found.append(_exchange(gram, found[-1], sign))
    return np.unique(np.sort(np.concatenate(found).reshape(-1, min(order, size)), axis=1), axis=0)


def cone_minimum(
    generator: np.random.Generator,
    gram: np.ndarray,
    order: int,
    cone: float | int,
    num_starts: int,
    num_steps: int,
) -> np.ndarray:
    """Return the x of norm 1 with the least x*Gx found in the cone ‖x_{S^c}‖₁ <= α ‖x_S‖₁."""
    size = gram.shape[0]
    values, vectors = np.linalg.eigh(gram)
    starts = generator.standard_normal((size, num_starts)).astype(gram.dtype)
    # half of the starts are drawn where G is small
    weights = 1 / (values[:, None] + 0.1 * values.mean())
    half = num_starts // 2
    starts[:, :half] = vectors @ (weights * (vectors.conj().T @ starts[:, :half]))
    current = _into_cone(starts, order, cone)
    best, lowest = current, _quotients(gram, current)
    step = 1.8 / float(values[-1])
    for _ in range(num_steps):
        image = gram @ current
        quotient = np.real(np.sum(current.conj() * image, axis=0))
        current = _into_cone(current - step * (image - quotient * current), order, cone)
        quotient = _quotients(gram, current)
        better = quotient < lowest
        best = np.where(better, current, best)
        lowest = np.where(better, quotient, lowest)
    return best[:, int(np.argmin(lowest))]


def _quotients(gram: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.real(np.sum(vectors.conj() * (gram @ vectors), axis=0))


def _into_cone(vectors: np.ndarray, order: int, cone: float) -> np.ndarray:
    """Shrink the entries below the s largest until the column is in the cone; norm 1."""
    sizes = np.abs(vectors)
    ranks = np.argsort(-sizes, axis=0, kind="stable")
    ordered = np.take_along_axis(sizes, ranks, axis=0)
    budget = cone * np.sum(ordered[:order], axis=0)
    tail = ordered[order:]
    if tail.size:
        # threshold of the projection on the ball of radius `budget` in the 1-norm
        excess = (np.cumsum(tail, axis=0) - budget) / np.arange(1, len(tail) + 1)[:, None]
        threshold = np.maximum(np.max(excess, axis=0), 0)
        shrunk = np.concatenate([ordered[:order], np.maximum(tail - threshold, 0)])
        sizes_new = np.empty_like(sizes)
        np.put_along_axis(sizes_new, ranks, shrunk, axis=0)
        vectors = vectors * (sizes_new / np.maximum(sizes, 1e-300))
    return vectors / np.linalg.norm(vectors, axis=0)


def _sparse_starts(
    generator: np.random.Generator, gram: np.ndarray, order: int, count: int, sign: float
) -> np.ndarray:
    """Return random sparse vectors, and columns with the neighbors that most resemble them."""
    size = gram.shape[0]
    random = generator.standard_normal((size, count)).astype(gram.dtype)
    off = gram - np.diag(np.diag(gram))
    reach = np.sum(-np.sort(-np.abs(off), axis=0)[: order - 1], axis=0)
    centers = np.argsort(-reach, kind="stable")[:count]
    neighbors = sign * off[:, centers]
    neighbors[centers, np.arange(centers.size)] = 1 + np.max(np.abs(neighbors), initial=0.0)
    neighbors = _keep_largest(neighbors, order)
    signs = neighbors / np.maximum(np.abs(neighbors), 1e-300)
    return np.concatenate([_keep_largest(random, order), signs], axis=1)


def _keep_largest(vectors: np.ndarray, order: int) -> np.ndarray:
    keep = np.zeros(vectors.shape, bool)
    np.put_along_axis(keep, _supports(vectors, order).T, True, axis=0)
    return np.where(keep, vectors, 0)


def _supports(vectors: np.ndarray, order: int) -> np.ndarray:
    if order == vectors.shape[0]:
        return np.tile(np.arange(order), (vectors.shape[1], 1))
    return np.argpartition(-np.abs(vectors), order - 1, axis=0)[:order].T


def _exchange(gram: np.ndarray, supports: np.ndarray, sign: float, rounds: int = 20) -> np.ndarray:
    """Improve the best support by exchanging one column at a time, while that helps."""
    size = gram.shape[0]

    def value(candidates: np.ndarray) -> np.ndarray:
        minors = gram[candidates[:, :, None], candidates[:, None, :]]
        return sign * np.linalg.eigvalsh(minors)[:, -1 if sign > 0 else 0]

    values = value(supports)
    best, reached = supports[int(np.argmax(values))], float(values.max())
    for _ in range(rounds):
        outside = np.setdiff1d(np.arange(size), best)
        if outside.size == 0:
            break
        _, vectors = np.linalg.eigh(gram[np.ix_(best, best)])
        vector = vectors[:, -1 if sign > 0 else 0]
        out = int(np.argmin(np.abs(vector)))  # the column that matters least leaves
        candidates = np.tile(best, (outside.size, 1))
        candidates[:, out] = outside
        values = value(candidates)
        if values.max() <= reached + 1e-14:
            break
        best, reached = candidates[int(np.argmax(values))], float(values.max())
    return best[None]
