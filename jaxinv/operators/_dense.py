"""Dense matrices, given or Gaussian."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator, require_single
from jaxinv.operators._function import from_function
from jaxinv.operators._require import require_memory


@pytree
class Dense(LinearOperator):
    """A matrix as an operator; see ``dense``."""

    matrix: Array
    precision: str = static(default="highest")

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.matrix.shape[-1],)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.matrix.shape[-2],)

    def _ndims(self) -> dict[str, int]:
        return {"matrix": 2}

    def _apply(self, x: Array) -> Array:
        return numerics.matmul(self.matrix, x, self.precision)

    def _adjoint(self, y: Array) -> Array:
        # y* A reads the matrix row by row and needs no transposed copy
        return jnp.conj(numerics.matmul(jnp.conj(y), self.matrix, self.precision))

    def todense(self) -> Array:
        require_single(self)
        return self.matrix


def dense(matrix: Num[ArrayLike, "m n"], *, precision: str = "highest") -> Dense:
    r"""Wrap a matrix as a linear operator.

    .. math:: y = A x, \qquad A \in \mathbb{R}^{m \times n} \text{ or } \mathbb{C}^{m \times n}

    Args:
        matrix: A, shape (m, n), finite.
        precision: matmul precision, ``"highest"`` (full float32 also on GPUs and TPUs),
            ``"high"`` or ``"default"``.

    Returns:
        An operator from shape (n,) to (m,), its matrix the one leaf.

    Raises:
        ValueError: not two-dimensional, empty, or not finite.

    Cost: m n multiplications a product; m n numbers of memory.

    Example:
        >>> import jax.numpy as jnp
        >>> A = dense(jnp.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]))
        >>> A @ jnp.array([1.0, 1.0, 1.0])
        Array([3., 2.], dtype=float32)
    """
    checks.choice("dense", "precision", precision, ("highest", "high", "default"))
    matrix = checks.array("dense", "matrix", matrix)
    if matrix.ndim != 2:
        hint = "For a diagonal operator use operators.mask." if matrix.ndim == 1 else ""
        checks.fail("dense", "matrix", "have shape (m, n)", f"{matrix.shape}", hint)
    if matrix.size == 0:
        checks.fail("dense", "matrix", "have at least one row and one column", matrix)
    checks.finite("dense", "matrix", matrix)
    return Dense(matrix, precision)


def gaussian(
    key: Any, m: int, n: Any, *, dtype: Any = jnp.float32, precision: str = "highest"
) -> LinearOperator:
    r"""Draw a Gaussian measurement matrix with entries N(0, 1/m).

    .. math:: \mathbb{E} \|A x\|^2 = \|x\|^2

    The model of every compressed-sensing theorem. Columns have norm 1 on average; the spectral
    norm is near 1 + √(n/m).

    Args:
        key: a JAX PRNG key.
        m: number of measurements, >= 1.
        n: size of the signal, >= 1, or its shape, such as (h, w) of an image.
        dtype: real floating type, or a complex one (entries then circular, E|a|² = 1/m).
        precision: as in ``dense``.

    Returns:
        ``Dense`` from shape (n,) to (m,); for a shape, its product with the flattening.

    Raises:
        ValueError: sizes not positive, a type that is not floating, or a matrix above 8 GiB.

    Example:
        >>> import jax
        >>> gaussian(jax.random.key(0), 50, 200).out_shape
        (50,)

    Source: Candès, Romberg, Tao (2006); entries as in Hand, Voroninski (2019).
    """
    key = checks.key("gaussian", key)
    m = checks.count("gaussian", "m", m)
    if isinstance(n, tuple | list):
        shape = checks.shape("gaussian", "n", n)
        flatten = from_function(jnp.ravel, shape, dtype=dtype)
        return gaussian(key, m, math.prod(shape), dtype=dtype, precision=precision) @ flatten
    n = checks.count("gaussian", "n", n)
    checks.choice("gaussian", "precision", precision, ("highest", "high", "default"))
    dtype = checks.float_type("gaussian", dtype)
    require_memory("gaussian", m, n, dtype)
    entries = jax.random.normal(key, (m, n), dtype)
    return Dense(entries / jnp.asarray(math.sqrt(m), numerics.real_dtype(dtype)), precision)
