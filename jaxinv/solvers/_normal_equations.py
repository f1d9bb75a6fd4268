"""Conjugate gradients for least squares, differentiated through what the solution satisfies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics
from jaxinv.operators import LinearOperator

_FLOOR = 4  # times eps ‖A‖ ‖residual‖: rounding of the gradient; going on would lose digits
_PATIENCE = 10  # steps of conjugate gradients without a smaller gradient: the rounding floor


class Minimizer(NamedTuple):
    """Result of ``solve_normal``: the minimizer, y − A x, and the norm of the gradient."""

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


def solve_normal(
    model: LinearOperator,
    y: Array,
    start: Array,
    *,
    mask: Array | None = None,
    damping: Any = 0.0,
    tol: Any = 0.0,
    max_steps: int | None = None,
) -> Minimizer:
    """Minimize ½‖A x − y‖² + ½ damping ‖x‖² over the entries in ``mask``.

    Conjugate gradients on the normal equations, never formed. Each lane of a ``vmap`` stops by
    itself: when the gradient's norm is at most ``tol``, or at the rounding floor of its type.
    From 0, or any start in the range of A*, it tends to the solution of least norm.

    Derivatives, in both modes, are those of the minimizer in A, y and the damping, whatever the
    steps that led to it: ``start``, ``mask`` and the norm of the gradient are constants.
    """
    real = numerics.real_dtype(start.dtype)
    max_steps = 4 * min(y.size, start.size) + 20 if max_steps is None else max_steps
    many = mask is None and isinstance(damping, int | float) and damping == 0
    many = many and y.size <= start.size  # solutions: the one of least norm is meant
    damping, tol = jnp.asarray(damping).astype(real), jnp.asarray(tol).astype(real)
    start = lax.stop_gradient(start)
    return _minimized(max_steps, many, model, y, start, mask, damping, tol)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _minimized(
    max_steps: int,
    many: bool,
    model: LinearOperator,
    y: Array,
    start: Array,
    mask: Array | None,
    damping: Array,
    tol: Array,
) -> Minimizer:
    del many  # only the derivative depends on it
    real = tol.dtype
    eps, size = jnp.finfo(real).eps, numerics.sum_squares(y)

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
        gradient = _slope(model, residual, x, mask, damping)
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

    x = _inside(start, mask)
    residual = y - model(x)
    gradient = _slope(model, residual, x, mask, damping)
    square = numerics.sum_squares(gradient)
    zero = jnp.zeros((), jnp.int32)
    first = _Carry(x, residual, gradient, square, square, zero, jnp.zeros((), real), zero)
    last = lax.while_loop(unfinished, body, first)
    return Minimizer(last.x, last.residual, jnp.sqrt(last.square))


def _inside(v: Array, mask: Array | None) -> Array:
    return v if mask is None else jnp.where(mask, v, 0)


def _slope(
    model: LinearOperator, residual: Array, x: Array, mask: Array | None, damping: Array
) -> Array:
    return _inside(model.adjoint(residual) - damping * x, mask)


@_minimized.defjvp
def _derivative(
    max_steps: int, many: bool, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Minimizer, Minimizer]:
    """Differentiate A*(y − A x) = damping x; the steps are no function of anything."""
    found = _minimized(max_steps, many, *primals)
    _, _, start, mask, _, _ = primals
    x = lax.stop_gradient(found.x)
    solve = partial(conjugate_residuals, max_steps=max_steps)

    def change(model: LinearOperator, y: Array, damping: Array) -> Array:
        def normal(v: Array) -> Array:
            return -_slope(model, -model(_inside(v, mask)), v, mask, damping)

        def inverse(b: Array) -> Array:
            return symmetric_solve(normal, b, solve, solve)

        moved = inverse(_only_change(_slope(model, y - model(x), x, mask, damping)))
        if not many:
            return moved
        # x stays in the range of A*, which turns with A: x = A* z
        z = lax.stop_gradient(model(solve(normal, x)))
        turned = _only_change(model.adjoint(z))
        return moved + turned - inverse(normal(turned))

    (model, y, damping), given = ((each[0], each[1], each[4]) for each in (primals, tangents))
    _, dx = jax.jvp(change, (model, y, damping), given)
    _, dresidual = jax.jvp(lambda a, b, c: b - a(c), (model, y, x), (given[0], given[1], dx))
    return found, Minimizer(dx.astype(start.dtype), dresidual, jnp.zeros_like(found.gradient))


def _only_change(v: Array) -> Array:
    """Return 0 with the derivative of ``v``."""
    return v - lax.stop_gradient(v)


def symmetric_solve(
    product: Callable[[Array], Array],
    b: Array,
    solve: Callable[[Any, Array], Array],
    transpose_solve: Callable[[Any, Array], Array],
) -> Array:
    """Return M⁻¹ b by ``solve``, differentiated in M and b as what M x = b makes x.

    Args:
        product: v ↦ M v, real symmetric or Hermitian.
        solve: (product, b) ↦ M⁻¹ b.
        transpose_solve: (product, b) ↦ M⁻ᵀ b, the product then that of Mᵀ; used where M is complex.
    """
    if not jnp.iscomplexobj(b):
        return lax.custom_linear_solve(product, b, solve, symmetric=True)
    return lax.custom_linear_solve(product, b, solve, transpose_solve)


def conjugate_residuals(product: Callable[[Array], Array], b: Array, *, max_steps: int) -> Array:
    """Return x with M x = b, by conjugate residuals from 0 to the floor of the type.

    M may be singular: what it makes 0 of b, as of the cotangents of reverse mode, leaves x right
    up to a vector that M makes 0 as well, where conjugate gradients would diverge.
    """
    eps = jnp.finfo(b.dtype).eps
    image = product(b)
    size = jnp.real(numerics.inner(b, image))
    zero = jnp.zeros((), jnp.int32)

    def unfinished(carry: tuple[Array, ...]) -> Array:
        *_, square, best, since_best, num_steps = carry
        running = (since_best < _PATIENCE) & (num_steps < max_steps)
        return running & (square > 0) & (best > eps**2 * size)

    def body(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        found, x, residual, p, p_image, square, best, since_best, num_steps = carry
        step = numerics.safe_divide(square, numerics.sum_squares(p_image))
        x, residual = x + step * p, residual - step * p_image
        image = product(residual)
        following = jnp.real(numerics.inner(residual, image))
        share = numerics.safe_divide(following, square)
        better = jnp.abs(following) < best
        return (
            jnp.where(better, x, found),
            x,
            residual,
            residual + share * p,
            image + share * p_image,
            following,
            jnp.where(better, jnp.abs(following), best),
            jnp.where(better, 0, since_best + 1),
            num_steps + 1,
        )

    start = jnp.zeros_like(b)
    first = (start, start, b, b, image, size, size, zero, zero)
    return lax.while_loop(unfinished, body, first)[0]
