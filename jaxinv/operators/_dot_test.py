"""The dot test: whether an adjoint is the adjoint."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.operators._base import LinearOperator, name_of, require_single

_WHERE = "dot_test"


def dot_test(operator: LinearOperator, key: Any) -> float:
    r"""Measure how far an adjoint is from the adjoint, by products with random vectors.

    .. math:: \frac{|\mathrm{Re}\langle A x, y \rangle - \mathrm{Re}\langle x, A^* y \rangle|}
        {\max(\|A x\| \|y\|, \|x\| \|A^* y\|)}

    Run it on an operator of your own before a solver does: a wrong adjoint makes them end in
    DIVERGED, STALLED or NONFINITE, or, worse, in a wrong image. Half of y is A x itself, so that an
    adjoint which has nothing to do with A gives about 1, whatever the number of measurements.

    Args:
        operator: A, a linear operator; signals and measurements are drawn in its ``in_dtype``
            and ``out_dtype``, complex where these are.
        key: a JAX PRNG key.

    Returns:
        A number >= 0 in no unit: rounding (about 1e-7 in float32, 1e-16 in float64; below 1e-5
        also for long sums) where the adjoint is right; infinity where a product is not finite; 0
        for the operator 0.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: products of other shapes than the operator says; a call under ``jit`` or
            ``vmap``, where there is no number to look at.

    Cost: A and A* once or twice each.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.convolution(jax.numpy.array([0.5, 0.3, 0.2]), 64)
        >>> ji.operators.dot_test(A, jax.random.key(0)) < 1e-5
        True

    Source: Claerbout (2014), "Geophysical image estimation by example", section 2.3.
    """
    key = checks.key(_WHERE, key)
    if not isinstance(operator, LinearOperator):
        hint = "Only linear operators have an adjoint; operators.from_function makes one."
        checks.fail_type(_WHERE, "operator", "be a linear operator", operator, hint)
    require_single(operator)
    if not checks.is_concrete((operator, key)):
        checks.fail(_WHERE, "operator", "be known", "a traced one", "Call it outside of jit.")
    first, second = jax.random.split(key)
    real = jnp.promote_types(numerics.real_dtype(operator.in_dtype), jnp.float32)
    x = _unit(_random(first, operator.in_shape, operator.in_dtype)).astype(operator.in_dtype)
    image = _product(operator, "A x", operator, x, operator.out_shape)
    y = _random(second, operator.out_shape, image.dtype)
    y = _unit(_unit(image) + _unit(y)).astype(image.dtype)
    back = _product(operator, "A* y", operator.adjoint, y, operator.in_shape)
    size = jnp.maximum(numerics.safe_norm(_wide(image)), numerics.safe_norm(_wide(back)))
    size = size.astype(real)
    # one factor after the other: the products of large numbers are never formed
    left = jnp.real(numerics.inner(_wide(y), _over(image, size)))
    right = jnp.real(numerics.inner(_over(back, size), _wide(x)))
    mismatch = float(jnp.abs(left - right))
    return mismatch if math.isfinite(mismatch) and bool(jnp.isfinite(size)) else math.inf


def _product(operator: Any, argument: str, product: Any, v: Array, shape: Any) -> Array:
    result = jnp.asarray(product(v))
    hint = f"That is what {name_of(operator)} says its shape is."
    checks.shape_is(_WHERE, argument, result, shape, hint)
    return result


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _over(x: Array, size: Array) -> Array:
    return numerics.safe_divide(_wide(x), size)


def _unit(x: Array) -> Array:
    return _over(x, numerics.safe_norm(_wide(x)))


def _random(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    return jax.random.normal(key, shape, jnp.promote_types(dtype, jnp.float32))
