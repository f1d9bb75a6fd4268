"""Weight distribution conditions: how near W₊ᵣᵀW₊ₛ is to its expectation over Gaussian weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.generators import Generator
from jaxinv.generators._relu import Relu
from jaxinv.theory.generative._angles import unchecked_angle
from jaxinv.theory.generative._bilinear import Cones, largest_form
from jaxinv.theory.generative._regions import (
    MOST_REGIONS,
    dense_relu,
    expected_count,
    host_weights,
)
from jaxinv.theory.generative._search import largest, sampling
from jaxinv.theory.generative._sectors import in_the_plane, on_the_line

METHODS = ("exact", "search", "sampled")


class WeightDistribution(NamedTuple):
    """The constant ε of a weight distribution condition: ``value`` <= ε <= ``bound``.

    Attributes:
        value: the deviation at the witness: ε is at least this.
        bound: ε is at most this, to 1e-5 for ``"exact"``; infinite, which says nothing, for
            what only samples.
        witness: the directions (r, s); for a layer behind others the latents (x, y, a, b), where
            r and s are the images of x and y, and u and v are tangents at those of a and b.
    """

    value: Float[Array, ""] | float
    bound: Float[Array, ""] | float
    witness: tuple[Any, ...]


def weight_distribution(
    weights: Num[ArrayLike, "n l"],
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 2000,
) -> WeightDistribution:
    r"""Return ε of the weight distribution condition (WDC) of one layer.

    .. math:: \Big\| \sum_i 1_{\langle w_i, r \rangle > 0} 1_{\langle w_i, s \rangle > 0}
              w_i w_i^T - Q_{r,s} \Big\|_2 \le \epsilon \quad \text{for all } r, s \ne 0,
              \qquad Q_{r,s} = \frac{\pi - \theta}{2 \pi} I
              + \frac{\sin \theta}{2 \pi} M_{r \leftrightarrow s}

    with θ the angle between r and s, and M the map that exchanges their directions. Rows have
    variance 1/n: divide W of He scaling by √2. The matrix of a structured layer, such as
    ``G.layers[0].todense()`` of ``generators.convolutional``, is taken as it is. Methods:

    - ``"exact"``: of l <= 2 inputs: the masks are constant on pairs of sectors, on which Q is
      followed by boxes until value and bound are 1e-5 apart.
    - ``"search"``: a lower bound, by moves from the best random pairs.
    - ``"sampled"``: a lower bound, from random pairs. At l = 10 a quarter below the search.

    Args:
        weights: W, shape (n, l), one layer.
        method: as above.
        key: JAX PRNG key of ``"search"`` and ``"sampled"``; None for ``jax.random.key(0)``.
        num_samples: pairs (r, s), >= 1.

    Returns:
        ``WeightDistribution(value, bound, witness)``. ``"exact"`` works on the host in double
        precision; the others in the dtype of W, and under ``vmap``.

    Raises:
        ValueError: ``"exact"`` with l > 2 or more sectors than can be enumerated, W of rank
            below l then, or not a matrix.

    Cost: ``"exact"``: .02 s for n = 20, 2 s for n = 400. ``"search"``: 120 000 eigenvalue
    problems of size l.

    Notes: published results assume ε < K/d⁹⁰, while layers of practical sizes have .1 to 1: take
        it as a diagnosis.

    Example:
        >>> import numpy as np
        >>> W = np.random.default_rng(0).standard_normal((20, 2)) / np.sqrt(20)
        >>> found = weight_distribution(W, "exact")
        >>> round(found.value, 3), round(found.bound - found.value, 5)
        (0.486, 1e-05)

    Source: Hand, Voroninski (2019), Definition 2 in Scarlett et al. (2022).
    """
    where = "weight_distribution"
    checks.choice(where, "method", method, METHODS)
    key, num_samples = sampling(where, key, num_samples)
    weights = checks.array(where, "weights", weights, ndim=2)
    if not weights.size or jnp.iscomplexobj(weights):
        checks.fail(where, "weights", "be a real matrix with rows and columns", weights)
    checks.finite(where, "weights", weights)
    if method == "exact":
        (exact,) = host_weights(where, Relu((weights,)))
        return _exact_layer(where, "weights", exact)
    return _searched(None, weights, key, num_samples, method)


def range_restricted_weight_distribution(
    generator: Generator,
    layer: int,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 2000,
) -> WeightDistribution:
    r"""Return ε of the range restricted weight distribution condition (R2WDC) of one layer.

    .. math:: |\langle ((W_i)_{+,r}^T (W_i)_{+,s} - Q_{r,s}) u, v \rangle|
              \le \epsilon \|u\| \|v\|, \qquad r = G_{i-1}(x),\ s = G_{i-1}(y)

    for all latents x, y and all differences u, v of signals in the range of G_{i-1}, the layers
    before. It is what a layer behind others needs, also a contractive one, which has no WDC. At
    layer 1 it is ``weight_distribution``. Methods as there; ``"exact"`` at layer 1 with k <= 2,
    and behind it with k = 1. The others look at differences inside linear pieces, where the
    best u and v are singular vectors.

    A structured layer is the matrix of its linear map. Shared weights have no rows of variance
    1/n; the scaling is the one with E WᵀW = I, so that ½I is the expectation at r = s. For
    other r and s it is Q where all rows see parts of the same angle, as from latents of one
    pixel; else ε does not fall below a floor, however many channels there are.

    Args:
        generator: G, a ``generators.relu`` with N(0, 1/n) weights, or one of ``convolutional``
            or of ``piecewise_linear`` units max(t, 0) without biases; each ``weight_scale=1``.
        layer: i, from 1 to the depth.
        method: as above.
        key: JAX PRNG key of ``"search"`` and ``"sampled"``; None for ``jax.random.key(0)``.
        num_samples: sets of latents, >= 1.

    Returns:
        ``WeightDistribution(value, bound, witness)``.

    Raises:
        TypeError: a generator that is not a ReLU network.
        ValueError: a layer that is not there; ``"exact"`` with more latents.

    Cost: ``"search"``: 120 000 products of the layer with 2k vectors.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (1, 30, 20), weight_scale=1.0)
        >>> found = range_restricted_weight_distribution(G, 2, "exact")
        >>> found.value == found.bound < 1
        True

    Source: Cocola (2022), Definition 4.3.
    """
    where = "range_restricted_weight_distribution"
    checks.choice(where, "method", method, METHODS)
    key, num_samples = sampling(where, key, num_samples)
    generator = dense_relu(where, generator)
    layer = checks.count(where, "layer", layer)
    if layer > len(generator.params):
        checks.fail(where, "layer", f"be at most {len(generator.params)}, the depth", layer)
    if method == "exact":
        weights = host_weights(where, generator)
        if layer == 1:
            return _exact_layer(where, "generator", weights[0])
        return _exact_behind(where, weights, layer)
    weight = generator.params[layer - 1]
    if weight.ndim != 2:
        hint = "The generator holds a batch; use jax.vmap."
        checks.fail(where, f"generator.params[{layer - 1}]", "have 2 dimensions", weight, hint)
    prefix = Relu(generator.params[: layer - 1], generator.precision) if layer > 1 else None
    return _searched(prefix, weight, key, num_samples, method)


def _searched(prefix: Any, weight: Array, key: Array, num_samples: int, method: str) -> Any:
    if prefix is None:
        shape, objective = (2, weight.shape[1]), _layer_deviation
    else:
        shape, objective = (4, *prefix.in_shape), _range_deviation
    parts = (prefix, weight)
    value, points = largest(objective, parts, key, shape, weight.dtype, num_samples, method)
    return WeightDistribution(value, jnp.full_like(value, jnp.inf), tuple(points))


def _layer_deviation(parts: Any, pair: Array) -> Array:
    _, weight = parts
    return _norm(_deviation(weight, pair[0], pair[1], jnp.eye(weight.shape[1], dtype=pair.dtype)))


def _range_deviation(parts: Any, points: Array) -> Array:
    prefix, weight = parts
    r, s = prefix(points[0]), prefix(points[1])
    left, right = (_tangents(prefix, point) for point in points[2:])
    norm = _norm(numerics.matmul(left.T, _deviation(weight, r, s, right)))
    defined = (numerics.largest(r) > 0) & (numerics.largest(s) > 0)
    return jnp.where(defined, norm, 0)


def _deviation(weight: Array, r: Array, s: Array, vectors: Array) -> Array:
    """Return (W₊ᵣᵀW₊ₛ − Q) applied to the columns of ``vectors``, no l × l matrix formed."""
    active = (numerics.matmul(weight, r) > 0) & (numerics.matmul(weight, s) > 0)
    image = jnp.where(active[:, None], numerics.matmul(weight, vectors), 0)
    theta = unchecked_angle(r, s)
    r = numerics.safe_divide(r, numerics.safe_norm(r))
    s = numerics.safe_divide(s, numerics.safe_norm(s))
    exchanged = jnp.zeros_like(vectors)
    for direction, sign in ((r + s, 1), (r - s, -1)):
        unit = numerics.safe_divide(direction, numerics.safe_norm(direction))
        exchanged = exchanged + sign * jnp.outer(unit, numerics.matmul(unit, vectors))
    expected = (jnp.pi - theta) * vectors + jnp.sin(theta) * exchanged
    return numerics.matmul(weight.T, image) - expected / (2 * jnp.pi)


def _norm(matrix: Array) -> Array:
    gram = numerics.matmul(matrix.T, matrix)
    return numerics.safe_sqrt(jnp.maximum(jnp.linalg.eigvalsh(gram)[-1], 0))


def _tangents(prefix: Any, point: Array) -> Array:
    """Return an orthonormal basis of the range at a point, 0 for what it lacks of k vectors."""
    jacobian = jax.lax.stop_gradient(prefix.jacobian(point))
    basis, sizes, _ = jnp.linalg.svd(jacobian, full_matrices=False)
    cut = len(jacobian) * jnp.finfo(sizes.dtype).eps
    return jnp.where(sizes > cut * sizes[0], basis, 0)


def _exact_layer(where: str, argument: str, weights: np.ndarray) -> WeightDistribution:
    num_inputs = weights.shape[1]
    if num_inputs > 2:
        expected = "have at most 2 inputs for method 'exact'"
        pieces = f"{num_inputs} ({expected_count(num_inputs, len(weights)):.3g} cones)"
        checks.fail(where, argument, expected, pieces, "Use method='search'.")
    if num_inputs == 2 and expected_count(2, len(weights)) > MOST_REGIONS // 10:
        got = f"{expected_count(2, len(weights))}"
        expected = f"have at most {MOST_REGIONS // 10} sectors for method 'exact'"
        checks.fail(where, argument, expected, got, "Use method='search'.")
    sizes = np.linalg.svd(weights, compute_uv=False)
    if np.sum(sizes > 1e-6 * sizes[0]) < num_inputs:
        checks.fail(where, argument, f"have rank {num_inputs}, its number of inputs", "a lower one")
    worst = on_the_line(weights) if num_inputs == 1 else in_the_plane(where, weights)
    return WeightDistribution(*worst)


def _exact_behind(where: str, weights: list[np.ndarray], layer: int) -> WeightDistribution:
    """Return ε of a layer behind others at k = 1, where the range is two rays."""
    latent = weights[0].shape[1]
    if latent > 1:
        expected = "have one latent for method 'exact' behind the first layer"
        checks.fail(where, "generator", expected, latent, "Use method='search'.")
    rays = []
    for sign in (1.0, -1.0):
        signal = np.array([sign])
        for weight in weights[: layer - 1]:
            signal = np.maximum(weight @ signal, 0)
        rays.append(signal)
    lengths = [np.linalg.norm(ray) for ray in rays]
    units = [ray / length if length else ray for ray, length in zip(rays, lengths, strict=True)]
    edges = np.stack([units[0], -units[1]], axis=1)[None]
    cones = Cones(*np.linalg.qr(edges))
    best = (-1.0, (1.0, 1.0))
    for first, second in ((0, 0), (0, 1), (1, 1)):
        if not lengths[first] or not lengths[second]:
            continue
        form = _host_deviation(weights[layer - 1], units[first], units[second])
        value = largest_form(form, cones).value
        best = max(best, (value, (1.0 - 2 * first, 1.0 - 2 * second)))
    value = max(best[0], 0.0)
    return WeightDistribution(value, value, tuple(np.array([sign]) for sign in best[1]))


def _host_deviation(weight: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    active = (weight @ r > 0) & (weight @ s > 0)
    theta = 2 * np.arctan2(np.linalg.norm(r - s), np.linalg.norm(r + s))
    exchange = np.zeros((len(r), len(r)))
    for direction, sign in ((r + s, 1), (r - s, -1)):
        length = np.linalg.norm(direction)
        if length:
            exchange += sign * np.outer(direction, direction) / length**2
    expected = (np.pi - theta) * np.eye(len(r)) + np.sin(theta) * exchange
    return weight[active].T @ weight[active] - expected / (2 * np.pi)
