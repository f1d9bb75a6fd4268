"""Numbers that scale an operator."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics


def scalar(where: str, value: Any) -> Array:
    """Return a number as a floating or complex array that holds it."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
        hint = "Compose operators with @; weight entries with operators.mask."
        checks.fail_type(where, "c", "be a scalar", value, hint)
    if isinstance(value, numbers.Real):  # an integer of any length
        try:
            value = float(value)
        except OverflowError:
            checks.fail(where, "c", "be a finite number", value)
    result = checks.array(where, "c", value)
    checks.finite(where, "c", result)
    return result


def scaled(factor: Array, value: Array) -> Array:
    """Multiply in the type of ``value``: a scalar gives its kind but never its width."""
    kind = complex if jnp.iscomplexobj(factor) else float
    result = jnp.result_type(value, kind)
    wide = jnp.promote_types(result, jnp.float32)  # half precision cannot hold every factor
    own = wide if jnp.iscomplexobj(factor) else numerics.real_dtype(wide)
    return (factor.astype(own) * value.astype(wide)).astype(result)
