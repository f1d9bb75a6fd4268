"""Weights of unfolded networks in closed form: least interference between the columns."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator

Array = jax.Array
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
