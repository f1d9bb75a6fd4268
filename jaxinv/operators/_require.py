"""Checks that several operator constructors share."""

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, outside

_LARGEST_BYTES = 8 * 2**30
_FAST = "Use operators.subsampled_hadamard or subsampled_fourier: they store no matrix."


def require_memory(where: str, m: int, n: int, dtype: Any) -> None:
    """Refuse a dense matrix that no ordinary machine holds, and name the fast operators."""
    size = m * n * jnp.dtype(dtype).itemsize
    if size > _LARGEST_BYTES:
        got = f"{m} x {n} {jnp.dtype(dtype).name} = {size / 2**30:.1f} GiB"
        checks.fail(where, "the matrix", f"be at most {_LARGEST_BYTES / 2**30:.0f} GiB", got, _FAST)


def fail_function(where: str, argument: str, given: str, error: Exception) -> NoReturn:
    """Say that a function of the user's raised on an array of the shape it has to take."""
    hint = f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
    if isinstance(error, jax.errors.TracerArrayConversionError):
        hint = "It seems to call numpy; use jax.numpy (jnp) there."
    raise ValueError(
        f"{where}: {argument} must accept {given}, got an exception. {hint}"
    ) from error


def weights(where: str, argument: str, value: Any) -> jax.Array:
    """Return a mask as booleans, or as floating weights.

    Integers become weakly typed floating numbers, so that they widen no result.
    """
    result = checks.array(where, argument, value)
    given = outside.entries(where, argument, value)
    if jnp.issubdtype(given.dtype, jnp.bool_):
        result = jnp.asarray(given)
    elif jnp.issubdtype(given.dtype, jnp.integer):
        held = jnp.asarray(given)
        fits = not checks.is_concrete(given) or np.array_equal(held, given)
        result = held * 1.0 if fits else result
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
