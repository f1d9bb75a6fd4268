"""Linear least squares inside solvers: a factorization made once, or conjugate gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._linearized import linear_model
from jaxinv.solvers._proximal import given_operator, held_matrix

Array = jax.Array

_MARGIN = 1.02  # on ‖A‖², which power iteration estimates from below
_FLOOR = 4  # times eps ‖A‖ ‖residual‖: rounding of the gradient; going on would lose digits
_PATIENCE = 10  # steps of conjugate gradients without a smaller gradient: the rounding floor


def require_linear(where: str, problem: Problem) -> LinearOperator:
    """Return ``predict`` as one linear operator, or say that it is none."""
    model = linear_model(problem)
    if model is None:
        hint = "For other models use solvers.ista, fista or gradient."
        got = type(given_operator(problem)).__name__
        if problem.prior is not None:
            got += f" after {type(problem.prior).__name__}"
        checks.fail(where, "problem", "have a linear operator (and prior)", got, hint)
    return model


def linear_problem(where: str, problem: Problem, u: Array) -> tuple[LinearOperator, Array]:
    """Return the whole linear model, and ``y`` in the type of its outputs."""
    model = require_linear(where, problem)
    prediction = jax.eval_shape(model, u)
    pulled = jax.eval_shape(model.adjoint, prediction)
    if jnp.issubdtype(pulled.dtype, jnp.complexfloating) and not jnp.iscomplexobj(u):
        checks.fail(where, "u0", "be complex, as the operator's adjoint is", u)
    return model, problem.y.astype(prediction.dtype)


def require_real(where: str, problem: Problem, u0: Array) -> None:
    """Refuse a complex unknown, or an operator that makes it one."""
    model = linear_model(problem)
    if jnp.iscomplexobj(u0):
        checks.fail(where, "u0", "be real", u0, "Use fista for complex data.")
    if model is not None and jnp.iscomplexobj(jax.eval_shape(model, u0)):
        got = "one with complex values"
        checks.fail(where, "problem.operator", "be real", got, "Use fista for complex data.")


class Cgls(NamedTuple):
    """Result of ``cgls``: the minimizer, y − A x, and the norm of the gradient."""

    x: Array
    residual: Array
    gradient: Array


class _Carry(NamedTuple):
    x: Array
    residual: Array
    direction: Array
    square: Array
    best: Array
    since_best: Array
    norm_squared: Array
    num_steps: Array


def cgls(
    model: LinearOperator,
    y: Array,
    start: Array,
    *,
    mask: Array | None = None,
    damping: Any = 0.0,
    tol: Any = 0.0,
    max_steps: int | None = None,
) -> Cgls:
    """Minimize ½‖A x − y‖² + ½ damping ‖x‖² over the entries in ``mask``.

    Conjugate gradients on the normal equations, never formed. Each lane of a ``vmap`` stops by
    itself: when the gradient's norm is at most ``tol``, or at the rounding floor of its type.
    From 0, or any start in the range of A*, it tends to the solution of least norm.
    """
    real = numerics.real_dtype(start.dtype)
    damping, tol = jnp.asarray(damping).astype(real), jnp.asarray(tol).astype(real)
    max_steps = 4 * min(y.size, start.size) + 20 if max_steps is None else max_steps
    eps, size = jnp.finfo(real).eps, numerics.sum_squares(y)

    def restrict(v: Array) -> Array:
        return v if mask is None else jnp.where(mask, v, 0)

    def slope(residual: Array, x: Array) -> Array:
        return restrict(model.adjoint(residual) - damping * x)

    def unfinished(carry: _Carry) -> Array:
        residual = numerics.sum_squares(carry.residual)
        solved = residual <= eps**2 * (size + carry.norm_squared * numerics.sum_squares(carry.x))
        flat = carry.square <= (_FLOOR * eps) ** 2 * carry.norm_squared * residual
        running = (carry.num_steps < max_steps) & (carry.since_best < _PATIENCE)
        return running & (carry.square > tol**2) & ~(flat & (damping == 0)) & ~solved

    def body(carry: _Carry) -> _Carry:
        p = carry.direction
        image, length = model(p), numerics.sum_squares(p)
        curvature = numerics.sum_squares(image) + damping * length
        step = numerics.safe_divide(carry.square, curvature)
        x, residual = carry.x + step * p, carry.residual - step * image
        gradient = slope(residual, x)
        square = numerics.sum_squares(gradient)
        p = gradient + numerics.safe_divide(square, carry.square) * p
        better = square < carry.best
        return _Carry(
            x=x,
            residual=residual,
            direction=p,
            square=square,
            best=jnp.where(better, square, carry.best),
            since_best=jnp.where(better, 0, carry.since_best + 1),
            norm_squared=jnp.maximum(carry.norm_squared, numerics.safe_divide(curvature, length)),
            num_steps=carry.num_steps + 1,
        )

    x = restrict(start)
    residual = y - model(x)
    gradient = slope(residual, x)
    square = numerics.sum_squares(gradient)
    zero = jnp.zeros((), jnp.int32)
    first = _Carry(x, residual, gradient, square, square, zero, jnp.zeros((), real), zero)
    last = lax.while_loop(unfinished, body, first)
    return Cgls(last.x, last.residual, jnp.sqrt(last.square))


class Factor(NamedTuple):
    """What is computed once from a linear model.

    Attributes:
        norm_squared: ‖A‖², or 1 where A is 0.
        values: eigenvalues of A A* (of A* A where that is smaller); None without a matrix.
        vectors: its eigenvectors as columns; None without a matrix.
    """

    norm_squared: Array
    values: Array | None
    vectors: Array | None


def factorize(model: LinearOperator) -> Factor:
    """Return the eigendecomposition of the smaller Gram matrix of a dense A, else only ‖A‖².

    Eigenvectors serve every shift at once, so that a shift may differ between trials that share
    A, between layers, and may be traced, at the cost of one decomposition.
    """
    matrix = held_matrix(model)
    if matrix is None:
        square = _MARGIN * jnp.square(model.norm(tol=1e-2))
        return Factor(jnp.where(square > 0, square, 1), None, None)
    adjoint = jnp.conj(matrix.T)
    wide = matrix.shape[0] <= matrix.shape[1]
    gram = numerics.matmul(matrix, adjoint) if wide else numerics.matmul(adjoint, matrix)
    values, vectors = jnp.linalg.eigh(gram)
    values = jnp.maximum(values, 0)
    return Factor(jnp.where(values[-1] > 0, values[-1], 1), values, vectors)


def damped_inverse(
    model: LinearOperator, factor: Factor, y: Array, shift: Any, start: Array, tol: Any
) -> tuple[Array, Array]:
    """Return d = A* (A A* + shift)⁻¹ y, and the norm of A* (A d − y) + shift d where not exact.

    With shift 0 it is the pseudoinverse. ``start`` and ``tol`` serve where there is no matrix.
    """
    real = numerics.real_dtype(start.dtype)
    if factor.values is None or factor.vectors is None:
        found = cgls(model, y, start, damping=shift, tol=tol)
        return found.x, found.gradient
    values, vectors = factor.values, factor.vectors
    shifted = values + jnp.asarray(shift).astype(real)
    cutoff = values.size * jnp.finfo(real).eps * factor.norm_squared
    weights = jnp.where(shifted > cutoff, 1 / jnp.where(shifted > cutoff, shifted, 1), 0)

    def solve(v: Array) -> Array:
        return numerics.matmul(vectors, weights * numerics.matmul(jnp.conj(vectors.T), v))

    wide = math.prod(model.out_shape) <= math.prod(model.in_shape)
    inverse = model.adjoint(solve(y)) if wide else solve(model.adjoint(y))
    return inverse, jnp.zeros((), real)
