"""Linear least squares inside solvers: a factorization made once, or conjugate gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics
from jaxinv.operators import LinearOperator
from jaxinv.solvers._normal_equations import solve_normal, symmetric_solve
from jaxinv.solvers._proximal import held_matrix

_NORM_TOL = 1e-2
_MARGIN = 1.02  # on ‖A‖², which power iteration estimates from below
_CUTOFF = 8  # times eps ‖A‖²: an eigenvalue from a fast transform that counts as 0


class Factor(NamedTuple):
    """What is computed once from a linear model.

    Attributes:
        norm_squared: ‖A‖², or 1 where A is 0.
        values: eigenvalues of A A*, of A* A where that is smaller or ``basis`` is given; None
            where the model is neither a matrix nor diagonalized.
        vectors: of a matrix, its eigenvectors as columns, constants for differentiation.
        diagonalization: of other models, that of A* A; None of a matrix.
        cutoff: what counts as 0 of an eigenvalue and a shift together.
    """

    norm_squared: Array
    values: Array | None = None
    vectors: Array | None = None
    diagonalization: Any = None
    cutoff: Array | None = None


def factorize(model: LinearOperator) -> Factor:
    """Return the eigenvalues of A* A, or A A*, and their vectors; only ‖A‖² where these cost much.

    Known are those of matrices, by one decomposition, and of operators that a fast transform
    diagonalizes. They serve every shift at once, so that a shift may differ between trials that
    share A, between layers, and may be traced.
    """
    found = model.diagonalization()
    if found is not None:
        signal = jax.ShapeDtypeStruct(model.in_shape, model.in_dtype)
        shape = jax.eval_shape(found.transform, signal).shape
        values = jnp.broadcast_to(found.eigenvalues, shape)
        size = _size(values)
        return Factor(size, values, None, found, _CUTOFF * jnp.finfo(values.dtype).eps * size)
    matrix = _small_matrix(model)
    if matrix is None:
        return Factor(constant_norm_squared(model))
    adjoint = jnp.conj(matrix.T)
    wide = matrix.shape[0] <= matrix.shape[1]
    gram = numerics.matmul(matrix, adjoint) if wide else numerics.matmul(adjoint, matrix)
    values, vectors = _eigenvectors(gram)
    values = jnp.maximum(values, 0)
    size = _size(values)
    cutoff = values.size * jnp.finfo(values.dtype).eps * size
    return Factor(size, values, vectors, None, cutoff)


def singular_factor(model: LinearOperator) -> Factor:
    """Do as ``factorize``, any operator made a matrix, by singular values: twice the digits."""
    if model.diagonalization() is not None:
        return factorize(model)
    matrix = model.todense()
    values, vectors = _singular_vectors(matrix)
    size = _size(values)
    floor = jnp.square(max(matrix.shape) * jnp.finfo(values.dtype).eps) * size
    return Factor(size, jnp.where(values > floor, values, 0), vectors, None, floor)


def _size(values: Array) -> Array:
    """Return the largest eigenvalue, or 1 where all are 0."""
    largest = jnp.max(values)
    return jnp.where(largest > 0, largest, 1)


def _small_matrix(model: LinearOperator) -> Array | None:
    """Return the matrix of a model that holds as many numbers anyway; None of any other."""
    matrix = held_matrix(model)
    turned = model.in_dtype != model.out_dtype  # as by a Fourier transform of a real signal
    if matrix is not None or turned:
        return matrix
    held = sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(model))
    small = math.prod(model.in_shape) * math.prod(model.out_shape) <= held
    return model.todense() if small else None


def constant_norm_squared(model: LinearOperator) -> Array:
    """Return ‖A‖² from slightly above, 1 where it is 0; a constant for differentiation."""
    square = _MARGIN * jnp.square(lax.stop_gradient(model).norm(tol=_NORM_TOL))
    return jnp.where(square > 0, square, 1)


def damped_inverse(
    model: LinearOperator, factor: Factor, y: Array, shift: Any, start: Array, tol: Any
) -> tuple[Array, Array]:
    """Return d = A* (A A* + shift)⁻¹ y, and the norm of A* (A d − y) + shift d where not exact.

    With shift 0 it is the pseudoinverse. ``start`` and ``tol`` serve where nothing is factorized.
    Derivatives in A, y and the shift are those of d, however it was computed.
    """
    real = numerics.real_dtype(start.dtype)
    if factor.values is None:
        found = solve_normal(model, y, start, damping=shift, tol=tol)
        return found.x, found.gradient
    shift = jnp.asarray(shift).astype(real)
    shifted = factor.values + shift
    nonzero = shifted > factor.cutoff
    weights = jnp.where(nonzero, 1 / jnp.where(nonzero, shifted, 1), 0)
    if factor.diagonalization is not None:
        inverse = factor.diagonalization.multiply(weights, model.adjoint(y))
        inverse = inverse if jnp.iscomplexobj(start) else jnp.real(inverse)
    else:
        inverse = _by_vectors(model, factor.vectors, lax.stop_gradient(weights), y, shift)
    return inverse.astype(start.dtype), jnp.zeros((), real)


def _by_vectors(
    model: LinearOperator, vectors: Any, weights: Array, y: Array, shift: Array
) -> Array:
    """Solve with the smaller Gram matrix, whose eigenvectors are columns of ``vectors``."""

    def solve(_: Any, v: Array) -> Array:
        coefficients = weights * numerics.matmul(jnp.conj(vectors.T), v.reshape(-1))
        return numerics.matmul(vectors, coefficients).reshape(v.shape)

    def transpose_solve(_: Any, v: Array) -> Array:
        return jnp.conj(solve(None, jnp.conj(v)))

    def outer(v: Array) -> Array:
        return model(model.adjoint(v)) + shift * v

    def inner(v: Array) -> Array:
        return model.adjoint(model(v)) + shift * v

    if math.prod(model.out_shape) <= math.prod(model.in_shape):
        return model.adjoint(symmetric_solve(outer, y, solve, transpose_solve))
    return symmetric_solve(inner, model.adjoint(y), solve, transpose_solve)


@jax.custom_jvp
def _eigenvectors(gram: Array) -> tuple[Array, Array]:
    """Return ``eigh``, whose vectors have no derivative where values coincide, with none at all."""
    values, vectors = jnp.linalg.eigh(numerics.at_least_single(gram))
    return values.astype(numerics.real_dtype(gram.dtype)), vectors.astype(gram.dtype)


@_eigenvectors.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Any, Any]:
    values, vectors = _eigenvectors(*primals)
    image = numerics.matmul(tangents[0], vectors)
    change = jnp.real(jnp.sum(jnp.conj(vectors) * image, axis=0))
    return (values, vectors), (change, jnp.zeros_like(vectors))


@jax.custom_jvp
def _singular_vectors(matrix: Array) -> tuple[Array, Array]:
    """Return the squares of the singular values, and the vectors on the smaller side."""
    left, values, right = jnp.linalg.svd(numerics.at_least_single(matrix), full_matrices=False)
    vectors = left if matrix.shape[0] <= matrix.shape[1] else jnp.conj(right.T)
    squares = jnp.square(values)
    return squares.astype(numerics.real_dtype(matrix.dtype)), vectors.astype(matrix.dtype)


@_singular_vectors.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Any, Any]:
    values, vectors = _singular_vectors(*primals)
    wide = primals[0].shape[0] <= primals[0].shape[1]
    matrix, change = [a if wide else jnp.conj(a.T) for a in (primals[0], tangents[0])]
    adjoint = jnp.conj(vectors.T)
    held, moved = numerics.matmul(adjoint, matrix), numerics.matmul(adjoint, change)
    slopes = 2 * jnp.real(jnp.sum(jnp.conj(held) * moved, axis=1))
    return (values, vectors), (slopes, jnp.zeros_like(vectors))
