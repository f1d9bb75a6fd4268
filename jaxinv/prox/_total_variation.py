"""Total variation of signals and images, by its dual problem."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv.operators._differences import FiniteDifference
from jaxinv.prox._base import Prox, scaled_penalty


@pytree
class TotalVariation(Prox):
    """See ``tv``."""

    penalty: Any
    isotropic: bool = static(default=True)
    num_steps: int = static(default=20)

    units = units.table(penalty=units.GRADIENT)

    def value(self, w: Any) -> Array:
        w = checks.array("tv", "w", w)
        penalty = self._scalar().astype(numerics.real_dtype(w.dtype))
        return penalty * jnp.sum(self._sizes(FiniteDifference(w.shape)._apply(w)))

    def start(self, v: Array) -> Array:
        if v.ndim not in (1, 2):
            checks.fail("tv", "v", "have 1 or 2 dimensions", v, "Use jax.vmap for channels.")
        if not v.size:
            checks.fail("tv", "v", "have at least one entry", v)
        return jnp.zeros((v.ndim, *v.shape), v.dtype)

    def warm(self, v: Array, step_size: Any, memory: Array) -> tuple[Array, Array]:
        return _dual_steps(self, v, scaled_penalty("tv", self._scalar(), step_size, v), memory)

    def _scalar(self) -> Array:
        if jnp.ndim(self.penalty):
            hint = "For one value per trial use jax.vmap over the operator."
            checks.fail("tv", "penalty", "be a scalar", self.penalty, hint)
        return jnp.asarray(self.penalty)

    def _sizes(self, slopes: Array) -> Array:
        """Return the size of the slope at each place: of the vector, or of each component."""
        return numerics.safe_norm(slopes, 0) if self.isotropic else numerics.magnitude(slopes)

    def _project(self, dual: Array, radius: Array) -> Array:
        sizes = self._sizes(dual)
        return jnp.where(sizes > radius, dual * numerics.safe_divide(radius, sizes), dual)


@jax.jit
def _dual_steps(prox: TotalVariation, v: Array, radius: Array, dual: Array) -> tuple[Array, Array]:
    differences = FiniteDifference(v.shape)
    rate = 1 / (4 * v.ndim)  # 1/‖D‖²

    def body(carry: tuple[Array, Array, Array], _: None) -> tuple[Any, None]:
        dual, ahead, momentum = carry
        slopes = differences._apply(v - differences._adjoint(ahead))
        following = prox._project(ahead + rate * slopes, radius)
        grown = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / grown * (following - dual)
        return (following, ahead, grown), None

    dual = prox._project(dual, radius)
    first = (dual, dual, jnp.ones((), radius.dtype))
    (dual, _, _), _ = lax.scan(body, first, None, length=prox.num_steps)
    return v - differences._adjoint(dual), dual


def tv(penalty: Any, *, isotropic: bool = True, num_steps: int = 20) -> TotalVariation:
    r"""Make the proximal operator of total variation, for signals and images.

    .. math::
        R(w) = \lambda \sum_p \|(D w)_p\|_2 \;\text{ (isotropic)}, \qquad
        R(w) = \lambda \sum_p \|(D w)_p\|_1 \;\text{ (anisotropic)}

    D takes forward differences along each axis, none across the edge. The dual problem is
    solved by a fixed number of accelerated projected-gradient steps; ``ista`` and ``fista``
    start each call from the last dual point, and then few are enough.

    Args:
        penalty: λ >= 0, scalar.
        isotropic: size of the gradient vector, or of its components; the same in 1-D.
        num_steps: dual steps a call, >= 1. From a cold start 100 or more give four digits.

    Returns:
        A ``Prox`` for arrays of one or two dimensions, real or complex.

    Raises:
        ValueError: a negative penalty, no step; at the call, more than two dimensions.

    Cost: ``num_steps`` times two passes over the array; one dual array per dimension.

    Notes: the dual variable is scaled by ηλ, so that ηλ = 0 needs no division and a warm start
    only has to be projected.

    Example:
        >>> import jax.numpy as jnp
        >>> tv(0.5, num_steps=200)(jnp.array([0.0, 0.0, 2.0, 2.0])).round(3).tolist()[:2]
        [0.25, 0.25]

    Source: Chambolle (2004); fast gradient projection of Beck, Teboulle (2009), algorithm FGP.
    """
    penalty = checks.nonnegative("tv", "penalty", penalty)
    isotropic = checks.boolean("tv", "isotropic", isotropic)
    return TotalVariation(penalty, isotropic, checks.count("tv", "num_steps", num_steps))
