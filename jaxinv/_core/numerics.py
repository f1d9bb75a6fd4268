"""Numerics that are safe at zero and under every transformation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import numerics


def matmul(a: Array, b: Array, precision: str | None = "highest") -> Array:
    """Multiply in full precision: GPUs default to TF32, which keeps three digits."""
    return jnp.matmul(a, b, precision=precision)


def real_dtype(dtype: Any) -> Any:
    """Return the real type of a real or complex type."""
    return jnp.finfo(dtype).dtype


def sum_squares(x: Array) -> Array:
    """Return ``sum |x|²``, real also for complex ``x``; of extreme numbers it overflows."""
    return jnp.sum(_squares(x))


def power_of_two(size: Array) -> Array:
    """Return the largest power of two that is at most ``size`` > 0, exactly: its exponent bits.

    0 and numbers below the smallest normal one give 0; infinity and NaN give infinity.
    """
    unsigned = jnp.dtype(f"uint{8 * size.dtype.itemsize}")
    infinity = lax.bitcast_convert_type(jnp.asarray(jnp.inf, size.dtype), unsigned)
    return lax.bitcast_convert_type(lax.bitcast_convert_type(size, unsigned) & infinity, size.dtype)


def largest(x: Array) -> Array:
    """Return max |x|, of complex numbers that of both parts, without a square; 0 of nothing."""
    if jnp.iscomplexobj(x):
        return jnp.maximum(largest(jnp.real(x)), largest(jnp.imag(x)))
    return jnp.max(jnp.abs(x), initial=0)


def order(*arrays: Array) -> Array:
    """Return the power of two at or below max |x|, constant for derivatives; 1 where none is."""
    sizes = [largest(lax.stop_gradient(x)) for x in arrays]
    power = power_of_two(sizes[0] if len(sizes) == 1 else jnp.max(jnp.stack(sizes)))
    usable = jnp.isfinite(power) & (power > 0)
    return jnp.where(usable, jnp.minimum(power, 1 / jnp.finfo(power.dtype).tiny), 1)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def safe_norm(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Return ‖x‖₂ at any scale: no square leaves the range of the type where ‖x‖ does not.

    Over all entries, or over some axes, which are then kept with size 1. The derivative is 0 at 0
    (``jnp.linalg.norm`` gives NaN there); NaN stays NaN.
    """
    size = largest(x)
    size = jnp.where((size > 0) & (size < jnp.inf), size, 1)
    return size * jnp.sqrt(jnp.sum(_squares(x / size), axis=axis, keepdims=axis is not None))


@safe_norm.defjvp
def _safe_norm_jvp(axis: Any, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    norm = safe_norm(primals[0], axis)
    direction = primals[0] / jnp.where(norm > 0, norm, 1)
    change = jnp.real(jnp.conj(direction) * tangents[0])
    return norm, jnp.sum(change, axis=axis, keepdims=axis is not None)


def _squares(x: Array) -> Array:
    return jnp.real(x * jnp.conj(x)) if jnp.iscomplexobj(x) else x * x


def safe_divide(numerator: Any, denominator: Any, default: float | int = 0.0) -> Array:
    """Return ``numerator / denominator``, and ``default`` where the denominator is 0."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), default)


def magnitude(v: Array) -> Array:
    """Return |v| at any scale, with derivative 0 at 0 also for complex ``v``."""
    if not jnp.iscomplexobj(v):
        return jnp.abs(v)
    zero = v == 0
    return jnp.where(zero, 0, jnp.abs(jnp.where(zero, 1, v)))


def safe_sqrt(squares: Array) -> Array:
    """Return the root of numbers >= 0, with derivative 0 at 0 and below; NaN stays NaN."""
    positive = ~(squares <= 0)
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
        a is b or _close(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)
    )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    wide = np.promote_types(np.result_type(a, b), np.float64)
    a, b = a.astype(wide), b.astype(wide)
    return np.allclose(a, b, rtol=1e-4, atol=1e-6 * float(np.max(np.abs(b), initial=0)))


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
    tol: float | int = 1e-4,
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


_BITS = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}


def kth_largest(magnitudes: Array, count: Any) -> Array:
    """Return the ``count``-th largest of nonnegative numbers along the last axis.

    Nonnegative floats are ordered as their bit patterns are, so the answer is exact after as
    many comparisons with all entries as a float has bits; a sort on CPU costs several times
    the matrix products around it. Count 0 gives infinity; a count above the size gives 0.

    Args:
        magnitudes: shape (..., n), >= 0, floating. NaN counts as the largest.
        count: integers that broadcast against the leading axes; may be traced.

    Returns:
        Shape (...): the largest number that at least ``count`` entries reach. It is a constant
        for differentiation.
    """
    magnitudes = lax.stop_gradient(magnitudes)
    width = np.dtype(magnitudes.dtype).itemsize
    kind = _BITS[width]
    bits = lax.bitcast_convert_type(magnitudes, kind)
    count = jnp.asarray(count)
    shape = jnp.broadcast_shapes(magnitudes.shape[:-1], count.shape)

    def decide(index: Any, found: Array) -> Array:
        place = jnp.asarray(8 * width - 2 - index, kind)  # without jit the index is an int
        candidate = found | (jnp.ones((), kind) << place)
        reached = jnp.sum(bits >= candidate[..., None], axis=-1) >= count
        return jnp.where(reached, candidate, found)

    # the sign bit of a nonnegative number is 0: one bit less to decide
    found = lax.fori_loop(0, 8 * width - 1, decide, jnp.zeros(shape, kind))
    value = lax.bitcast_convert_type(found, magnitudes.dtype)
    return jnp.where(count > 0, value, jnp.inf)


def largest_mask(v: Array, count: Any) -> Array:
    """Return which entries are among the ``count`` largest in magnitude (ties included).

    Zeros are never among them.
    """
    sizes = jnp.abs(lax.stop_gradient(v)).astype(numerics.real_dtype(v.dtype))
    return (sizes >= kth_largest(sizes, count)[..., None]) & (sizes > 0)


def at_least_single(x: Array) -> Array:
    """Return half precision in single: LAPACK has no routine for it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
