"""A prior replaced by its tangent: an affine map of the parameters, and its kernel as products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Inexact, Num

from jaxinv._core import checks, numerics, pytree, replace
from jaxinv._core.checks import as_function
from jaxinv._core.typed import PyTree
from jaxinv.operators._require import fail_function


@pytree
class Linearized:
    """The affine map ``params -> value + J (params - point)``; see ``linearize``."""

    prior: Any
    point: Any
    value: Array

    @property
    def in_shape(self) -> None:
        """The unknown is a tree of parameters, not one array."""
        return None

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return self.value.shape

    @property
    def zero_is_fixed(self) -> bool:
        """An affine map has no such point: descent leaves zero."""
        return False

    @property
    def params(self) -> Any:
        """The point of expansion, where descent starts."""
        return self.point

    @property
    def num_parameters(self) -> int:
        """Number of trainable real numbers."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.point))

    def init(self, key: Any) -> Any:
        """Return the point of expansion, whatever the key: elsewhere the tangent means little."""
        checks.key("Linearized.init", key)
        return self.point

    def draw(self, key: Any) -> Linearized:
        """Return the tangent of a new draw of the prior, at its own parameters."""
        prior = self.prior.draw(key)
        return linearize(prior, prior.params)

    def jvp(self, tangent: PyTree) -> Inexact[Array, "*signal"]:
        """Return J v for a tree ``tangent`` of the structure of the parameters."""
        return _jvp(self, tangent)

    def vjp(self, cotangent: Num[ArrayLike, "*signal"]) -> PyTree:
        """Return the tree Jᵀ x (Re Jᴴ x for complex signals), ``cotangent`` of shape x."""
        return _vjp(self, jnp.asarray(cotangent, self.value.dtype))

    def kernel_product(self, v: Num[ArrayLike, "*signal"]) -> Inexact[Array, "*signal"]:
        """Return J Jᵀ v for ``v`` of the shape of x, without forming J.

        Cost: one backward and one forward pass.
        """
        return self.jvp(self.vjp(v))

    def __call__(self, params: PyTree) -> Inexact[Array, "*signal"]:
        """Return the signal of the affine map."""
        return _affine(self, params)


# One program each outside ``jit``, and part of the caller's inside it.
@functools.partial(jax.jit, inline=True)
def _jvp(tangent: Linearized, direction: Any) -> Array:
    return jax.jvp(tangent.prior, (tangent.point,), (direction,))[1]


@functools.partial(jax.jit, inline=True)
def _vjp(tangent: Linearized, cotangent: Array) -> Any:
    _, pull = jax.vjp(tangent.prior, tangent.point)
    return pull(jnp.conj(cotangent))[0]


@functools.partial(jax.jit, inline=True)
def _affine(tangent: Linearized, params: Any) -> Array:
    return tangent.value + _jvp(tangent, jax.tree.map(jnp.subtract, params, tangent.point))


@functools.partial(jax.jit, inline=True)
def _value(prior: Any, params: Any) -> Array:
    return prior(params)


def linearize(prior: Callable[[Any], Array], params: PyTree | None = None) -> Linearized:
    r"""Replace a prior by its tangent at ``params``.

    .. math:: \bar G(\theta) = G(\theta_0) + J (\theta - \theta_0), \qquad
        J = \partial G(\theta_0) / \partial \theta

    The result is a prior itself: ``Problem(operator, y, linearize(prior))`` is a linear least
    squares problem, whose gradient descent is that of the neural tangent kernel J Jᵀ.

    Args:
        prior: any map from a tree of real parameters to an array. A pytree keeps its arrays as
            leaves; for a function of further arrays use ``jax.tree_util.Partial``.
        params: θ_0; default ``prior.params``.

    Returns:
        ``Linearized`` with ``value`` = G(θ_0), ``jvp(tangent)``, ``vjp(cotangent)`` and
        ``kernel_product(v)``; ``params`` and ``init`` give θ_0.

    Raises:
        TypeError: ``prior`` cannot be called, or no ``params`` where it has none of its own.

    Cost: one forward pass; ``jvp``, ``vjp`` and the call about one pass each.

    Example:
        >>> import jax.numpy as jnp
        >>> tangent = linearize(jnp.square, jnp.array([3.0]))
        >>> tangent(jnp.array([4.0])).tolist(), tangent.kernel_product(jnp.ones(1)).tolist()
        ([15.0], [36.0])

    Source: Jacot, Gabriel, Hongler (2018); Heckel, Soltanolkotabi (2020), equation (15).
    """
    return tangent_of("linearize", prior, params)


def tangent_of(
    where: str, prior: Callable[[Any], Array], params: Any, *, name: str = "prior"
) -> Linearized:
    """Linearize for the function ``where``, whose argument ``name`` the prior is."""
    prior = as_function(where, name, prior, "params -> x")
    if params is None:
        params = getattr(prior, "params", None)
        if params is None:
            checks.fail_type(where, "params", "be given: the prior has none", params)
    params = checks.arrays(where, "params", params)
    checks.finite(where, "params", params)
    # custom gradients of some networks have no forward mode; ``plain`` is equal without them
    prior = prior.plain() if hasattr(prior, "plain") else prior  # pyright: ignore
    return Linearized(prior, params, _evaluated(where, name, prior, params))


def _evaluated(where: str, name: str, prior: Any, params: Any) -> Array:
    """Return G(θ_0); say which argument is wrong where that fails or is no array."""
    try:
        shape = jax.eval_shape(prior, params)
    except (TypeError, ValueError) as error:
        fail_function(where, name, "params of these shapes", error)
    if not isinstance(shape, jax.ShapeDtypeStruct):
        checks.fail_type(where, name, "return one array", shape)
    return _value(prior, params)


def real_outputs(x: Array) -> Array:
    """Return a signal as one real vector: flat, real parts before imaginary ones."""
    flat = x.reshape(-1)
    if not jnp.iscomplexobj(flat):
        return flat
    return jnp.concatenate([jnp.real(flat), jnp.imag(flat)])


def from_real_outputs(v: Array, like: Array) -> Array:
    """Return the signal, of the shape of ``like``, that ``real_outputs`` made ``v`` of."""
    if jnp.iscomplexobj(like):
        real, imag = jnp.split(v, 2)
        v = jax.lax.complex(real, imag)
    return v.reshape(like.shape)


def num_real_outputs(x: Array) -> int:
    """Return the length of ``real_outputs(x)``."""
    return x.size * (2 if jnp.iscomplexobj(x) else 1)


def real_product(tangent: Linearized, v: Array) -> Array:
    """Return the kernel times a real vector of outputs."""
    return real_outputs(tangent.kernel_product(from_real_outputs(v, tangent.value)))


def output_basis(value: Array) -> Array:
    """Return the unit vectors of the real outputs."""
    size = num_real_outputs(value)
    return jnp.eye(size, dtype=numerics.real_dtype(value.dtype))


def at(tangent: Linearized, params: Any) -> Linearized:
    """Return the tangent of the same prior at another point."""
    return replace(tangent, point=params, value=tangent.prior(params))
