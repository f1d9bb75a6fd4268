"""The contract of proximal operators, and what several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv._core.units import Scale, Unit


class Prox:
    """A penalty R with its proximal operator.

    A subclass gives ``_apply(v, step_size)`` and ``value(w)``. One that iterates inside also
    gives ``start(v)``, its first memory, and ``warm(v, step_size, memory)``: solvers keep the
    memory between their steps, so that each inner iteration starts where the last one ended.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> prox, v = ji.prox.soft(2.0), jnp.array([5.0, -1.0])
        >>> prox(v, 0.5).tolist(), float(prox.value(v))
        ([4.0, -0.0], 12.0)
    """

    units: ClassVar[Mapping[str, Unit | None] | None] = None
    """Units of the fields, by name, where dividing these divides R; None: not known."""

    def to_units(self, scale: Scale) -> Prox:
        """Return the same penalty of an unknown that is divided by its unit."""
        if self.units is None:
            return InUnits(self, scale)
        divided = {
            name: units.to_units(getattr(self, name), unit, scale)
            for name, unit in self.units.items()
            if unit is not None
        }
        return replace(self, **divided)

    def __call__(
        self, v: Num[ArrayLike, "*shape"], step_size: Any = 1.0
    ) -> Inexact[Array, "*shape"]:
        """Return the minimizer over w of ½‖w − v‖² + step_size R(w), in the type of ``v``."""
        where = type(self).__name__
        v = checks.array(where, "v", v)
        step_size = checks.nonnegative(where, "step_size", step_size)
        return self.warm(v, step_size, self.start(v))[0]

    def value(self, w: Num[ArrayLike, "*shape"]) -> Float[Array, ""]:
        """Return R(w), a real scalar."""
        raise NotImplementedError

    def check(self, where: str, problem: Any, u0: Any) -> None:
        """Refuse a problem and a start that the penalty is not for."""

    def start(self, v: Inexact[Array, "*shape"]) -> Any:
        """Return the memory before the first call; empty for closed forms."""
        return ()

    def warm(
        self, v: Inexact[Array, "*shape"], step_size: Any, memory: Any
    ) -> tuple[Inexact[Array, "*shape"], Any]:
        """Return the minimizer, and the memory for the next call."""
        return self._apply(v, step_size), memory

    def _apply(self, v: Array, step_size: Any) -> Array:
        raise NotImplementedError


@pytree
class InUnits(Prox):
    """A penalty whose own units are not known: called with what the caller would have given."""

    prox: Prox
    scale: Scale

    def value(self, w: Any) -> Array:
        value = self.prox.value(units.from_units(w, units.UNKNOWN, self.scale))
        return units.to_units(value, units.LOSS, self.scale)

    def start(self, v: Array) -> Any:
        return self.prox.start(units.from_units(v, units.UNKNOWN, self.scale))

    def warm(self, v: Array, step_size: Any, memory: Any) -> tuple[Array, Any]:
        v = units.from_units(v, units.UNKNOWN, self.scale)
        step_size = units.from_units(step_size, units.STEP, self.scale)
        w, memory = self.prox.warm(v, step_size, memory)
        return units.to_units(w, units.UNKNOWN, self.scale), memory


def scaled_penalty(where: str, penalty: Any, step_size: Any, v: Array) -> Array:
    """Return ``step_size * penalty`` in the real type of ``v``."""
    real = numerics.real_dtype(v.dtype)
    penalty = jnp.asarray(penalty)
    require_fit(where, "penalty", penalty, v)
    return penalty.astype(real) * jnp.asarray(step_size).astype(real)


def require_fit(where: str, name: str, held: Any, v: Array) -> None:
    """Require that an array of the penalty's broadcasts to ``v``."""
    shape = tuple(jnp.shape(held))
    if shape and not _fits(shape, v.shape):
        checks.fail(where, "v", f"have the shape {shape} of the {name}", v)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to ``target``."""
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(a in (1, b) for a, b in pairs)


def penalty_weight(where: str, penalty: Any) -> Any:
    """Return a weight >= 0: a float, a tracer, or an array of weights."""
    weight = checks.nonnegative(where, "penalty", penalty)
    return checks.array(where, "penalty", weight) if getattr(weight, "ndim", 0) else weight
