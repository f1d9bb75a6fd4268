"""A denoiser in the place of a proximal operator: plug-and-play, and layers that learn it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv._core.checks import as_function
from jaxinv._core.typed import PyTree
from jaxinv.generators import Generator, from_flax
from jaxinv.prox._base import Prox


@pytree
class Denoiser(Prox):
    """See ``denoiser``; parameters of the network are leaves."""

    denoise: Any
    noise_std: Any
    network_shape: tuple[int, ...] | None = static(default=None)

    def value(self, w: Any) -> Array:
        w = checks.array("prox.denoiser", "w", w)
        return jnp.zeros((), numerics.real_dtype(w.dtype))

    def _apply(self, v: Array, step_size: Any) -> Array:
        given = v if self.network_shape is None else self._shaped(v)
        if self.noise_std is None:
            w = self.denoise(given)
        else:
            w = self.denoise(
                given, jnp.asarray(self.noise_std).astype(numerics.real_dtype(v.dtype))
            )
        if jnp.size(w) != v.size:
            hint = "shape=(h, w, 1) gives it the axis of channels that Flax convolutions want."
            checks.fail("prox.denoiser", "denoise", f"return the shape {v.shape} of v", w, hint)
        return jnp.reshape(w, v.shape)

    def _shaped(self, v: Array) -> Array:
        shape = self.network_shape
        assert shape is not None
        if math.prod(shape) != v.size:
            checks.fail("prox.denoiser", "v", f"have the size of the shape {shape}", v)
        return v.reshape(shape)


def denoiser(
    denoise: Callable[..., Array] | Any,
    params: PyTree = None,
    *,
    shape: Any = None,
    noise_std: Any = None,
) -> Denoiser:
    r"""Put a denoiser, such as your own Flax network, where solvers call a proximal operator.

    .. math:: u_{t+1} = D\bigl(u_t - \eta A^* (A u_t - y)\bigr)

    ``ista(step_size, prox=denoiser(D))`` is plug-and-play; ``Layers.repeat`` of it is a network
    whose ``prox`` ``unfolded.fit`` trains, one set of parameters a layer, or one for all with
    ``shared=("prox",)``. It need not be the proximal operator of anything, so that nothing says
    that iterations converge: run few, or train through them.

    Args:
        denoise: a linen module, with its ``params``; an nnx module; a ``generators.from_flax``;
            or a function ``denoise(v) -> w`` of one image, a ``jax.tree_util.Partial`` where it
            holds arrays.
        params: the variables of a linen module, as ``init`` returned them.
        shape: of what the network takes, where it is another than the image's: (h, w, 1), or
            (1, h, w, 1).
        noise_std: when given, a function is called as ``denoise(v, noise_std)``; it may be
            trained too.

    Returns:
        A ``Prox`` of value 0; the step size is not used.

    Raises:
        TypeError: what is no function and no Flax module.
        ValueError: a linen module without ``params``, or where it is used a result of another size.

    Cost: one call of the denoiser.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp, jaxinv as ji
        >>> net = nn.Conv(1, (3, 3))
        >>> params = net.init(jax.random.key(0), jnp.zeros((8, 8, 1)))
        >>> prox = denoiser(net, params, shape=(8, 8, 1))
        >>> layers = ji.Layers.repeat(ji.solvers.ista(1.0, prox=prox), 3, shared=("prox",))
        >>> mask = ji.operators.mask(jnp.eye(8) > 0)
        >>> ji.unfold(layers, ji.Problem(mask, jnp.eye(8))).shape
        (8, 8)

    Source: Venkatakrishnan, Bouman, Wohlberg (2013).
    """
    where = "prox.denoiser"
    network = None if shape is None else checks.shape(where, "shape", shape)
    if noise_std is not None:
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
    if _is_flax(denoise):
        denoise = from_flax(denoise, params)
    elif params is not None:
        hint = "Bind those of a function with jax.tree_util.Partial(function, params)."
        checks.fail(where, "params", "be None unless denoise is a linen module", params, hint)
    if isinstance(denoise, Generator):
        if noise_std is not None:
            checks.fail(where, "noise_std", "be None for a network", noise_std)
        return Denoiser(denoise, None, network)
    return Denoiser(as_function(where, "denoise", denoise, "denoise(v)"), noise_std, network)


def _is_flax(value: Any) -> bool:
    """Whether a value is a Flax module, linen or nnx; imports Flax for what may be one only."""
    if not any(base.__module__.startswith("flax.") for base in type(value).__mro__):
        return False
    from flax import linen, nnx

    return isinstance(value, linen.Module | nnx.Module)
