r"""Proximal operators: pytrees that solvers such as ``ista`` and ``fista`` call between steps.

For a penalty R each is an object with

.. math::
    \mathtt{prox(v, step\_size)} = \arg\min_w \; \tfrac12 \|w - v\|^2 + \eta\, R(w), \qquad
    \mathtt{prox.value(w)} = R(w)

where η is the step size. Weights of the penalty are leaves, so they can be batched by ``vmap``,
differentiated and trained; everything is jittable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import Partial

from jaxinv._core import checks, numerics, pytree, static

Array = jax.Array

__all__ = ["Prox", "box", "from_function", "group", "hard", "soft", "tv"]


class Prox:
    """A penalty R with its proximal operator.

    A subclass gives ``_apply(v, step_size)`` and ``value(w)``. One that iterates inside also
    gives ``start(v)``, its first memory, and ``warm(v, step_size, memory)``: solvers keep the
    memory between their steps, so that each inner iteration starts where the last one ended.
    """

    def __call__(self, v: Any, step_size: Any = 1.0) -> Array:
        """Return the minimizer over w of ½‖w − v‖² + step_size R(w), in the type of ``v``."""
        where = type(self).__name__
        v = checks.array(where, "v", v)
        step_size = checks.nonnegative(where, "step_size", step_size)
        return self.warm(v, step_size, self.start(v))[0]

    def value(self, w: Any) -> Array:
        """Return R(w), a real scalar."""
        raise NotImplementedError

    def start(self, v: Array) -> Any:
        """Return the memory before the first call; empty for closed forms."""
        return ()

    def warm(self, v: Array, step_size: Any, memory: Any) -> tuple[Array, Any]:
        """Return the minimizer, and the memory for the next call."""
        return self._apply(v, step_size), memory

    def _apply(self, v: Array, step_size: Any) -> Array:
        raise NotImplementedError


def _threshold(where: str, penalty: Any, step_size: Any, v: Array) -> Array:
    """Return ``step_size * penalty`` in the real type of ``v``."""
    real = numerics.real_dtype(v.dtype)
    penalty = jnp.asarray(penalty)
    if penalty.ndim and not _fits(penalty.shape, v.shape):
        checks.fail(where, "v", f"have the shape {penalty.shape} of the penalty", v)
    return penalty.astype(real) * jnp.asarray(step_size).astype(real)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to ``target``."""
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(a in (1, b) for a, b in pairs)


def _magnitude(v: Array) -> Array:
    """Return |v|, with derivative 0 at 0 also for complex ``v``."""
    if not jnp.iscomplexobj(v):
        return jnp.abs(v)
    return _root(jnp.real(v * jnp.conj(v)))


def _root(squares: Array) -> Array:
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def _penalty(where: str, penalty: Any) -> Any:
    """Return a weight >= 0: a float, a tracer, or an array of weights."""
    if not jnp.ndim(penalty):
        return checks.nonnegative(where, "penalty", penalty)
    checks.nonnegative(where, "penalty", penalty)
    return checks.array(where, "penalty", penalty)


@pytree
class Soft(Prox):
    """See ``soft``."""

    penalty: Any

    def _apply(self, v: Array, step_size: Any) -> Array:
        threshold = _threshold("soft", self.penalty, step_size, v)
        size = _magnitude(v)
        shrunk = jax.nn.relu(size - threshold)
        if jnp.iscomplexobj(v):
            return v * numerics.safe_divide(shrunk, size)
        return jnp.sign(v) * shrunk

    def value(self, w: Any) -> Array:
        return jnp.sum(_threshold("soft", self.penalty, 1.0, w) * _magnitude(w))


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
    return Soft(_penalty("soft", penalty))


@pytree
class Hard(Prox):
    """See ``hard``."""

    penalty: Any

    def _apply(self, v: Array, step_size: Any) -> Array:
        squared = 2 * _threshold("hard", self.penalty, step_size, v)
        return jnp.where(jnp.real(v * jnp.conj(v)) > squared, v, 0)

    def value(self, w: Any) -> Array:
        return jnp.sum(jnp.where(w != 0, _threshold("hard", self.penalty, 1.0, w), 0))


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
    return Hard(_penalty("hard", penalty))


@pytree
class Box(Prox):
    """See ``box``."""

    low: Any
    high: Any

    def _apply(self, v: Array, step_size: Any) -> Array:
        if jnp.iscomplexobj(v):
            checks.fail("box", "v", "be real", v)
        for bound, clip in ((self.low, jnp.maximum), (self.high, jnp.minimum)):
            if bound is not None:
                v = clip(v, jnp.asarray(bound).astype(v.dtype))
        return v

    def value(self, w: Any) -> Array:
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


@pytree
class Group(Prox):
    """See ``group``."""

    penalty: Any
    axis: int | tuple[int, ...] = static(default=-1)

    def _sizes(self, v: Array) -> Array:
        return _root(jnp.sum(jnp.real(v * jnp.conj(v)), axis=self.axis, keepdims=True))

    def _apply(self, v: Array, step_size: Any) -> Array:
        sizes = self._sizes(v)
        threshold = _threshold("group", self.penalty, step_size, sizes).astype(sizes.dtype)
        return v * numerics.safe_divide(jax.nn.relu(sizes - threshold), sizes)

    def value(self, w: Any) -> Array:
        sizes = self._sizes(w)
        return jnp.sum(_threshold("group", self.penalty, 1.0, sizes) * sizes)


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
    return Group(_penalty("group", penalty), axis)


@pytree
class TotalVariation(Prox):
    """See ``tv``."""

    penalty: Any
    isotropic: bool = static(default=True)
    num_steps: int = static(default=20)

    def value(self, w: Any) -> Array:
        penalty = jnp.asarray(self.penalty).astype(numerics.real_dtype(w.dtype))
        return penalty * jnp.sum(self._sizes(_differences(w)))

    def start(self, v: Array) -> Array:
        if v.ndim not in (1, 2):
            checks.fail("tv", "v", "have 1 or 2 dimensions", v, "Use jax.vmap for channels.")
        return jnp.zeros((v.ndim, *v.shape), v.dtype)

    def warm(self, v: Array, step_size: Any, memory: Array) -> tuple[Array, Array]:
        return _dual_steps(self, v, _threshold("tv", self.penalty, step_size, v), memory)

    def _sizes(self, slopes: Array) -> Array:
        """Return the size of the slope at each place: of the vector, or of each component."""
        squares = jnp.real(slopes * jnp.conj(slopes))
        if self.isotropic:
            squares = jnp.sum(squares, axis=0, keepdims=True)
        return _root(squares)

    def _project(self, dual: Array, radius: Array) -> Array:
        sizes = self._sizes(dual)
        return jnp.where(sizes > radius, dual * numerics.safe_divide(radius, sizes), dual)


@jax.jit
def _dual_steps(prox: TotalVariation, v: Array, radius: Array, dual: Array) -> tuple[Array, Array]:
    rate = 1 / (4 * v.ndim)  # 1/‖D‖²

    def body(carry: tuple[Array, Array, Array], _: None) -> tuple[Any, None]:
        dual, ahead, momentum = carry
        slopes = _differences(v - _divergence(ahead))
        following = prox._project(ahead + rate * slopes, radius)
        grown = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / grown * (following - dual)
        return (following, ahead, grown), None

    dual = prox._project(dual, radius)
    first = (dual, dual, jnp.ones((), radius.dtype))
    (dual, _, _), _ = lax.scan(body, first, None, length=prox.num_steps)
    return v - _divergence(dual), dual


def _differences(w: Array) -> Array:
    """Return forward differences along every axis, 0 at the far edge; shape (ndim, *w.shape)."""
    return jnp.stack([jnp.diff(w, axis=a, append=_edge(w, a, -1)) for a in range(w.ndim)])


def _divergence(dual: Array) -> Array:
    """Return the adjoint of ``_differences``."""
    total = jnp.zeros(dual.shape[1:], dual.dtype)
    for axis, part in enumerate(dual):
        inner = lax.slice_in_dim(part, 0, part.shape[axis] - 1, axis=axis)
        zero = jnp.zeros_like(_edge(part, axis, 0))
        total -= jnp.diff(inner, axis=axis, prepend=zero, append=zero)
    return total


def _edge(w: Array, axis: int, index: int) -> Array:
    return jnp.take(w, jnp.array([index]), axis=axis)


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
    return TotalVariation(penalty, bool(isotropic), checks.count("tv", "num_steps", num_steps))


@pytree
class FromFunction(Prox):
    """See ``from_function``."""

    apply: Partial
    penalty: Partial | None

    def _apply(self, v: Array, step_size: Any) -> Array:
        return self.apply(v, jnp.asarray(step_size).astype(numerics.real_dtype(v.dtype)))

    def value(self, w: Any) -> Array:
        real = numerics.real_dtype(w.dtype)
        return jnp.zeros((), real) if self.penalty is None else self.penalty(w).astype(real)


def from_function(
    apply: Callable[[Array, Array], Array], value: Callable[[Array], Array] | None = None
) -> FromFunction:
    """Wrap your own proximal operator, projection or denoiser.

    Args:
        apply: ``apply(v, step_size) -> w``, a module-level function, or a
            ``jax.tree_util.Partial`` of one, whose arrays stay leaves.
        value: ``value(w) -> scalar``, the penalty, which solvers add to the loss that they
            report; default 0, as for a projection.

    Returns:
        A ``Prox``.

    Raises:
        TypeError: not callable.

    Example:
        >>> import jax.numpy as jnp
        >>> def shrink(v, step_size):
        ...     return v / (1 + step_size)
        >>> from_function(shrink)(jnp.array([2.0, 4.0]), 1.0)
        Array([1., 2.], dtype=float32)
    """
    if not callable(apply):
        checks.fail_type("prox.from_function", "apply", "be a function apply(v, step_size)", apply)
    if value is not None and not callable(value):
        checks.fail_type("prox.from_function", "value", "be a function value(w)", value)
    return FromFunction(Partial(apply), None if value is None else Partial(value))
