"""The group soft threshold."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv.prox._base import Prox, penalty_weight, scaled_penalty


@pytree
class Group(Prox):
    """See ``group``."""

    penalty: Any
    axis: int | tuple[int, ...] = static(default=-1)

    units = units.table(penalty=units.GRADIENT)

    def _sizes(self, v: Array) -> Array:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        if any(not -v.ndim <= axis < v.ndim for axis in axes):
            checks.fail("group", "v", f"have the axis (axes) {self.axis}", v)
        return numerics.safe_norm(v, self.axis)

    def _apply(self, v: Array, step_size: Any) -> Array:
        sizes = self._sizes(v)
        threshold = scaled_penalty("group", self.penalty, step_size, sizes).astype(sizes.dtype)
        return v * numerics.safe_divide(jax.nn.relu(sizes - threshold), sizes)

    def value(self, w: Any) -> Array:
        w = checks.array("group", "w", w)
        sizes = self._sizes(w)
        return jnp.sum(scaled_penalty("group", self.penalty, 1.0, sizes) * sizes)


def group(penalty: Any, axis: int | tuple[int, ...] = -1) -> Group:
    r"""Make the group soft threshold: whole groups of entries are kept or set to zero.

    .. math::
        R(w) = \lambda \sum_g \|w_g\|_2, \qquad
        \mathrm{prox}(v)_g = \max(1 - \eta \lambda / \|v_g\|, 0)\, v_g

    Args:
        penalty: λ >= 0, scalar, or an array that broadcasts to the shape of ``v`` with the
            group's axes of length 1.
        axis: the axis, or axes, along which the entries of one group lie.

    Returns:
        A ``Prox`` whose leaf is the penalty.

    Raises:
        ValueError: a negative or non-finite penalty.

    Example:
        >>> import jax.numpy as jnp
        >>> group(1.0)(jnp.array([[3.0, 4.0], [0.3, 0.4]]))
        Array([[2.4, 3.2],
               [0. , 0. ]], dtype=float32)

    Source: Yuan, Lin (2006).
    """
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(isinstance(entry, int) and not isinstance(entry, bool) for entry in axes):
        checks.fail_type("group", "axis", "be an int or a tuple of ints", axis)
    return Group(penalty_weight("group", penalty), axis)
