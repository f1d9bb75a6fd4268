"""The image priors that ``simulate`` offers by name, as proximal operators."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv import operators, prox
from jaxinv._core import pytree, static
from jaxinv.operators import LinearOperator
from jaxinv.operators._blocks import BlockTransform
from jaxinv.prox._entrywise import Soft

PRIORS = ("wavelet", "dct", "tv")
_WAVELET = "sym4"
_MOST_LEVELS = 5
_BLOCK = 8
_TV_STEPS = 5  # a step of the solver; each starts at the last dual point


@pytree
class CycleSpin(prox.Prox):
    r"""Soft threshold of transform coefficients, under another random shift at every call.

    .. math:: R(w) = \lambda \sum_i c_i\, |(W S w)_i|

    W is orthogonal and S a circular shift, so each call is exact. A fixed grid of wavelets or
    blocks leaves its own pattern in the image; a random shift at each step averages over
    grids, and the fixed point is close to that of the translation-invariant transform.

    Source: Coifman, Donoho (1995), "Translation-invariant de-noising"; within the iterations of
    a restoration: Figueiredo, Nowak (2003), "An EM algorithm for wavelet-based image
    restoration".
    """

    penalty: Any
    transform: LinearOperator
    weights: Array
    key: Array
    period: int = static()

    def start(self, v: Array) -> Array:
        return jnp.zeros((), jnp.int32)

    def warm(self, v: Array, step_size: Any, memory: Array) -> tuple[Array, Array]:
        shift = jax.random.randint(
            jax.random.fold_in(self.key, memory), (2,), 0, self.period, "int32"
        )
        moved = jnp.roll(v, shift, (0, 1))
        shrink = Soft(self.penalty * self.weights)
        kept = self.transform._adjoint(shrink._apply(self.transform._apply(moved), step_size))
        return jnp.roll(kept, -shift, (0, 1)), memory + 1

    def value(self, w: Any) -> Array:
        return Soft(self.penalty * self.weights).value(self.transform._apply(w))


class Shrinking(NamedTuple):
    """A prior for an image: a proximal operator without a penalty yet, and its canvas."""

    prox: prox.Prox
    canvas: tuple[int, int]
    text: str


def make_prior(name: str, shape: tuple[int, int], key: Array) -> Shrinking:
    """Return the named prior for images of one shape."""
    if name == "tv":
        return Shrinking(prox.tv(0.0, num_steps=_TV_STEPS), shape, "total variation")
    if name == "dct":
        canvas = _multiple(shape, _BLOCK)
        transform = BlockTransform(operators.dct(_BLOCK).todense(), canvas)
        # the mean of a block is not penalized
        weights = jnp.ones(canvas, jnp.float32).at[::_BLOCK, ::_BLOCK].set(0)
        shrink = CycleSpin(0.0, transform, weights, key, _BLOCK)
        return Shrinking(shrink, canvas, f"{_BLOCK} x {_BLOCK} cosine blocks, cycle-spun")
    levels = min(_MOST_LEVELS, max(1, int(math.log2(min(shape))) - 3))
    period = 2**levels
    canvas = _multiple(shape, period)
    transform = operators.wavelet(canvas, _WAVELET, levels)
    coarse = (slice(0, canvas[0] // period), slice(0, canvas[1] // period))
    weights = jnp.ones(canvas, jnp.float32).at[coarse].set(0)
    shrink = CycleSpin(0.0, transform, weights, key, period)
    return Shrinking(shrink, canvas, f"{_WAVELET} wavelets, {levels} levels, cycle-spun")


def _multiple(shape: tuple[int, int], step: int) -> tuple[int, int]:
    return -(-shape[0] // step) * step, -(-shape[1] // step) * step
