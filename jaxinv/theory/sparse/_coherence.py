"""How much the columns of a matrix look alike."""

from __future__ import annotations

import math
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator
from jaxinv.theory.sparse._columns import host_matrix


def coherence(matrix: Num[ArrayLike, "m n"] | LinearOperator) -> Float[Array, ""]:
    r"""Return the mutual coherence: the largest cosine between two columns.

    .. math:: \mu = \max_{i \ne j} \frac{|a_i^* a_j|}{\|a_i\| \|a_j\|}

    The smaller, the sparser signals may be less sparse: see ``sufficient_sparsity``. It does not
    depend on the norms of the columns and lies between ``welch_bound(m, n)`` and 1.

    Args:
        matrix: A, shape (m, n), no zero column; an array or a linear operator.

    Returns:
        μ in [0, 1], a scalar; 0 for one column.

    Raises:
        ValueError: not a finite matrix, or a zero column (named), when it is concrete.

    Cost: the Gram matrix, n² m; in float64 on the host for a concrete matrix. Jittable.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(coherence(jnp.array([[1.0, 0.0, 3.0], [0.0, 2.0, 4.0]]))), 6)
        0.8

    Source: Donoho, Huo (2001).
    """
    if isinstance(matrix, LinearOperator):
        matrix = matrix.todense()
    given = checks.array("coherence", "matrix", matrix, ndim=2)
    real = numerics.real_dtype(given.dtype)
    if checks.is_concrete(matrix):
        exact = host_matrix("coherence", matrix)
        exact = exact / np.linalg.norm(exact, axis=0)
        return jnp.asarray(min(largest_interference(exact, exact), 1.0), real)
    given = given / jnp.linalg.norm(given, axis=0)
    products = jnp.abs(numerics.matmul(jnp.conj(given.T), given))
    return jnp.max(jnp.where(jnp.eye(given.shape[1], dtype=bool), 0, products))


def generalized_coherence(
    weights: Num[ArrayLike, "m n"] | LinearOperator, matrix: Num[ArrayLike, "m n"] | LinearOperator
) -> Float[Array, ""]:
    r"""Return the largest interference between entries in a layer with weights W.

    .. math:: \tilde\mu = \max_{i \ne j} |w_i^* a_j|, \qquad w_i^* a_i = 1

    This is the quantity in the rates of LISTA-CP and ALISTA. With W = A (unit columns) it is the
    mutual coherence; ``unfolded.analytic_weights`` gives less.

    Args:
        weights: W, shape (m, n). Columns with w_i* a_i ≠ 1 are divided by that number, with a
            warning.
        matrix: A, shape (m, n), no zero column; an array or a linear operator. Its columns need
            not have norm 1.

    Returns:
        μ̃ >= 0, a scalar.

    Raises:
        ValueError: shapes that differ, a zero column, some w_i* a_i = 0, or traced input.

    Cost: n² m on the host.

    Example:
        >>> import jax.numpy as jnp
        >>> A = jnp.array([[1.0, 0.6], [0.0, 0.8]])
        >>> round(float(generalized_coherence(jnp.linalg.inv(A).T, A)), 6)
        0.0

    Source: Liu, Chen, Wang, Yin (2019), Definition 1; Chen, Liu, Wang, Yin (2018), Definition 1.
    """
    where = "generalized_coherence"
    exact = host_matrix(where, matrix)
    scaled = normalized_weights(where, weights, exact)
    dtype = numerics.real_dtype(checks.array(where, "weights", weights).dtype)
    return jnp.asarray(largest_interference(scaled, exact), dtype)


def welch_bound(num_rows: int, num_columns: int) -> float:
    r"""Return the least coherence that a matrix of that size can have.

    .. math:: \mu \ge \sqrt{\frac{n - m}{m (n - 1)}}

    Equality holds for equiangular tight frames and for nothing else.

    Args:
        num_rows: m >= 1.
        num_columns: n >= 1.

    Returns:
        The bound; 0 for n <= m.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> round(welch_bound(2, 3), 6)
        0.5

    Source: Welch (1974).
    """
    m = checks.count("welch_bound", "num_rows", num_rows)
    n = checks.count("welch_bound", "num_columns", num_columns)
    return math.sqrt((n - m) / (m * (n - 1))) if n > m else 0.0


def largest_interference(weights: np.ndarray, matrix: np.ndarray) -> float:
    """Return the largest |w_i* a_j| off the diagonal."""
    products = np.abs(weights.conj().T @ matrix)
    np.fill_diagonal(products, 0)
    return float(products.max())


def normalized_weights(where: str, weights: Any, matrix: np.ndarray) -> np.ndarray:
    """Return W in double precision with diag(W*A) = 1; warns if it was not."""
    weights = host_matrix(where, weights, "weights")
    checks.shape_is(where, "weights", weights, matrix.shape, "It has the shape of the matrix.")
    diagonal = np.sum(weights.conj() * matrix, axis=0)
    sizes = np.linalg.norm(weights, axis=0) * np.linalg.norm(matrix, axis=0)
    zero = np.flatnonzero(np.abs(diagonal) <= 1e-12 * sizes)
    if zero.size:
        checks.fail(where, "weights", "have w_i* a_i ≠ 0 for all i", f"0 for i = {zero[0]}")
    if np.max(np.abs(diagonal - 1)) > 1e-4:
        warnings.warn(
            f"{where}: w_i* a_i must be 1, it departs from 1 by up to "
            f"{np.max(np.abs(diagonal - 1)):.3g}; the columns of W were divided by it.",
            UserWarning,
            stacklevel=3,
        )
    return weights / diagonal.conj()
