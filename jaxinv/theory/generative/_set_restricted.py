"""The set-restricted eigenvalue of a measurement operator over the range of a generator."""

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
from jaxinv.theory.generative._cones import least_gain
from jaxinv.theory.generative._regions import enumerate_regions, host_weights, unit_layers
from jaxinv.theory.generative._search import (
    largest,
    latent_of,
    measuring,
    require_distinct,
    sampling,
    secant,
)

METHODS = ("exact", "subspace", "search", "sampled")
_MOST_PAIRS = 2_000_000


class SetRestrictedEigenvalue(NamedTuple):
    """A set-restricted eigenvalue γ: ``bound`` <= γ <= ``value``.

    Attributes:
        value: ‖A(x₁ - x₂)‖/‖x₁ - x₂‖ of the witness: γ is at most this.
        bound: γ is at least this: equal to ``value`` for ``"exact"``, a certificate for
            ``"subspace"``, and 0, which says nothing, for what only samples.
        witness: latents (z₁, z₂) with x₁ = G(z₁), x₂ = G(z₂).
    """

    value: Float[Array, ""] | float
    bound: Float[Array, ""] | float
    witness: tuple[Any, Any]


def set_restricted_eigenvalue(
    operator: Num[ArrayLike, "m n"] | LinearOperator,
    generator: Generator,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 2000,
) -> SetRestrictedEigenvalue:
    r"""Return γ of the set-restricted eigenvalue condition over the range of a generator.

    .. math:: \gamma = \inf \left\{ \frac{\|A (x_1 - x_2)\|}{\|x_1 - x_2\|} :
              x_1 \ne x_2 \in \mathrm{Range}(G) \right\}

    This is S-REC(Range(G), γ, 0). With γ >= ½ and ‖A(x - x*)‖ <= 2 ‖x - x*‖ at the best x, least
    squares over the range recovers as ``recovery_bound`` of Bora et al. says. Methods:

    - ``"exact"``: γ itself, of a ReLU network with k <= 2 (few units at k = 3). On each pair of
      linear pieces the differences are a cone of 2k edges; its minimum is that of one of its
      faces. Pairs are opened in the order of the bound of ``"subspace"``.
    - ``"subspace"``: a lower bound, min σ_min(A orth[Λ_i, Λ_j]) over all pairs of pieces, and
      as the value the minimum over differences inside one piece. It needs m >= 2k.
    - ``"search"``: an upper bound: ascent from the best random pairs, of any generator.
    - ``"sampled"``: an upper bound, from ``num_samples`` pairs z ~ N(0, I).

    Args:
        operator: A, shape (m, n), or a linear operator on signals.
        generator: G; a network of ReLU units without biases for the first two methods.
        method: as above.
        key: JAX PRNG key of ``"search"`` and ``"sampled"``; None for ``jax.random.key(0)``.
        num_samples: pairs, >= 1.

    Returns:
        ``SetRestrictedEigenvalue(value, bound, witness)``. The first two methods work on the
        host in double precision; the others in the generator's dtype, and under ``vmap``.

    Raises:
        TypeError: a generator that is not piecewise linear for the first two methods.
        ValueError: more latents or pairs of pieces than can be enumerated, m < 2k for
            ``"subspace"``, a signal that A does not take, numbers that are not finite,
            a generator of one signal only.

    Cost: ``"exact"``: r²/2 decompositions of n × 2k for r pieces, fifteen of size 2k for the
    share of pairs opened (about a tenth to a half). ``"search"``: 120 000 pairs of signals.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (2, 10, 20))
        >>> A = ji.operators.gaussian(jax.random.key(1), 15, 20)
        >>> exact = set_restricted_eigenvalue(A, G, "exact")
        >>> found = set_restricted_eigenvalue(A, G, "search")
        >>> exact.bound == exact.value <= float(found.value) + 1e-4
        True

    Source: Bora, Jalal, Price, Dimakis (2017), Definition 1.
    """
    where = "set_restricted_eigenvalue"
    checks.choice(where, "method", method, METHODS)
    key, num_samples = sampling(where, key, num_samples)
    operator = measuring(where, operator, generator)
    if method in ("exact", "subspace"):
        return _enumerated(where, operator, generator, method)
    shape, dtype = latent_of(where, generator)
    parts = (operator, generator)
    value, pair = largest(_minus_gain, parts, key, (2, *shape), dtype, num_samples, method)
    require_distinct(where, value)
    return SetRestrictedEigenvalue(-value, jnp.zeros_like(value), (pair[0], pair[1]))


def _enumerated(where: str, operator: Any, generator: Any, method: str) -> Any:
    weights = host_weights(where, generator)
    matrix, scale = host_operator(where, operator)
    num_rows, latent = len(matrix), weights[0].shape[1]
    if method == "subspace" and num_rows < 2 * latent:
        hint = "The bound is 0 then; method='exact' may say more."
        expected = f"have at least 2k = {2 * latent} rows for the bound over subspaces"
        checks.fail(where, "operator", expected, f"m = {num_rows}", hint)
    most = int(np.sqrt(2 * _MOST_PAIRS))
    found = enumerate_regions(where, unit_layers(where, weights), most)
    least = least_gain(matrix, found, open_pairs=method == "exact")
    return SetRestrictedEigenvalue(least.value * scale, least.bound * scale, least.latents)


def host_operator(where: str, operator: LinearOperator) -> tuple[np.ndarray, float]:
    """Return a concrete operator as a matrix in double precision with largest entry 1, and that."""
    if not checks.is_concrete(operator):
        hint = "Call it outside jit, grad and vmap."
        checks.fail(where, "operator", "hold numbers that can be looked at", "tracers", hint)
    if len(operator.in_shape) != 1 or len(operator.out_shape) != 1:
        hint = "Use method='search'."
        checks.fail(where, "operator", "be between vectors", f"{operator.in_shape}", hint)
    matrix = np.asarray(operator.todense())
    matrix = real_rows(matrix, np.iscomplexobj(matrix))
    checks.finite(where, "operator", matrix)
    scale = float(np.max(np.abs(matrix))) or 1.0
    return matrix / scale, scale


def real_rows(numbers: Any, is_complex: bool) -> np.ndarray:
    """Return the rows in double precision; a complex one measures two real numbers."""
    numbers = np.asarray(numbers)
    rows = np.concatenate([np.real(numbers), np.imag(numbers)]) if is_complex else numbers
    return rows.astype(np.float64)


def _minus_gain(parts: Any, pair: Array) -> Array:
    operator, generator = parts
    difference, distinct = secant(generator, pair)
    size = numerics.safe_norm(difference)
    gain = numerics.safe_norm(operator(difference)) / jnp.where(distinct, size, 1)
    return jnp.where(distinct, -gain, -jnp.inf)
