"""What several networks share: the matrix behind them, first weights, shrinkage, schedules."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv._core import checks, numerics
from jaxinv._core.numerics import kth_largest
from jaxinv.operators import LinearOperator, dense
from jaxinv.unfolded._analytic_weights import weights_for

Array = jax.Array

INITIAL_WEIGHTS = ("analytic", "adjoint")
THRESHOLDS = (0.45, 0.012)  # first and last, for entries N(0, 1): near what training finds
BYPASS_RATE, BYPASS_LIMIT = 0.012, 0.13  # of the entries: 6, 12, .., 65 of 500
_ADJOINT_PENALTY = 0.4  # θ = 0.4 / L for W = A / L
_EXTREME = 1e12  # squares of such norms leave float32
_UNIT = 1e-3  # relative departure of a column norm from 1 that is worth a warning
_ROUNDING = 1e-3  # of an entry: 0.012 * 500 is 6, also in float32


class Measurement(NamedTuple):
    """The operator that a network is made for, and its matrix."""

    operator: LinearOperator
    matrix: Array


def measurement(where: str, operator: Any) -> Measurement:
    """Return what a network measures with, as an operator and as a matrix (m, n), m <= n.

    Refuses zero columns. Warns when columns are not of norm 1: one threshold for all entries
    then means another fraction of each entry.
    """
    if not isinstance(operator, LinearOperator):
        operator = checks.array(where, "operator", operator, ndim=2)
        checks.finite(where, "operator", operator)
        if not operator.size:
            checks.fail(where, "operator", "have at least one row and one column", operator)
        operator = dense(operator)
    if len(operator.in_shape) != 1 or len(operator.out_shape) != 1:
        expected = "map a vector (n,) to a vector (m,)"
        got = f"one from {operator.in_shape} to {operator.out_shape}"
        checks.fail(where, "operator", expected, got, "Flatten the signal.")
    matrix = operator.todense()
    m, n = matrix.shape
    if m > n:
        hint = "With more measurements than unknowns use least squares."
        checks.fail(where, "operator", "have at most as many rows as columns", f"({m}, {n})", hint)
    if checks.is_concrete(matrix):
        checks.finite(where, "operator", matrix)
        wide = complex if jnp.iscomplexobj(matrix) else float
        _check_columns(where, np.asarray(matrix, wide))
    return Measurement(operator, matrix)


def _check_columns(where: str, matrix: np.ndarray) -> None:
    norms = np.linalg.norm(matrix, axis=0)
    if not norms.all():
        column = int(np.argmin(norms))
        hint = "No measurement sees that entry: remove it."
        checks.fail(where, "operator", "have no zero column", f"column {column} zero", hint)
    if norms.max() > _EXTREME or norms.min() < 1 / _EXTREME:
        expected = f"have column norms between {1 / _EXTREME:g} and {_EXTREME:g}"
        got = f"{norms.min():.3g} to {norms.max():.3g}"
        checks.fail(where, "operator", expected, got, "Divide the columns by their norms.")
    if np.max(np.abs(norms - 1)) > _UNIT:
        warnings.warn(
            f"{where}: columns have norms from {norms.min():.3g} to {norms.max():.3g}, "
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


def first_weights(
    where: str, given: Measurement, num_layers: int, initial_weights: str, noise: Any = 0.0
) -> tuple[Any, Any]:
    """Return the first weights W, shape (m, n), and the first threshold of each layer."""
    num_layers = checks.count(where, "num_layers", num_layers)
    checks.choice(where, "initial_weights", initial_weights, INITIAL_WEIGHTS)
    if initial_weights == "analytic":
        weights = weights_for(where, "operator", given.matrix, noise=noise)
        return weights, threshold_schedule(num_layers, *THRESHOLDS)
    scale = 1.001 * squared_norm(given.matrix)
    return given.matrix / scale, jnp.full(num_layers, _ADJOINT_PENALTY / scale)


def correlate(weights: Array, residual: Array) -> Array:
    """Return W* r; as r* W, which reads the rows of W and needs no transposed copy."""
    return jnp.conj(numerics.matmul(jnp.conj(residual), weights))


def relative_change(following: Array, u: Array) -> Array:
    """Return ‖following − u‖ / ‖following‖, and 0 where that is 0: the error of a layer."""
    return numerics.safe_divide(numerics.safe_norm(following - u), numerics.safe_norm(following))


def soft(v: Array, threshold: Any) -> Array:
    """Return sign(v) max(|v| − threshold, 0); a negative threshold counts as 0."""
    threshold = jnp.maximum(jnp.asarray(threshold), 0)
    return numerics.soft_threshold(v, threshold.astype(numerics.real_dtype(v.dtype)))


def soft_with_bypass(v: Array, threshold: Any, bypass: Any) -> Array:
    """Soft threshold all entries but the largest, which pass unchanged: support selection.

    Args:
        v: shape (n,).
        threshold: θ, a scalar or (n,).
        bypass: share of the n entries, in [0, 1], that may pass: those among the
            ⌊bypass n⌋ largest whose magnitude is above θ. None: none.
    """
    if bypass is None:
        return soft(v, threshold)
    sizes = lax.stop_gradient(jnp.abs(v))
    count = bypass_count(bypass, v.size)
    passes = (sizes >= kth_largest(sizes, count)) & (sizes > lax.stop_gradient(threshold))
    return jnp.where(passes, v, soft(v, threshold))


def bypass_count(bypass: Any, size: int) -> Array:
    """Return how many entries a share stands for, rounded down."""
    share = jnp.clip(jnp.asarray(bypass), 0, 1)
    return jnp.floor(share * size + _ROUNDING).astype(jnp.int32)


def bypass_schedule(where: str, num_layers: int, rate: Any, limit: Any) -> Array:
    """Return min(rate (t + 1), limit) for each layer; both are shares of the entries."""
    num_layers = checks.count(where, "num_layers", num_layers)
    rate = checks.scalar(where, "bypass_rate", rate, low=0.0, high=1.0, single=True)
    limit = checks.scalar(where, "bypass_limit", limit, low=0.0, high=1.0, single=True)
    return jnp.minimum(rate * jnp.arange(1, num_layers + 1), limit)


def threshold_schedule(num_layers: int, first: float, last: float) -> np.ndarray:
    """Return a geometric ladder from ``first`` to ``last``; one layer has ``first``."""
    return np.geomspace(first, last, num_layers) if num_layers > 1 else np.full(1, first)
