"""Matrices whose columns are compared: checks, and normalization that says so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jaxinv._core import checks
from jaxinv.operators import LinearOperator


def host_matrix(where: str, matrix: Any, argument: str = "matrix") -> np.ndarray:
    """Return a concrete (m, n) matrix without zero columns in double precision."""
    if isinstance(matrix, LinearOperator):
        matrix = matrix.todense()
    checks.array(where, argument, matrix, ndim=2)
    if not checks.is_concrete(matrix):
        hint = "Call it outside jit, grad and vmap."
        checks.fail(where, argument, "hold numbers that can be looked at", "a traced array", hint)
    exact = np.asarray(matrix, complex if np.iscomplexobj(matrix) else float)
    checks.finite(where, argument, exact)
    if not exact.size:
        checks.fail(where, argument, "have at least one row and one column", exact)
    zero = np.flatnonzero(~np.any(exact, axis=0))
    if zero.size:
        checks.fail(where, argument, "have no zero column", f"zero column {zero[0]}")
    return exact


def unit_columns(where: str, matrix: np.ndarray) -> np.ndarray:
    """Return the matrix with columns of norm 1; warns if they were not."""
    norms = np.linalg.norm(matrix, axis=0)
    if np.max(np.abs(norms - 1)) > 1e-5:
        warnings.warn(
            f"{where}: the theorem is for columns of norm 1, these have norms from "
            f"{norms.min():.3g} to {norms.max():.3g}; they were divided by their norms, so the "
            "result is for A diag(1/‖a_i‖) and the signal with entries ‖a_i‖ x_i.",
            UserWarning,
            stacklevel=3,
        )
    return matrix / norms
