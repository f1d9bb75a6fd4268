"""Checks that several operator constructors share."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks

_LARGEST_BYTES = 8 * 2**30
_FAST = "Use operators.subsampled_hadamard or subsampled_fourier: they store no matrix."


def require_memory(where: str, m: int, n: int, dtype: Any) -> None:
    """Refuse a dense matrix that no ordinary machine holds, and name the fast operators."""
    size = m * n * jnp.dtype(dtype).itemsize
    if size > _LARGEST_BYTES:
        got = f"{m} x {n} {jnp.dtype(dtype).name} = {size / 2**30:.1f} GiB"
        checks.fail(where, "the matrix", f"be at most {_LARGEST_BYTES / 2**30:.0f} GiB", got, _FAST)


def float_type(where: str, dtype: Any) -> Any:
    """Require a floating or complex type."""
    try:
        result = jnp.dtype(dtype)
    except TypeError:
        checks.fail_type(where, "dtype", "be a floating or complex type", dtype)
    if not jnp.issubdtype(result, jnp.inexact):
        checks.fail(where, "dtype", "be a floating or complex type", result.name)
    return result


def weights(where: str, argument: str, value: Any) -> jax.Array:
    """Return a mask; boolean and integer arrays stay as they are, so that they widen no result."""
    try:
        result = jnp.asarray(value)
    except (TypeError, ValueError):
        checks.fail_type(where, argument, "be an array of numbers", value)
    if result.dtype != bool and not jnp.issubdtype(result.dtype, jnp.integer):
        result = checks.array(where, argument, result)
    if result.ndim == 0 or result.size == 0:
        checks.fail(where, argument, "have at least one dimension and one entry", result)
    checks.finite(where, argument, result)
    return result


def signal_shape(where: str, shape: Any) -> tuple[int, ...]:
    """Return ``shape`` as a tuple of at least one positive int."""
    result = checks.shape(where, "shape", shape)
    if not result:
        checks.fail(where, "shape", "have at least one dimension", "()")
    return result
