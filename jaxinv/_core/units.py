"""Units of a problem: powers of two by which the loops divide, so that no square overflows.

A solver sees the unknown and the measurements divided by powers of two, which is exact. Each of
its numbers has a unit, by which it is divided as well: a penalty λ of λ‖u‖₁ is a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics


class Unit(NamedTuple):
    """A product of powers: of the unit of the unknown, and of that of the measurements."""

    unknown: int
    data: int


NONE = Unit(0, 0)
UNKNOWN = Unit(1, 0)
DATA = Unit(0, 1)
LOSS = Unit(0, 2)
GRADIENT = Unit(-1, 2)  # of the loss in the unknown; so is the weight of an ℓ1 norm
STEP = Unit(2, -2)  # what takes a gradient to a change of the unknown


def table(**names: Unit | None) -> Mapping[str, Unit | None]:
    """Return the units of fields by name, as a class declares them."""
    return MappingProxyType(names)


class Scale(NamedTuple):
    """The units of one problem: powers of two, real scalars > 0."""

    unknown: Array
    data: Array


def to_units(value: Any, unit: Unit, scale: Scale) -> Any:
    """Divide every floating array of ``value`` by its unit; None and integers stay."""
    inverse = Unit(-unit.unknown, -unit.data)

    def divided(held: Array) -> Array:
        if held.ndim or jnp.iscomplexobj(held):
            return _multiplied(held, inverse, scale)
        # a setting such as a penalty may be subnormal, which processors read as 0
        tiny, raised = _raised(held)
        lifted = _multiplied(jnp.where(tiny, raised, held), inverse, scale)
        return jnp.where(tiny, lifted / _LIFT, lifted)

    return _mapped(divided, value, unit)


def from_units(value: Any, unit: Unit, scale: Scale) -> Any:
    """Multiply every floating array of ``value`` by its unit."""
    return _mapped(lambda held: _multiplied(held, unit, scale), value, unit)


def _mapped(function: Callable[[Array], Array], value: Any, unit: Unit) -> Any:
    def one(leaf: Any) -> Any:
        held = jnp.asarray(leaf)
        inexact = unit != NONE and jnp.issubdtype(held.dtype, jnp.inexact)
        return function(held) if inexact else leaf

    return jax.tree.map(one, value)


def _multiplied(held: Array, unit: Unit, scale: Scale) -> Array:
    """Multiply by the powers one after the other: their product alone may not be representable."""
    real = numerics.real_dtype(held.dtype)
    for turn in range(2):  # no unit has a power above two
        for size, power in ((scale.data, unit.data), (scale.unknown, unit.unknown)):
            if abs(power) > turn:
                factor = size.astype(real)
                held = held * factor if power > 0 else held / factor
    return held


_LIFT = 2.0**24  # lifts the smallest subnormal number of a type to a normal one


def _raised(x: Array) -> tuple[Array, Array]:
    """Return whether a real number is subnormal, and that number times ``_LIFT`` from its bits."""
    kind = jnp.finfo(x.dtype)
    unsigned = jnp.dtype(f"uint{kind.bits}")
    bits = lax.bitcast_convert_type(x, unsigned)
    mantissa = bits & jnp.asarray(2**kind.nmant - 1, unsigned)
    tiny = (numerics.power_of_two(x) == 0) & (mantissa != 0)
    negative = (bits >> (kind.bits - 1)) > 0
    size = mantissa.astype(x.dtype) * jnp.asarray(
        _LIFT * 2.0 ** int(kind.minexp - kind.nmant), x.dtype
    )
    return tiny, jnp.where(negative, -size, size)
