"""Coherence of a generator with the rows of a measurement basis."""

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
from jaxinv.operators import LinearOperator
from jaxinv.theory.generative._cones import chunks, orthonormal
from jaxinv.theory.generative._regions import (
    dense_relu,
    enumerate_regions,
    host_weights,
    unit_layers,
)
from jaxinv.theory.generative._search import largest, measuring, sampling

METHODS = ("exact", "search", "sampled")
_MOST_PIECES = 2000


class RangeCoherence(NamedTuple):
    """The coherence α of a generator with a basis: ``value`` <= α <= ``bound``.

    Attributes:
        value: the coherence of the witness.
        bound: equal to ``value`` for ``"exact"``, else 1.
        witness: latents (x, y), whose linear pieces span the subspace.
    """

    value: Float[Array, ""] | float
    bound: Float[Array, ""] | float
    witness: tuple[Any, Any]


def range_coherence(
    basis: Num[ArrayLike, "m n"] | LinearOperator,
    generator: Generator,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 500,
) -> RangeCoherence:
    r"""Return the coherence of the range of a ReLU network with the rows of a basis.

    .. math:: \alpha = \max_i \max_{x, y} \| U_{x,y}^T a_i \| / \|a_i\|, \qquad
              U_{x,y} = \mathrm{orth}[\Lambda_x, \Lambda_y]

    the largest part of a row that a subspace of differences holds: between √(2k/n) and 1. Rows
    drawn from a unitary basis recover the range from a number that grows with α² n, so a small
    α, as of generic weights with a Fourier basis, is good, and one near 1, as of networks that
    make rows of the basis, is bad.

    Args:
        basis: the rows a_i, shape (m, n), real or complex, or a linear operator.
        generator: G, a network of ReLU units without biases.
        method: ``"exact"``, over all pairs of linear pieces, of a network with k <= 3;
            ``"search"`` and ``"sampled"`` are lower bounds from random pairs.
        key: JAX PRNG key of the latter; None for ``jax.random.key(0)``.
        num_samples: pairs, >= 1.

    Returns:
        ``RangeCoherence(value, bound, witness)``.

    Raises:
        TypeError: a generator that is not a ReLU network.
        ValueError: more latents or pieces than can be enumerated, a zero row.

    Cost: ``"exact"``: r²/2 decompositions of n × 2k for r pieces.

    Notes: the source has a last layer without ReLU, which makes the subspace of that layer an
        upper bound; here every layer has one, so pairs of pieces are what there is.

    Example:
        >>> import jax, numpy as np, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (2, 6, 16))
        >>> found = range_coherence(np.fft.fft(np.eye(16)), G, "exact")
        >>> 0.5 <= found.value == found.bound < 1
        True

    Source: Berk, Brugiapaglia, Joshi, Plan, Scott, Yilmaz (2022), Definition 2.
    """
    where = "range_coherence"
    checks.choice(where, "method", method, METHODS)
    key, num_samples = sampling(where, key, num_samples)
    generator = dense_relu(where, generator)
    rows = measuring(where, basis, generator, argument="basis").todense()
    if checks.is_concrete(rows):
        empty = np.flatnonzero(~np.any(np.asarray(rows), axis=1))
        if empty.size:
            checks.fail(where, "basis", "have no zero row", f"zero row {empty[0]}")
    rows = rows / numerics.safe_norm(rows, axis=1)
    if method == "exact":
        return _exact(where, rows, generator)
    shape = (2, *generator.in_shape)
    dtype = generator.params[0].dtype
    parts = (rows, generator)
    value, pair = largest(_coherent, parts, key, shape, dtype, num_samples, method)
    return RangeCoherence(value, jnp.ones_like(value), (pair[0], pair[1]))


def _exact(where: str, rows: Array, generator: Relu) -> RangeCoherence:
    weights = unit_layers(where, host_weights(where, generator))
    found = enumerate_regions(where, weights, _MOST_PIECES)
    if not checks.is_concrete(rows):
        checks.fail(where, "basis", "hold numbers that can be looked at", "tracers")
    matrix = np.asarray(rows, complex if np.iscomplexobj(rows) else float)
    pairs = np.stack(np.triu_indices(len(found.maps)), axis=1)
    best, at = 0.0, pairs[0]
    for chunk in chunks(pairs, 256):
        span, kept = orthonormal(np.concatenate(list(found.maps[chunk.T]), axis=2))
        parts = matrix @ (span * kept[:, None, :])
        values = np.linalg.norm(parts, axis=2).max(axis=1)
        if values.max() > best:
            best, at = float(values.max()), chunk[int(np.argmax(values))]
    centers = [found.rays[i].sum(axis=0) for i in at]
    return RangeCoherence(best, best, (centers[0], centers[1]))


def _coherent(parts: Any, pair: Array) -> Array:
    rows, generator = parts
    columns = jnp.concatenate([generator.jacobian(pair[0]), generator.jacobian(pair[1])], axis=1)
    span, sizes, _ = jnp.linalg.svd(jax.lax.stop_gradient(columns), full_matrices=False)
    cut = len(columns) * jnp.finfo(sizes.dtype).eps
    span = jnp.where(sizes > cut * sizes[0], span, 0)
    return jnp.max(numerics.safe_norm(numerics.matmul(rows, span.astype(rows.dtype)), axis=1))
