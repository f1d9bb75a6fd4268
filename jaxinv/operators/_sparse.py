"""Sparse matrices."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator

_WHERE = "from_sparse"


@pytree
class Sparse(LinearOperator):
    """A matrix by its entries that are not 0; see ``from_sparse``."""

    entries: Array
    rows: Array
    columns: Array
    signal: tuple[int, ...] = static()
    measured: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.signal

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.measured

    def _ndims(self) -> dict[str, int]:
        return {"entries": 1}

    def _apply(self, x: Array) -> Array:
        return self._sums(self.entries * jnp.ravel(x)[self.columns], self.rows, self.measured)

    def _adjoint(self, y: Array) -> Array:
        products = jnp.conj(self.entries) * jnp.ravel(y)[self.rows]
        return self._sums(products, self.columns, self.signal)

    def _sums(self, products: Array, places: Array, shape: tuple[int, ...]) -> Array:
        total = jax.ops.segment_sum(products, places, math.prod(shape))
        return total.reshape(shape)


def from_sparse(matrix: Any, *, in_shape: Any = None, out_shape: Any = None) -> Sparse:
    r"""Make an operator from a sparse matrix of SciPy or JAX.

    .. math:: y_i = \sum_{(i, j) \text{ stored}} a_{ij} x_j

    Args:
        matrix: A, m × n: any format of ``scipy.sparse``, or BCOO or BCSR of
            ``jax.experimental.sparse``; finite. Entries that are stored twice add up.
        in_shape: shape of x, of n entries, laid flat row by row; None: (n,).
        out_shape: shape of y, of m entries; None: (m,).

    Returns:
        An operator whose leaves are the entries, which can be differentiated, and their places.

    Raises:
        TypeError: what is no sparse matrix.
        ValueError: not two-dimensional, without entries, or not finite; a shape of another number
            of entries.

    Cost: one multiplication per stored entry, and its addition into the sum of its row: on CPU
    some ten times slower per entry than a dense product.

    Example:
        >>> import jax.numpy as jnp, scipy.sparse
        >>> A = from_sparse(scipy.sparse.diags([-1.0, 1.0], [0, 1], shape=(3, 4)))
        >>> A @ jnp.array([1.0, 4.0, 9.0, 16.0])
        Array([3., 5., 7.], dtype=float32)
    """
    entries, places, shape = _triplets(matrix)
    if len(shape) != 2 or 0 in shape:
        checks.fail(_WHERE, "matrix", "have shape (m, n)", f"{shape}")
    if not entries.size:
        checks.fail(_WHERE, "matrix", "have an entry that is not 0", "none")
    entries = checks.array(_WHERE, "matrix", entries)
    if entries.ndim != 1:
        checks.fail(_WHERE, "matrix", "have neither batch nor dense dimensions", entries)
    checks.finite(_WHERE, "matrix", entries)
    signal = _laid_flat("in_shape", in_shape, shape[1])
    measured = _laid_flat("out_shape", out_shape, shape[0])
    rows, columns = (jnp.asarray(places[:, side], jnp.int32) for side in (0, 1))
    return Sparse(entries, rows, columns, signal, measured)


def _triplets(matrix: Any) -> tuple[Any, Any, tuple[int, ...]]:
    """Return the stored entries, their rows and columns, and the shape."""
    if hasattr(matrix, "to_bcoo"):
        matrix = matrix.to_bcoo()
    if hasattr(matrix, "indices") and hasattr(matrix, "nse"):
        inside = jnp.all(matrix.indices < jnp.asarray(matrix.shape[-2:]), axis=-1)
        entries = jnp.where(inside, matrix.data, 0)  # entries outside fill up a fixed number
        return entries, jnp.where(inside[..., None], matrix.indices, 0), tuple(matrix.shape)
    if not hasattr(matrix, "tocoo") or isinstance(matrix, type):
        hint = "Use operators.dense for an array."
        checks.fail_type(_WHERE, "matrix", "be a sparse matrix of SciPy or JAX", matrix, hint)
    found = matrix.tocoo(copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    if len(found.shape) != 2:
        return found.data, np.zeros((0, 2)), tuple(found.shape)
    return found.data, np.stack([found.row, found.col], 1), tuple(found.shape)


def _laid_flat(argument: str, shape: Any, size: int) -> tuple[int, ...]:
    if shape is None:
        return (size,)
    shape = checks.shape(_WHERE, argument, shape)
    if math.prod(shape) != size:
        checks.fail(_WHERE, argument, f"have {size} entries, as the matrix has", f"{shape}")
    return shape
