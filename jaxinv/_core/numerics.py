"""Numerics that are safe at zero and under every transformation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array


def matmul(a: Array, b: Array, precision: str | None = "highest") -> Array:
    """Multiply in full precision: GPUs default to TF32, which keeps three digits."""
    return jnp.matmul(a, b, precision=precision)


def real_dtype(dtype: Any) -> Any:
    """Return the real type of a real or complex type."""
    return jnp.finfo(dtype).dtype


def sum_squares(x: Array) -> Array:
    """Return ``sum |x|²``, real also for complex ``x``."""
    return jnp.sum(jnp.real(x * jnp.conj(x)))


def safe_norm(x: Array) -> Array:
    """Return ‖x‖₂ with derivative 0 at 0 (``jnp.linalg.norm`` gives NaN there); NaN stays NaN."""
    squares = sum_squares(x)
    zero = squares == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))


def safe_divide(numerator: Any, denominator: Any, default: float = 0.0) -> Array:
    """Return ``numerator / denominator``, and ``default`` where the denominator is 0."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), default)


def magnitude(v: Array) -> Array:
    """Return |v|, with derivative 0 at 0 also for complex ``v``."""
    return safe_sqrt(jnp.real(v * jnp.conj(v))) if jnp.iscomplexobj(v) else jnp.abs(v)


def safe_sqrt(squares: Array) -> Array:
    """Return the root of numbers >= 0, with derivative 0 at 0."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def soft_threshold(v: Array, threshold: Array) -> Array:
    """Return v (|v| − threshold)₊ / |v|: every entry moved towards 0, complex ones too."""
    size = magnitude(v)
    shrunk = jax.nn.relu(size - threshold)
    if jnp.iscomplexobj(v):
        return v * safe_divide(shrunk, size)
    return jnp.sign(v) * shrunk


def inner(a: Array, b: Array) -> Array:
    """Return ``Σ conj(a) b``."""
    return jnp.sum(jnp.conj(a) * b)


def same_arrays(first: Any, second: Any) -> bool:
    """Whether two trees of concrete arrays agree up to rounding in float32; on the host."""
    ours, theirs = jax.tree.leaves(first), jax.tree.leaves(second)
    return len(ours) == len(theirs) and all(
        a is b or (np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-4, atol=1e-6))
        for a, b in zip(ours, theirs, strict=True)
    )


class PowerIteration(NamedTuple):
    """Result of ``power_iteration``: a Ritz value and how far it is from exact."""

    value: Array
    vector: Array
    residual: Array
    num_steps: Array


def power_iteration(
    matvec: Callable[[Array], Array],
    start: Array,
    *,
    tol: float = 1e-4,
    max_steps: int = 300,
) -> PowerIteration:
    r"""Estimate the largest eigenvalue of a symmetric positive semi-definite operator.

    .. math:: v \leftarrow M v / \|M v\|, \qquad \lambda = v^* M v

    Jittable and batched by ``vmap``; each lane stops by itself.

    Args:
        matvec: v ↦ M v, of one shape.
        start: starting vector, not zero; random is best.
        tol: stop when the relative residual ‖M v − λ v‖ / λ is below; the value's own relative
            error is then of order tol² over the spectral gap, and at most ``tol``.
        max_steps: most products with M.

    Returns:
        ``PowerIteration(value, vector, residual, num_steps)``, the residual relative to λ.

    Cost: one product with M a step.
    """
    vector = start / safe_norm(start)
    real = real_dtype(start.dtype)

    def unfinished(carry: PowerIteration) -> Array:
        return (carry.residual > tol) & (carry.num_steps < max_steps)

    def body(carry: PowerIteration) -> PowerIteration:
        image = matvec(carry.vector)
        value = jnp.real(inner(carry.vector, image))
        residual = safe_divide(safe_norm(image - value * carry.vector), value)
        size = safe_norm(image)
        following = jnp.where(size == 0, carry.vector, image / jnp.where(size == 0, 1, size))
        return PowerIteration(
            value.astype(real), following, residual.astype(real), carry.num_steps + 1
        )

    initial = PowerIteration(
        jnp.zeros((), real), vector, jnp.asarray(jnp.inf, real), jnp.zeros((), jnp.int32)
    )
    return lax.while_loop(unfinished, body, initial)
