"""The contract of shrinkage functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, pytree, units
from jaxinv._core.units import Scale


class Shrinkage:
    """An entrywise estimator η of x from v = x + noise_std · N(0, 1).

    A subclass gives ``_apply(v, noise_std)`` on arrays of one type, and ``_derivative`` where
    it knows the derivative better than forward-mode differentiation does.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> eta, v = ji.shrinkage.soft(1.5), jnp.array([5.0, 1.0])
        >>> eta(v, 2.0).tolist(), eta.derivative(v, 2.0).tolist()
        ([2.0, 0.0], [1.0, 0.0])
    """

    def __call__(self, v: Num[ArrayLike, "*shape"], noise_std: Any) -> Float[Array, "*shape"]:
        """Return η(v, noise_std), in the shape and type of ``v``."""
        return self._apply(*self._arguments(v, noise_std))

    def derivative(self, v: Num[ArrayLike, "*shape"], noise_std: Any) -> Float[Array, "*shape"]:
        """Return ∂η(v, noise_std)/∂v entry by entry, in the shape and type of ``v``."""
        return self._derivative(*self._arguments(v, noise_std))

    def to_units(self, scale: Scale) -> Shrinkage:
        """Return the same estimator of an unknown that is divided by its unit."""
        return InUnits(self, scale)

    def _arguments(self, v: Any, noise_std: Any) -> tuple[Array, Array]:
        where = type(self).__name__
        v = checks.array(where, "v", v)
        if jnp.iscomplexobj(v):
            checks.fail(where, "v", "be real", v)
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
        return v, jnp.asarray(noise_std).astype(v.dtype)

    def _apply(self, v: Array, noise_std: Array) -> Array:
        raise NotImplementedError

    def _derivative(self, v: Array, noise_std: Array) -> Array:
        return jax.jvp(lambda v: self._apply(v, noise_std), (v,), (jnp.ones_like(v),))[1]


@pytree
class InUnits(Shrinkage):
    """An estimator called with what the caller would have given it."""

    shrinkage: Shrinkage
    scale: Scale

    def _apply(self, v: Array, noise_std: Array) -> Array:
        estimate = self.shrinkage._apply(*self._own(v, noise_std))
        return units.to_units(estimate, units.UNKNOWN, self.scale)

    def _derivative(self, v: Array, noise_std: Array) -> Array:
        return self.shrinkage._derivative(*self._own(v, noise_std))

    def _own(self, v: Array, noise_std: Array) -> tuple[Array, Array]:
        return units.from_units((v, noise_std), units.UNKNOWN, self.scale)


def parameter(value: Any, v: Array) -> Array:
    """Return a leaf in the type of ``v``."""
    return jnp.asarray(value).astype(v.dtype)
