"""The linear pieces of a network: cones or polygons of latents, their patterns and maps."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import numpy as np

from jaxinv._core import checks
from jaxinv.generators import Generator
from jaxinv.generators._piecewise_linear import Layered
from jaxinv.generators._relu import Relu

MOST_REGIONS = 20_000
_BY_SEARCH = "range_restricted_isometry take any by method='search'."
_ON_EDGE = 1e-12  # sine of the angle below which a ray lies on a hyperplane


class Regions(NamedTuple):
    """The linear pieces of a network, r of them: each the convex hull of ``vertices`` plus rays.

    Attributes:
        patterns: which units are active inside, one Boolean array (r, n_i) a layer.
        rays: unit vectors along the edges that go to infinity, r arrays (q, k): without biases
            two a cone at k = 2, in cyclic order at k = 3.
        maps: Λ with G(z) = Λ z + c there, shape (r, n, k), double precision.
        vertices: the corners, r arrays (p, k); without biases the origin.
        offsets: c, shape (r, n); without biases 0.
        points: a point inside each, shape (r, k).
    """

    patterns: tuple[np.ndarray, ...]
    rays: tuple[np.ndarray, ...]
    maps: np.ndarray
    vertices: tuple[np.ndarray, ...]
    offsets: np.ndarray
    points: np.ndarray


def regions(generator: Generator, *, max_regions: int = MOST_REGIONS) -> Regions:
    r"""Return the linear pieces of a network with few latents, all of them.

    .. math:: G(z) = \Lambda_r z + c_r \quad \text{for } z \in C_r, \qquad
              \textstyle\bigcup_r C_r = \mathbb{R}^k

    The pieces are split layer by layer: inside one all units of the next layer are affine.
    Without biases they are cones, at k = 2 the activation sectors of the plane. With biases
    they are intervals of the line or polygons of the plane, the cones of (z, 1) one latent up.

    Args:
        generator: ``generators.relu``, ``piecewise_linear`` or ``convolutional`` with k <= 3,
            with biases k <= 2, whose first layer has rank k.
        max_regions: the cap, >= 1: a network that is expected to have more, with N units in all
            2 Σ_{i<k} C(N-1, i), with biases Σ_{i<=k} C(N, i), is refused before the start, one
            that has more on the way.

    Returns:
        ``Regions(patterns, rays, maps, vertices, offsets, points)``, computed on the host in
        double precision. Cones, of (z, 1) with biases, narrower than 1e-12 rad are joined to a
        neighbor.

    Raises:
        TypeError: a generator that is no such network.
        ValueError: too many latents, a first layer of rank below k, more regions than the cap,
            traced weights.

    Cost: one k × n_i product a region and layer.

    Example:
        >>> import jax, jaxinv as ji
        >>> found = regions(ji.generators.relu(jax.random.key(0), (2, 10, 20)))
        >>> len(found.rays), found.maps.shape[1:]
        (62, (20, 2))

    Source: Hand, Voroninski (2019); the count for one layer is that of Cover (1965).
    """
    where = "regions"
    if not isinstance(generator, Relu | Layered):
        hint = "For example generators.relu."
        expected = "be a network of piecewise linear units"
        checks.fail_type(where, "generator", expected, generator, hint)
    weights, biases, slope = _host_layers(where, generator), None, 0.0
    if isinstance(generator, Layered):
        biases, slope = _host_biases(where, generator), generator.negative_slope
    cap = checks.count(where, "max_regions", max_regions)
    return enumerate_regions(where, weights, cap, biases=biases, slope=slope)


def host_weights(where: str, generator: Any) -> list[np.ndarray]:
    """Return the weights of a concrete ReLU network without biases in double precision."""
    if not isinstance(generator, Relu) and not _is_relu(generator):
        _not_relu(where, generator)
    return _host_layers(where, generator)


def dense_relu(where: str, generator: Any) -> Relu:
    """Return a ReLU network without biases by the matrices of its layers."""
    if not isinstance(generator, Relu) and not _is_relu(generator):
        _not_relu(where, generator)
    checks.finite(where, "generator", generator)
    if isinstance(generator, Relu):
        return generator
    return Relu(tuple(layer.todense() for layer in generator.layers))


def _not_relu(where: str, generator: Any) -> NoReturn:
    hint = "Make one with generators.relu; set_restricted_eigenvalue and " + _BY_SEARCH
    checks.fail_type(where, "generator", "be a ReLU network without biases", generator, hint)


def _is_relu(generator: Any) -> bool:
    return isinstance(generator, Layered) and generator.zero_is_fixed


def _host_layers(where: str, generator: Any) -> list[np.ndarray]:
    if not checks.is_concrete(generator.params):
        hint = "Call it outside jit, grad and vmap."
        got = "traced weights"
        checks.fail(where, "generator", "hold numbers that can be looked at", got, hint)
    dense = isinstance(generator, Relu)
    matrices = generator.params if dense else [layer.todense() for layer in generator.layers]
    weights = []
    for index, weight in enumerate(matrices):
        exact = np.asarray(weight, np.float64)
        if exact.ndim != 2 or not exact.size:
            hint = "The generator holds a batch: take one of them."
            checks.fail(where, f"generator.params[{index}]", "have 2 dimensions", weight, hint)
        checks.finite(where, f"generator.params[{index}]", exact)
        if weights and exact.shape[1] != len(weights[-1]):
            expected = f"take the {len(weights[-1])} numbers of the layer before"
            checks.fail(where, f"generator.params[{index}]", expected, weight)
        weights.append(exact)
    return weights


def _host_biases(where: str, generator: Layered) -> list[np.ndarray] | None:
    biases = [np.asarray(bias, np.float64) for bias in generator.biases]
    for index, bias in enumerate(biases):
        checks.finite(where, f"generator.biases[{index}]", bias)
    return biases or None


def unit_layers(where: str, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the layers with largest entry 1: ratios of signals stay, nothing overflows."""
    sizes = [np.max(np.abs(weight)) for weight in weights]
    if min(sizes) == 0:
        checks.fail(where, "generator", "not be 0 everywhere", "a layer of zeros")
    return [weight / size for weight, size in zip(weights, sizes, strict=True)]


def expected_count(latent: int, num_units: int) -> int:
    """Return 2 Σ_{i<k} C(N-1, i): the cones of N hyperplanes in general position."""
    return 2 * sum(math.comb(num_units - 1, i) for i in range(latent))


def enumerate_regions(
    where: str,
    weights: list[np.ndarray],
    cap: int = MOST_REGIONS,
    *,
    biases: list[np.ndarray] | None = None,
    slope: float = 0.0,
) -> Regions:
    """Return the regions of a network given by its weights and biases."""
    latent = weights[0].shape[1]
    most = 3 if biases is None else 2
    num_units = sum(len(weight) for weight in weights)
    # with biases: half of the cones that they and the plane of height 0 cut one latent up
    lines = expected_count(latent + 1, num_units + 1) // 2
    count = expected_count(latent, num_units) if biases is None else lines
    if latent > most:
        expected = f"have at most {most} latents{' with biases' * (most < 3)} to be enumerated"
        got = f"{latent} (about {count:.3g} linear pieces, of at most {cap})"
        hint = "Take a smaller latent; set_restricted_eigenvalue and " + _BY_SEARCH
        checks.fail(where, "generator", expected, got, hint)
    if count > cap:
        _too_many(where, f"about {count}", cap)
    if biases is None:
        return _cones(where, weights, cap, slope)
    return _polygons(where, weights, biases, cap, slope)


def _cones(where: str, weights: list[np.ndarray], cap: int, slope: float) -> Regions:
    cones = _simplicial(where, weights[0])
    patterns, cones, maps = _split_layers(where, weights, cones, cap, slope)
    latent, count = weights[0].shape[1], len(cones)
    points = np.stack([cone.sum(axis=0) for cone in cones])
    origin = (np.zeros((1, latent)),) * count
    return Regions(patterns, tuple(cones), maps, origin, np.zeros(maps.shape[:2]), points)


def _polygons(
    where: str, weights: list[np.ndarray], biases: list[np.ndarray], cap: int, slope: float
) -> Regions:
    """Return the regions with biases: cones of (z, h), where layers are W z + b h, at h = 1."""
    latent = weights[0].shape[1]
    unit = np.max(np.abs(biases[0])) / (np.max(np.abs(weights[0])) or 1) or 1.0
    rows = [
        np.block(
            [[weight, bias[:, None] / unit], [np.zeros((1, weight.shape[1])), np.ones((1, 1))]]
        )
        for weight, bias in zip(weights, biases, strict=True)
    ]
    height = np.eye(latent + 1)[-1:]
    cones = _simplicial(where, np.concatenate([height, rows[0][:-1]]), added=1)
    cones = [cone for cone in cones if cone[0, -1] > 0]
    patterns, cones, maps = _split_layers(where, rows, cones, cap, slope)
    centers = np.stack([cone.sum(axis=0) for cone in cones])
    finite = [cone[:, -1] > _ON_EDGE for cone in cones]
    vertices = [
        unit * cone[at, :-1] / cone[at, -1:] for cone, at in zip(cones, finite, strict=True)
    ]
    return Regions(
        tuple(pattern[:, :-1] for pattern in patterns),
        tuple(cone[~at, :-1] for cone, at in zip(cones, finite, strict=True)),
        maps[:, :-1, :-1],
        tuple(vertices),
        unit * maps[:, :-1, -1],
        unit * centers[:, :-1] / centers[:, -1:],
    )


def _split_layers(
    where: str, layers: list[np.ndarray], cones: list[np.ndarray], cap: int, slope: float
) -> tuple[tuple[np.ndarray, ...], list[np.ndarray], np.ndarray]:
    """Split cones by the units of one layer after another; returns patterns, cones and maps."""
    latent = layers[0].shape[1]
    maps = np.broadcast_to(np.eye(latent), (len(cones), latent, latent))
    patterns: list[np.ndarray] = []
    for weight in layers:
        parents, cones = _split_all(where, cones, weight @ maps, cap)
        maps = weight @ maps[parents]
        centers = np.stack([cone.sum(axis=0) for cone in cones])
        active = np.einsum("rnk,rk->rn", maps, centers) > 0
        maps = np.where(active[:, :, None], maps, slope * maps if slope else 0)
        patterns = [*(pattern[parents] for pattern in patterns), active]
    return tuple(patterns), cones, maps


def _too_many(where: str, count: str, cap: int) -> None:
    hint = "Fewer latents or units have fewer; set_restricted_eigenvalue and " + _BY_SEARCH
    checks.fail(where, "generator", f"have at most {cap} linear pieces", count, hint)


def _simplicial(where: str, weight: np.ndarray, added: int = 0) -> list[np.ndarray]:
    """Return the 2^k cones that k independent rows cut out; ``added`` ones are no units'."""
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
        expected = f"have a first layer of rank {latent - added}, the number of latents"
        checks.fail(where, "generator", expected, f"rank {len(rows) - added}")
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
