"""The linear pieces of a ReLU network: cones of latents, their edges, patterns and matrices."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jaxinv._core import checks
from jaxinv.generators import Generator
from jaxinv.generators._relu import Relu

MOST_REGIONS = 20_000
_ON_EDGE = 1e-12  # sine of the angle below which a ray lies on a hyperplane


class Regions(NamedTuple):
    """The linear pieces of a ReLU network, r of them.

    Attributes:
        patterns: which units are active inside, one Boolean array (r, n_i) a layer.
        rays: unit vectors along the edges of each cone, r arrays (q, k): two a cone at k = 2,
            in cyclic order at k = 3.
        maps: Λ with G(z) = Λ z there, shape (r, n, k), double precision.
    """

    patterns: tuple[np.ndarray, ...]
    rays: tuple[np.ndarray, ...]
    maps: np.ndarray


def regions(generator: Generator, *, max_regions: int = MOST_REGIONS) -> Regions:
    r"""Return the linear pieces of a ReLU network with at most three latents, all of them.

    .. math:: G(z) = \Lambda_r z \quad \text{for } z \in C_r, \qquad
              \textstyle\bigcup_r C_r = \mathbb{R}^k

    The cones are split layer by layer: inside a cone all units of the next layer are linear. At
    k = 2 they are the activation sectors of the plane.

    Args:
        generator: a ``generators.relu`` with k <= 3, whose first layer has rank k.
        max_regions: the cap, >= 1: a network that is expected to have more, 2 Σ_{i<k} C(N-1, i)
            for N units in all, is refused before the start, one that has more on the way.

    Returns:
        ``Regions(patterns, rays, maps)``, computed on the host in double precision. Cones
        narrower than 1e-12 rad are joined to a neighbor.

    Raises:
        TypeError: a generator that is not a ReLU network.
        ValueError: k > 3, a first layer of rank below k, more regions than the cap, traced
            weights.

    Cost: one k × n_i product a region and layer.

    Example:
        >>> import jax, jaxinv as ji
        >>> found = regions(ji.generators.relu(jax.random.key(0), (2, 10, 20)))
        >>> len(found.rays), found.maps.shape[1:]
        (62, (20, 2))

    Source: Hand, Voroninski (2019); the count for one layer is that of Cover (1965).
    """
    where = "regions"
    weights = host_weights(where, generator)
    cap = checks.count(where, "max_regions", max_regions)
    return enumerate_regions(where, weights, cap)


def host_weights(where: str, generator: Any) -> list[np.ndarray]:
    """Return the weights of a concrete ReLU network in double precision."""
    if not isinstance(generator, Relu):
        hint = "Only generators.relu is a union of cones; method='search' takes any generator."
        checks.fail_type(where, "generator", "be a ReLU network without biases", generator, hint)
    if not checks.is_concrete(generator.params):
        hint = "Call it outside jit, grad and vmap."
        got = "traced weights"
        checks.fail(where, "generator", "hold numbers that can be looked at", got, hint)
    weights = []
    for index, weight in enumerate(generator.params):
        exact = np.asarray(weight, np.float64)
        if exact.ndim != 2 or not exact.size:
            hint = "The generator holds a batch: take one of them."
            checks.fail(where, f"generator.params[{index}]", "have 2 dimensions", weight, hint)
        checks.finite(where, f"generator.params[{index}]", exact)
        weights.append(exact)
    return weights


def unit_layers(where: str, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the layers with largest entry 1: ratios of signals stay, nothing overflows."""
    sizes = [np.max(np.abs(weight)) for weight in weights]
    if min(sizes) == 0:
        checks.fail(where, "generator", "not be 0 everywhere", "a layer of zeros")
    return [weight / size for weight, size in zip(weights, sizes, strict=True)]


def expected_count(latent: int, num_units: int) -> int:
    """Return 2 Σ_{i<k} C(N-1, i): the cones of N hyperplanes in general position."""
    return 2 * sum(math.comb(num_units - 1, i) for i in range(latent))


def enumerate_regions(where: str, weights: list[np.ndarray], cap: int = MOST_REGIONS) -> Regions:
    """Return the regions of a network given by its weights."""
    latent = weights[0].shape[1]
    if latent > 3:
        hint = "Use method='search' or 'sampled'."
        checks.fail(where, "generator", "have at most 3 latents to be enumerated", latent, hint)
    count = expected_count(latent, sum(len(weight) for weight in weights))
    if count > cap:
        _too_many(where, f"about {count}", cap)
    cones = _simplicial(where, weights[0])
    maps = np.broadcast_to(np.eye(latent), (len(cones), latent, latent))
    patterns: list[np.ndarray] = []
    for weight in weights:
        parents, cones = _split_all(where, cones, weight @ maps, cap)
        maps = weight @ maps[parents]
        centers = np.stack([cone.sum(axis=0) for cone in cones])
        active = np.einsum("rnk,rk->rn", maps, centers) > 0
        maps = np.where(active[:, :, None], maps, 0)
        patterns = [*(pattern[parents] for pattern in patterns), active]
    return Regions(tuple(patterns), tuple(cones), maps)


def _too_many(where: str, count: str, cap: int) -> None:
    hint = "Fewer latents or units have fewer; method='search' takes any."
    checks.fail(where, "generator", f"have at most {cap} linear pieces", count, hint)


def _simplicial(where: str, weight: np.ndarray) -> list[np.ndarray]:
    """Return the 2^k cones that k independent rows cut out."""
    latent = weight.shape[1]
    rows: list[np.ndarray] = []
    for row in weight:
        norm = np.linalg.norm(row)
        trial = np.stack([*rows, row / norm]) if norm > 0 else np.zeros((1, latent))
        if np.linalg.svd(trial, compute_uv=False)[-1] > 1e-6:
            rows.append(trial[-1])
        if len(rows) == latent:
            break
    else:
        expected = f"have a first layer of rank {latent}, the number of latents"
        checks.fail(where, "generator", expected, f"rank {len(rows)}")
    edges = np.linalg.inv(np.stack(rows)).T
    edges /= np.linalg.norm(edges, axis=1, keepdims=True)
    signs = np.array(np.meshgrid(*[[1.0, -1.0]] * latent)).reshape(latent, -1).T
    return [sign[:, None] * edges for sign in signs]


def _split_all(
    where: str, cones: list[np.ndarray], rows: np.ndarray, cap: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Split every cone by the zeros of its own rows; returns parents and children."""
    parents, children = [], []
    for index, cone in enumerate(cones):
        norms = np.linalg.norm(rows[index], axis=1)
        crossing = rows[index][norms > 0] / norms[norms > 0, None]
        heights = crossing @ cone.T
        meets = (heights.max(axis=1) > _ON_EDGE) & (heights.min(axis=1) < -_ON_EDGE)
        pieces = [cone]
        for row in crossing[meets]:
            pieces = [half for piece in pieces for half in _split(piece, row)]
        parents += [index] * len(pieces)
        children += pieces
        if len(children) > cap:
            _too_many(where, f"more than {cap}", cap)
    return np.array(parents), children


def _split(cone: np.ndarray, row: np.ndarray) -> list[np.ndarray]:
    """Return the parts of a cone where ``row`` is positive and negative, edges in cyclic order."""
    heights = cone @ row
    if heights.max() <= _ON_EDGE or heights.min() >= -_ON_EDGE:
        return [cone]
    heights = np.where(np.abs(heights) <= _ON_EDGE, 0, heights)
    # at k = 2 the way back along the circle is no edge of the cone
    following = [1, 0] if len(cone) > 2 else [1]
    above: list[np.ndarray] = []
    below: list[np.ndarray] = []
    for i in range(len(cone)):
        if heights[i] >= 0:
            above.append(cone[i])
        if heights[i] <= 0:
            below.append(cone[i])
        j = (i + 1) % len(cone)
        if heights[i] * heights[j] < 0 and (len(following) > 1 or j):
            edge = np.abs(heights[j]) * cone[i] + np.abs(heights[i]) * cone[j]
            edge /= np.linalg.norm(edge)
            above.append(edge)
            below.append(edge)
    return [np.stack(above), np.stack(below)]
