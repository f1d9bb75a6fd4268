"""The measurement matrix behind a network, checked."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks
from jaxinv.operators import LinearOperator, dense

Array = jax.Array

_EXTREME = 1e12  # squares of such norms leave float32
_UNIT = 1e-3  # relative departure of a column norm from 1 that is worth a warning


class Measurement(NamedTuple):
    """The operator that a network is made for, and its matrix."""

    operator: LinearOperator
    matrix: Array


def measurement(where: str, A: Any) -> Measurement:
    """Return A as an operator and as a matrix (m, n) without zero columns, m <= n.

    Warns when its columns are not of norm 1: one threshold for all entries then means another
    fraction of each entry.
    """
    if not isinstance(A, LinearOperator):
        A = checks.array(where, "A", A, ndim=2)
        checks.finite(where, "A", A)
        if not A.size:
            checks.fail(where, "A", "have at least one row and one column", A)
    operator = A if isinstance(A, LinearOperator) else dense(A)
    if len(operator.in_shape) != 1 or len(operator.out_shape) != 1:
        expected = "map a vector (n,) to a vector (m,)"
        got = f"one from {operator.in_shape} to {operator.out_shape}"
        checks.fail(where, "A", expected, got, "Flatten the signal.")
    matrix = operator.todense()
    m, n = matrix.shape
    if m > n:
        hint = "With more measurements than unknowns use least squares."
        checks.fail(where, "A", "have at most as many rows as columns", f"({m}, {n})", hint)
    if checks.is_concrete(matrix):
        checks.finite(where, "A", matrix)
        wide = complex if jnp.iscomplexobj(matrix) else float
        _check_columns(where, np.asarray(matrix, wide))
    return Measurement(operator, matrix)


def _check_columns(where: str, matrix: np.ndarray) -> None:
    norms = np.linalg.norm(matrix, axis=0)
    if not norms.all():
        column = int(np.argmin(norms))
        hint = "No measurement sees that entry: remove it."
        checks.fail(where, "A", "have no zero column", f"column {column} zero", hint)
    if norms.max() > _EXTREME or norms.min() < 1 / _EXTREME:
        expected = f"have column norms between {1 / _EXTREME:g} and {_EXTREME:g}"
        got = f"{norms.min():.3g} to {norms.max():.3g}"
        checks.fail(where, "A", expected, got, "Divide the columns by their norms.")
    if np.max(np.abs(norms - 1)) > _UNIT:
        warnings.warn(
            f"{where}: the columns of A have norms from {norms.min():.3g} to {norms.max():.3g}, "
            "not 1. Weights are normalized to w_i* a_i = 1, but thresholds and noise levels are "
            "meant for columns of norm 1, and the network may fail: divide the columns by their "
            "norms and multiply the signal by them.",
            UserWarning,
            stacklevel=4,
        )


def squared_norm(matrix: Array) -> Any:
    """Return ‖A‖², exactly where the matrix is concrete."""
    if checks.is_concrete(matrix):
        wide = complex if jnp.iscomplexobj(matrix) else float
        return float(np.linalg.norm(np.asarray(matrix, wide), 2)) ** 2
    return jnp.square(jnp.linalg.norm(matrix, 2))
