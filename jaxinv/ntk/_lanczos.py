"""Lanczos: spectra and functions of kernels that are known as products only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics
from jaxinv.ntk._linearize import Linearized, num_real_outputs, real_product


class Tridiagonal(NamedTuple):
    """K restricted to a Krylov space: ``basis @ K @ basis.T`` is tridiagonal.

    Attributes:
        diagonal: shape (s,).
        off_diagonal: shape (s,); the last entry leads out of the space.
        basis: orthonormal rows, shape (s, n); rows are 0 once the space is exhausted.
    """

    diagonal: Array
    off_diagonal: Array
    basis: Array


class LanczosSpectrum(NamedTuple):
    """Ritz values of a kernel.

    Attributes:
        values: approximate eigenvalues, decreasing; shape (s,).
        error: an eigenvalue surely lies within this distance of each; shape (s,). Infinite for
            values left over where K has fewer than s distinct eigenvalues, whose weight is 0.
        weights: share of each in the spectral density n⁻¹ Σ δ(λ − λ_i), an unbiased estimate
            over the random starts; they sum to 1.
    """

    values: Array
    error: Array
    weights: Array


def lanczos(product: Callable[[Array], Array], start: Array, num_products: int) -> Tridiagonal:
    """Run Lanczos with full reorthogonalization: the rows stay orthonormal to rounding.

    Once the space holds all of the start, the remaining coefficients are 0.
    """
    size = numerics.safe_norm(start)
    zero = jnp.zeros((num_products, start.size), start.dtype)
    tiny = jnp.finfo(start.dtype).eps

    def body(carry: tuple[Array, Array, Array], i: Array) -> Any:
        basis, v, scale = carry
        basis = basis.at[i].set(v)
        image = product(v)
        diagonal = jnp.sum(v * image)
        for _ in range(2):  # twice is enough
            image = image - numerics.matmul(numerics.matmul(basis, image), basis)
        scale = jnp.maximum(scale, jnp.abs(diagonal))
        length = numerics.safe_norm(image)
        length = jnp.where(length > 10 * tiny * scale, length, 0)
        following = numerics.safe_divide(image, length)
        return (basis, following, jnp.maximum(scale, length)), (diagonal, length)

    first = (zero, numerics.safe_divide(start, size), jnp.zeros((), start.dtype))
    (basis, _, _), (diagonal, off_diagonal) = lax.scan(body, first, jnp.arange(num_products))
    return Tridiagonal(diagonal, off_diagonal, basis)


def tridiagonal_eigen(found: Tridiagonal) -> tuple[Array, Array]:
    """Return the eigenvalues, increasing, and eigenvectors of the small matrix."""
    inner = found.off_diagonal[:-1]
    return jnp.linalg.eigh(jnp.diag(found.diagonal) + jnp.diag(inner, 1) + jnp.diag(inner, -1))


def lanczos_spectrum(tangent: Linearized, num_products: int, *, key: Any = None) -> LanczosSpectrum:
    r"""Approximate the spectrum of a deep network's tangent kernel by products only.

    The largest eigenvalues come first and exactly; the weights are those of the Gauss quadrature
    of the whole spectral density.

    Args:
        tangent: ``linearize(prior, params)``.
        num_products: s >= 1, at most the number of outputs.
        key: of the random start; default ``jax.random.key(0)``.

    Returns:
        ``LanczosSpectrum(values, error, weights)``, each of shape (s,).

    Raises:
        TypeError: not a ``Linearized``.
        ValueError: more products than outputs.

    Cost: s kernel products (a backward and a forward pass each), s² n for orthogonality, s n
        numbers.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxinv.ntk import linearize
        >>> tangent = linearize(lambda u: jnp.array([3.0, 2.0, 1.0]) * u, jnp.ones(3))
        >>> jnp.round(lanczos_spectrum(tangent, 3).values, 3).tolist()
        [9.0, 4.0, 1.0]

    Source: Golub, Meurant (1994); Paige (1980) for the bound.
    """
    where = "lanczos_spectrum"
    if not isinstance(tangent, Linearized):
        hint = "Make one with ntk.linearize(prior, params)."
        checks.fail_type(where, "tangent", "be a linearized prior", tangent, hint)
    num_products = checks.count(where, "num_products", num_products)
    size = num_real_outputs(tangent.value)
    if num_products > size:
        checks.fail(where, "num_products", f"be at most the {size} outputs", num_products)
    key = jax.random.key(0) if key is None else checks.key(where, key)
    return _spectrum(tangent, key, num_products)


@partial(jax.jit, static_argnums=2)
def _spectrum(tangent: Linearized, key: Array, num_products: int) -> LanczosSpectrum:
    size = num_real_outputs(tangent.value)
    start = jax.random.normal(key, (size,), numerics.real_dtype(tangent.value.dtype))
    found = lanczos(lambda v: real_product(tangent, v), start, num_products)
    values, vectors = tridiagonal_eigen(found)
    unused = numerics.matmul((jnp.sum(jnp.abs(found.basis), axis=1) == 0) * 1.0, vectors**2) > 0.5
    error = jnp.where(unused, jnp.inf, found.off_diagonal[-1] * jnp.abs(vectors[-1]))
    weights = vectors[0] * vectors[0]
    return LanczosSpectrum(values[::-1], error[::-1], weights[::-1])
