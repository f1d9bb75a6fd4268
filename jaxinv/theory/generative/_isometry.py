"""The range restricted isometry condition: how well A keeps inner products of secants."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.generators import Generator
from jaxinv.operators import LinearOperator
from jaxinv.theory.generative._bilinear import largest_form, secant_cones
from jaxinv.theory.generative._cones import images_of, latent, simplicial
from jaxinv.theory.generative._regions import enumerate_regions, host_weights, unit_layers
from jaxinv.theory.generative._search import (
    largest,
    latent_of,
    measuring,
    require_distinct,
    sampling,
    secant,
)
from jaxinv.theory.generative._set_restricted import host_operator

METHODS = ("exact", "search", "sampled")
_MOST_PIECES = 80  # whose 3240 cones of secants make 5 million pairs


class RangeIsometry(NamedTuple):
    """The constant ε of a range restricted isometry: ``value`` <= ε <= ``bound``.

    Attributes:
        value: the number that the witness attains: ε is at least this.
        bound: ε is at most this: equal to ``value`` for ``"exact"``; infinite, which says
            nothing, for what only samples.
        witness: latents (z₁, z₂, z₃, z₄) of the two differences.
    """

    value: Float[Array, ""] | float
    bound: Float[Array, ""] | float
    witness: tuple[Any, Any, Any, Any]


def range_restricted_isometry(
    operator: Num[ArrayLike, "m n"] | LinearOperator,
    generator: Generator,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 2000,
) -> RangeIsometry:
    r"""Return ε of the range restricted isometry condition (RRIC) of A and G.

    .. math:: |\langle A u, A v \rangle - \langle u, v \rangle| \le \epsilon \|u\| \|v\|,
              \qquad u = G(z_1) - G(z_2),\ v = G(z_3) - G(z_4)

    for all latents. Methods:

    - ``"exact"``: ε itself, of a ReLU network with k <= 2 and about 80 linear pieces: the
      largest form over all pairs of cones of differences, by branch and bound over their faces.
    - ``"search"``: a lower bound: ascent from the best random latents, of any generator.
    - ``"sampled"``: a lower bound, from ``num_samples`` random latents. At k = 10 it is far
      below the truth.

    Args:
        operator: A, shape (m, n), or a linear operator on signals.
        generator: G; a network of ReLU units without biases for ``"exact"``.
        method: as above.
        key: JAX PRNG key of ``"search"`` and ``"sampled"``; None for ``jax.random.key(0)``.
        num_samples: sets of four latents, >= 1.

    Returns:
        ``RangeIsometry(value, bound, witness)``. ``"exact"`` works on the host in double
        precision; the others in the generator's dtype, and under ``vmap``.

    Raises:
        TypeError: a generator that is not piecewise linear for ``"exact"``.
        ValueError: more latents or pieces than can be enumerated, a signal that A does not
            take, numbers that are not finite, a generator of one signal only.

    Cost: ``"exact"``: r⁴/8 blocks of size 2k for r pieces, seconds for r = 60.

    Notes: published results assume ε < K/d⁹⁰, while draws of practical sizes have .2 to 1: take
        it as a diagnosis.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (2, 4, 8))
        >>> found = range_restricted_isometry(ji.operators.identity(8), G, "exact")
        >>> round(found.value, 12), round(found.bound, 12)
        (0.0, 0.0)

    Source: Hand, Voroninski (2019), Definition 3 in Scarlett et al. (2022).
    """
    where = "range_restricted_isometry"
    checks.choice(where, "method", method, METHODS)
    key, num_samples = sampling(where, key, num_samples)
    operator = measuring(where, operator, generator)
    if method == "exact":
        return _exact(where, operator, generator)
    shape, dtype = latent_of(where, generator)
    parts = (operator, generator)
    value, z = largest(_distortion, parts, key, (4, *shape), dtype, num_samples, method)
    require_distinct(where, value)
    return RangeIsometry(value, jnp.full_like(value, jnp.inf), (z[0], z[1], z[2], z[3]))


def _exact(where: str, operator: Any, generator: Any) -> RangeIsometry:
    weights = host_weights(where, generator)
    if weights[0].shape[1] > 2:
        hint = "Use method='search'."
        checks.fail(where, "generator", "have at most 2 latents", weights[0].shape[1], hint)
    found = enumerate_regions(where, unit_layers(where, weights), _MOST_PIECES)
    matrix, scale = host_operator(where, operator)
    form = scale * scale * (matrix.T @ matrix) - np.eye(matrix.shape[1])
    cones, owners = simplicial(found)
    secants, pairs = secant_cones(images_of(found.maps, cones, owners))
    same = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    best = largest_form(form, secants, first=same)
    latents = []
    for place, amounts in zip(best.cones, best.weights, strict=True):
        amounts = amounts if amounts.size else np.zeros(secants.edges.shape[2])
        for cone, part in zip(pairs[place], np.split(amounts, 2), strict=True):
            latents.append(latent(found.maps[owners[cone]], cones[cone], part))
    return RangeIsometry(best.value, best.value, tuple(latents))


def _distortion(parts: Any, z: Array) -> Array:
    operator, generator = parts
    first, distinct = secant(generator, z[:2])
    second, also = secant(generator, z[2:])
    distinct = distinct & also
    first = first / jnp.where(distinct, numerics.safe_norm(first), 1)
    second = second / jnp.where(distinct, numerics.safe_norm(second), 1)
    products = numerics.inner(operator(first), operator(second)) - numerics.inner(first, second)
    return jnp.where(distinct, jnp.abs(jnp.real(products)), -jnp.inf)
