"""The contract of misfits: value, gradient and curvature in the prediction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Inexact

from jaxinv._core import checks, numerics, replace, units
from jaxinv._core.units import Scale, Unit


class Misfit:
    """How a prediction is held against measurements: a real number, as a frozen pytree.

    A subclass gives ``_value(prediction, y)`` and ``_weights(prediction, y)``, the diagonal of
    its curvature; the gradient comes by differentiation unless it gives ``gradient``. Values have
    the unit of ½‖y‖²: a factor that is in the unit of y may be needed, and is then a field.
    See ``huber`` for one in use.
    """

    units: ClassVar[Mapping[str, Unit | None]] = {}
    """Units of the fields, by name; those not named have none."""

    takes_complex: ClassVar[bool] = True
    """Whether measurements may be complex."""

    smoothness: Any = None
    """The largest curvature, as a proximal-gradient step needs it; None where there is none."""

    @property
    def name(self) -> str:
        """The name of the constructor, for messages."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def label(self) -> str:
        """What the user wrote, for messages."""
        return f"misfits.{self.name}"

    def __call__(self, prediction: Any, y: Any) -> Float[Array, ""]:
        """Return the misfit of a prediction, a real scalar."""
        prediction = checks.array(self.name, "prediction", prediction)
        y = checks.array(self.name, "y", y)
        checks.shape_is(self.name, "prediction", prediction, y.shape)
        self.check(self.name, "y", y)
        return self._value(prediction, y)

    def gradient(self, prediction: Inexact[Array, "*shape"], y: Any) -> Inexact[Array, "*shape"]:
        """Return the gradient in the prediction; of complex ones the direction of ascent."""
        return jnp.conj(jax.grad(self._value)(prediction, y))

    def curvature(
        self, prediction: Inexact[Array, "*shape"], y: Any, direction: Inexact[Array, "*shape"]
    ) -> Inexact[Array, "*shape"]:
        """Return the product of a direction with the curvature, which is symmetric and >= 0."""
        weights = self._weights(prediction, y)
        return weights.astype(numerics.real_dtype(direction.dtype)) * direction

    def check(self, where: str, argument: str, y: Any) -> None:
        """Refuse measurements outside the domain, as far as they can be looked at."""
        is_complex = any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(y))
        if is_complex and not self.takes_complex:
            hint = "misfits.squared, huber and absolute take complex ones."
            checks.fail(where, argument, f"be real for {self.label}", y, hint)
        if checks.is_concrete((self, y)):
            with jax.ensure_compile_time_eval():
                if not bool(self.in_domain(y)):
                    got = f"entries from {float(jnp.min(y)):g} to {float(jnp.max(y)):g}"
                    checks.fail(where, argument, f"{self.domain} for {self.label}", got)

    domain: ClassVar[str] = "be finite"
    """What ``in_domain`` asks for, in words."""

    def in_domain(self, y: Any) -> Bool[Array, ""]:
        """Return whether measurements can be held against anything."""
        return jnp.ones((), bool)

    def size(self, prediction: Inexact[Array, "*shape"], y: Any) -> Float[Array, ""]:
        """Return a size of the measurements in their unit: ‖y‖ for squares; 1 where that is 0.

        The square root of twice the misfit of a prediction of 0.
        """
        value = self._value(jnp.zeros_like(prediction), y)
        return jnp.where(value > 0, numerics.safe_sqrt(2 * value), 1)

    def typical_gradient(
        self, prediction: Inexact[Array, "*shape"], y: Any
    ) -> Inexact[Array, "*shape"]:
        """Return a gradient that the measurements alone make: of squares −y, at 0."""
        return self.gradient(jnp.zeros_like(prediction), y)

    def to_units(self, scale: Scale) -> Misfit:
        """Return the misfit of data divided by their unit: values are divided by its square."""
        divided = {
            name: units.to_units(getattr(self, name), unit, scale)
            for name, unit in self.units.items()
            if unit is not None
        }
        return replace(self, **divided) if divided else self

    def _value(self, prediction: Array, y: Any) -> Array:
        raise NotImplementedError

    def _weights(self, prediction: Array, y: Array) -> Array:
        raise NotImplementedError


def number(value: Any, like: Array) -> Array:
    """Return a setting in the real type of an array."""
    return jnp.asarray(value).astype(numerics.real_dtype(like.dtype))
