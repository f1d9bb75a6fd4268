"""What several networks share: the matrix behind them, first weights, shrinkage, schedules."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import checks, numerics
from jaxinv._core.numerics import kth_largest
from jaxinv.operators import LinearOperator, dense

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


_PROJECTIONS = 2000  # most alternating projections when the symmetric form is indefinite
_INDEFINITE = 1e-7  # relative size of a negative eigenvalue that counts: above float32 rounding
_SYMMETRIC = "allow W = M A with M semi-definite and diag(WᵀA) = 1"
_UNIT_HINT = "Scale the columns to norm 1: W = A is then one."


def analytic_weights(matrix: Any, *, symmetric: bool = False, noise: Any = 0.0) -> Array:
    r"""Return the weights W of least interference, the fixed matrix of ALISTA and HyperLISTA.

    A layer x ← soft(x + Wᵀ(y - A x), θ) confuses entry i with entry j by w_iᵀa_j. The weights
    make these products small together:

    .. math:: \min_W \|W^T A\|_F^2 \ \text{ s.t. } w_i^T a_i = 1, \qquad
              w_i = \frac{S^{-1} a_i}{a_i^T S^{-1} a_i}, \quad S = A A^T + \rho I

    ``symmetric`` asks in addition that W = M A with a positive semi-definite M, so that WᵀA is
    symmetric and momentum and conjugate gradients are justified:

    .. math:: M = S^{-1} A \operatorname{diag}(\lambda) A^T S^{-1}, \qquad
              (P \circ P) \lambda = 1, \quad P = A^T S^{-1} A

    Both are the exact minima that the papers approach with a projected-gradient loop. The
    columns need not have norm 1. For complex matrices read * for T.

    Args:
        matrix: A, shape (m, n), m <= n, of full row rank, no zero column; an array, or a linear
            operator with ``todense``.
        symmetric: whether to ask for W = M A.
        noise: ρ >= 0, variance of the noise over that of an interfering entry. The objective
            becomes ‖Wᵀ[A, √ρ I]‖² (‖[A, √ρ I]ᵀ M [A, √ρ I]‖² when symmetric): larger ρ keeps
            ‖w_i‖, the gain of the noise, small at the price of interference. With ρ > 0 the
            rank does not matter.

    Returns:
        W, shape (m, n), of the matrix's type, with diag(WᵀA) = 1.

    Raises:
        ValueError: not a finite (m, n) matrix, a zero column (named), rank below m (by NumPy's
            ``matrix_rank`` rule for the matrix's type) while ρ is 0, ρ < 0, or no symmetric W
            with unit diagonal (only without unit columns).

    Cost: one singular value decomposition, and for ``symmetric`` an n × n solve. A concrete
    matrix is handled on the host in float64, whatever its type, and rounded once; a traced one
    with JAX in its own type (differentiable; rank and sign are then not looked at).

    Notes: M is positive semi-definite as soon as λ >= 0, which holds for random matrices. Where
    it is not, the constraint is enforced by Dykstra's projections, so close to the minimum.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> A = jax.random.normal(jax.random.key(0), (4, 8))
        >>> W = analytic_weights(A)
        >>> W.shape, bool(jnp.allclose(jnp.sum(W * A, axis=0), 1, atol=1e-5))
        ((4, 8), True)

    Source: Liu, Chen, Wang, Yin (2019) state the plain problem, Chen, Liu, Wang, Yin (2021) the
    symmetric one; the closed forms follow from their Lagrange conditions.
    """
    if isinstance(matrix, LinearOperator):
        matrix = matrix.todense()
    return weights_for("analytic_weights", "matrix", matrix, symmetric, noise)


def weights_for(
    where: str, argument: str, matrix: Any, symmetric: Any = False, noise: Any = 0.0
) -> Array:
    """Return ``analytic_weights`` for the constructor ``where``, whose matrix is ``argument``."""
    symmetric = checks.boolean(where, "symmetric", symmetric)
    noise = checks.nonnegative(where, "noise", noise, single=True)
    dtype = checks.array(where, argument, matrix, ndim=2).dtype
    if not checks.is_concrete((matrix, noise)):
        return _traced(jnp.asarray(matrix, dtype), symmetric, noise)
    exact = np.asarray(matrix, complex if np.iscomplexobj(matrix) else float)
    _check(where, argument, exact, noise, float(jnp.finfo(dtype).eps))
    try:
        found = (_symmetric if symmetric else _plain)(exact, float(noise))
    except _NoSymmetricWeightsError as error:
        checks.fail(where, argument, _SYMMETRIC, str(error), _UNIT_HINT)
    return jnp.asarray(found, dtype)


class _NoSymmetricWeightsError(Exception):
    """There are none, or none was found; the text says what there is."""


def _check(where: str, argument: str, matrix: np.ndarray, noise: Any, eps: float) -> None:
    checks.finite(where, argument, matrix)
    if matrix.size == 0:
        checks.fail(where, argument, "have at least one row and one column", matrix)
    m, n = matrix.shape
    zero = np.flatnonzero(~np.any(matrix, axis=0))
    if zero.size:
        checks.fail(where, argument, "have no zero column", f"zero column {zero[0]}")
    if noise > 0:
        return
    hint = "Drop dependent rows, or give noise > 0."
    if m > n:
        checks.fail(where, argument, "have at most as many rows as columns", f"({m}, {n})", hint)
    values = np.linalg.svd(matrix, compute_uv=False)
    if values[-1] <= max(m, n) * eps * values[0]:
        got = f"smallest over largest singular value {values[-1] / values[0]:.2g}"
        checks.fail(where, argument, "have independent rows", got, hint)


def _whitened(matrix: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return S^(-1/2) and Q = S^(-1/2) A, without forming S, which squares the condition."""
    left, values, right = np.linalg.svd(matrix, full_matrices=noise > 0)
    padded = np.zeros(matrix.shape[0])
    padded[: values.size] = values
    roots = np.sqrt(padded**2 + noise)
    scaled = (values / roots[: values.size])[:, None] * right[: values.size]
    return (left / roots) @ left.conj().T, left[:, : values.size] @ scaled


def _plain(matrix: np.ndarray, noise: float) -> np.ndarray:
    inverse_root, white = _whitened(matrix, noise)
    return inverse_root @ (white / np.sum(np.abs(white) ** 2, axis=0))


def _symmetric(matrix: np.ndarray, noise: float) -> np.ndarray:
    """Return M A with M = S^(-1/2) N S^(-1/2), N the least one with q_i* N q_i = 1."""
    inverse_root, white = _whitened(matrix, noise)
    squares = np.abs(white.conj().T @ white) ** 2
    inverse = np.linalg.pinv(squares, rcond=squares.shape[0] * np.finfo(float).eps, hermitian=True)

    def affine(middle: np.ndarray) -> np.ndarray:
        for _ in range(2):  # the second round removes the rounding of the first
            missing = 1 - np.real(np.sum(white.conj() * (middle @ white), axis=0))
            middle = middle + (white * (inverse @ missing)) @ white.conj().T
        return middle

    middle = affine(np.zeros((matrix.shape[0],) * 2, matrix.dtype))
    diagonal = np.real(np.sum(white.conj() * (middle @ white), axis=0))
    if (worst := float(np.max(np.abs(diagonal - 1)))) > 1e-6:
        raise _NoSymmetricWeightsError(f"a diagonal off by {worst:.2g}")
    if not _is_semidefinite(middle):
        middle = _semidefinite(middle, affine)
    outer = inverse_root @ middle @ inverse_root
    if not _is_semidefinite(middle):
        outer = _shifted(outer, matrix)
    return outer @ matrix


def _is_semidefinite(middle: np.ndarray) -> bool:
    values = np.linalg.eigvalsh(middle)
    return bool(values[0] >= -_INDEFINITE * values[-1])


def _semidefinite(middle: np.ndarray, affine: Any) -> np.ndarray:
    """Approach the least semi-definite matrix of the affine set, by Dykstra's projections."""
    correction = np.zeros_like(middle)
    for _ in range(_PROJECTIONS):
        values, vectors = np.linalg.eigh(middle + correction)
        inside = (vectors * np.maximum(values, 0)) @ vectors.conj().T
        correction = middle + correction - inside
        middle = affine(inside)
        if _is_semidefinite(middle):
            break
    return middle


def _shifted(outer: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Mix in just enough of M = I, which is feasible for unit columns, to lose the negative."""
    lowest = float(np.linalg.eigvalsh(outer)[0])
    norms = np.linalg.norm(matrix, axis=0)
    if np.max(np.abs(norms - 1)) > 1e-6:
        raise _NoSymmetricWeightsError(f"none after {_PROJECTIONS} projections")
    return (outer - lowest * np.eye(outer.shape[0])) / (1 - lowest)


def _traced(matrix: Array, symmetric: bool, noise: Any) -> Array:
    rows = matrix.shape[0]
    adjoint = jnp.conj(matrix.T)
    spread = numerics.matmul(matrix, adjoint) + noise * jnp.eye(rows, dtype=matrix.dtype)
    solved = jnp.linalg.solve(spread, matrix)
    if not symmetric:
        return solved / jnp.real(jnp.sum(jnp.conj(matrix) * solved, axis=0))
    squares = jnp.abs(numerics.matmul(adjoint, solved)) ** 2
    multipliers = jnp.linalg.solve(squares, jnp.ones(matrix.shape[1], squares.dtype))
    return numerics.matmul(solved * multipliers, numerics.matmul(jnp.conj(solved.T), matrix))
