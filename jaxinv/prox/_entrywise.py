"""Proximal operators that treat each entry by itself: soft, hard, box."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.prox._base import Prox, penalty_weight, require_fit, scaled_penalty


@pytree
class Soft(Prox):
    """See ``soft``."""

    penalty: Any

    units = units.table(penalty=units.GRADIENT)

    def _apply(self, v: Array, step_size: Any) -> Array:
        return numerics.soft_threshold(v, scaled_penalty("soft", self.penalty, step_size, v))

    def value(self, w: Any) -> Array:
        w = checks.array("soft", "w", w)
        return jnp.sum(scaled_penalty("soft", self.penalty, 1.0, w) * numerics.magnitude(w))


def soft(penalty: Any) -> Soft:
    r"""Make the soft threshold, the proximal operator of a (weighted) ℓ1 norm.

    .. math::
        R(w) = \sum_i \lambda_i |w_i|, \qquad
        \mathrm{prox}(v)_i = \frac{v_i}{|v_i|} \max(|v_i| - \eta \lambda_i, 0)

    Complex entries keep their phase.

    Args:
        penalty: λ >= 0, a scalar, or an array that broadcasts to the shape of ``v``: one weight
            per coefficient (0 leaves a coefficient free).

    Returns:
        A ``Prox`` whose leaf is the penalty.

    Raises:
        ValueError: a negative or non-finite penalty; at the call, a shape that does not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> soft(1.0)(jnp.array([3.0, -0.5, -2.0]), 0.5)
        Array([ 2.5, -0. , -1.5], dtype=float32)

    Source: Donoho, Johnstone (1994); Daubechies, Defrise, De Mol (2004).
    """
    return Soft(penalty_weight("soft", penalty))


@pytree
class Hard(Prox):
    """See ``hard``."""

    penalty: Any

    units = units.table(penalty=units.LOSS)

    def _apply(self, v: Array, step_size: Any) -> Array:
        squared = 2 * scaled_penalty("hard", self.penalty, step_size, v)
        return jnp.where(numerics.magnitude(v) > jnp.sqrt(squared), v, 0)

    def value(self, w: Any) -> Array:
        w = checks.array("hard", "w", w)
        return jnp.sum(jnp.where(w != 0, scaled_penalty("hard", self.penalty, 1.0, w), 0))


def hard(penalty: Any) -> Hard:
    r"""Make the hard threshold, the proximal operator of the number of nonzero entries.

    .. math::
        R(w) = \lambda \|w\|_0, \qquad
        \mathrm{prox}(v)_i = v_i \text{ if } |v_i| > \sqrt{2 \eta \lambda} \text{ else } 0

    With it ``ista`` is iterative hard thresholding. R is not convex: solvers find a local
    minimum that depends on the start.

    Args:
        penalty: λ >= 0, a scalar, or an array that broadcasts to the shape of ``v``.

    Returns:
        A ``Prox`` whose leaf is the penalty.

    Raises:
        ValueError: a negative or non-finite penalty.

    Example:
        >>> import jax.numpy as jnp
        >>> hard(0.5)(jnp.array([3.0, 0.5, -2.0]))
        Array([ 3.,  0., -2.], dtype=float32)

    Source: Blumensath, Davies (2008).
    """
    return Hard(penalty_weight("hard", penalty))


@pytree
class Box(Prox):
    """See ``box``."""

    low: Any
    high: Any

    units = units.table(low=units.UNKNOWN, high=units.UNKNOWN)

    def _apply(self, v: Array, step_size: Any) -> Array:
        if jnp.iscomplexobj(v):
            checks.fail("box", "v", "be real", v)
        for bound, clip in ((self.low, jnp.maximum), (self.high, jnp.minimum)):
            if bound is not None:
                require_fit("box", "bounds", bound, v)
                v = clip(v, jnp.asarray(bound).astype(v.dtype))
        return v

    def value(self, w: Any) -> Array:
        w = checks.array("box", "w", w)
        return jnp.zeros((), numerics.real_dtype(w.dtype))


def box(low: Any = 0.0, high: Any = None) -> Box:
    r"""Make the projection onto a box, such as the nonnegative numbers.

    .. math:: \mathrm{prox}(v)_i = \min(\max(v_i, l), h)

    Args:
        low: l, scalar or array, or None for no lower bound.
        high: h >= l, scalar or array, or None for no upper bound.

    Returns:
        A ``Prox``. Its value is 0 everywhere, also outside the box: iterates are inside from
        the first step on.

    Raises:
        ValueError: bounds that are not finite or cross.

    Example:
        >>> import jax.numpy as jnp
        >>> box(0.0, 1.0)(jnp.array([-1.0, 0.5, 2.0]))
        Array([0. , 0.5, 1. ], dtype=float32)
    """
    low = None if low is None else checks.scalar("box", "low", low)
    high = None if high is None else checks.scalar("box", "high", high)
    both = low is not None and high is not None
    if both and checks.is_concrete((low, high)) and np.any(np.asarray(low) > np.asarray(high)):
        checks.fail("box", "high", f"be >= low = {checks.show(low)}", high)
    return Box(low, high)
