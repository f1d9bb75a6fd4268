"""Correlation of images with kernels, by the fast convolution of each platform, in both modes.

On a CPU, XLA has one fast convolution: of (N, h, w, c) images with (kh, kw, c, o) kernels. It puts
other orders of the axes into this one outside of loops only; inside, the gradients of
``lax.conv_general_dilated`` run up to a hundred times slower. Here both gradients of a correlation
are correlations in that order, so they are fast anywhere; and kernels of a batch are taken one
after another, not as groups of one convolution.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.interpreters import ad, batching, mlir

Padding: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

_AXES = ("NHWC", "HWIO", "NHWC")
_MANY_ROWS = 16  # one more of them is cheap
_FEW = 4  # times fewer outputs than inputs
_SHORT = 5  # taps a side: as many shifts, squared, are cheap
_PIXELS = 1024  # in a strip
_FEW_ROWS = 4  # in a strip: fewer read too many rows twice


def correlate(x: Array, weight: Array, padding: Padding = ((0, 0), (0, 0))) -> Array:
    r"""Correlate (h, w, c) with ``weight`` of shape (kh, kw, c, o), zeros around.

    .. math:: y_{ijo} = \sum_{a, b, c} x_{i+a-p, j+b-q, c} w_{abco}

    Args:
        x: image, (h, w, c).
        weight: kernels, (kh, kw, c, o).
        padding: rows of zeros above and below, columns left and right: at most one less than the
            kernel has.
    """
    x, weight = (array.astype(jnp.result_type(x, weight)) for array in (x, weight))
    return _bind(x[None, None], weight[None], padding=padding)[0, 0]


@cache
def _primitive() -> Any:
    """Return the primitive: (B, N, h, w, c) and (B, kh, kw, c, o) to (B, N, h', w', o)."""
    from jax.extend.core import Primitive  # slow to import, and most programs hold no convolution

    made = Primitive("correlate")
    made.def_impl(_eager)
    made.def_abstract_eval(_shape)
    ad.defbilinear(made, _to_image, _to_kernel)
    batching.primitive_batchers[made] = _batched
    for function, platform in ((_everywhere, None), (_on_cpu, "cpu")):
        rule = mlir.lower_fun(function, multiple_results=False)
        mlir.register_lowering(made, rule, platform=platform)
    return made


def _bind(x: Array, weight: Array, *, padding: Padding) -> Array:
    return _primitive().bind(x, weight, padding=padding)


_eager = jax.jit(_bind, static_argnames="padding")


def _one(x: Array, weight: Array, *, padding: Padding) -> Array:
    """Correlate N images with the same kernels."""
    return lax.conv_general_dilated(
        x, weight, (1, 1), padding, dimension_numbers=_AXES, precision="highest"
    )


def _one_on_cpu(x: Array, weight: Array, *, padding: Padding) -> Array:
    taps, (channels, outputs) = weight.shape[:2], weight.shape[2:]
    rows = x.shape[1] + sum(padding[0]) - taps[0] + 1
    if _FEW * outputs <= channels and max(taps) <= _SHORT and math.prod(x.shape[:3]) >= _PIXELS:
        return _sent(x, weight, padding=padding)
    if any(map(any, padding)) or rows < _MANY_ROWS:
        return _one(x, weight, padding=padding)
    # images without any padding take four times as long, whatever the reason
    return _one(x, weight, padding=((0, 1), (0, 0)))[:, :rows]


def _sent(x: Array, weight: Array, *, padding: Padding) -> Array:
    """Return the sum of what each pixel sends to the outputs around it: one product, few shifts."""
    (rows, columns), ((above, below), (left, right)) = weight.shape[:2], padding
    matrix = weight.transpose(2, 0, 1, 3).reshape(x.shape[-1], -1)
    sent = jnp.matmul(x, matrix, precision="highest")
    parts = lax.split(sent, [weight.shape[-1]] * (rows * columns), 3)
    none, moved = (0, 0, 0), []
    for part, (i, j) in zip(parts, np.ndindex(rows, columns), strict=True):
        down = above - i, below + 1 + i - rows, 0
        across = left - j, right + 1 + j - columns, 0
        moved.append(lax.pad(part, jnp.zeros((), x.dtype), (none, down, across, none)))
    return sum(moved[1:], moved[0])


def _everywhere(x: Array, weight: Array, *, padding: Padding) -> Array:
    return jax.vmap(partial(_one, padding=padding))(x, weight)


def _on_cpu(x: Array, weight: Array, *, padding: Padding) -> Array:
    correlate = partial(_one_on_cpu, padding=padding)
    if len(x) == 1:
        return correlate(x[0], weight[0])[None]
    return lax.map(lambda pair: correlate(*pair), (x, weight))


def _shape(x: Any, weight: Any, *, padding: Padding) -> Any:
    sides = zip(x.shape[2:4], weight.shape[1:3], padding, strict=True)
    size = (side - taps + 1 + sum(around) for side, taps, around in sides)
    return x.update(shape=(*x.shape[:2], *size, weight.shape[-1]))


def _to_image(slope: Any, x: Any, weight: Array, *, padding: Padding) -> Array:
    """Return the gradient for the image: every output sends back what it took."""
    del x
    mirrored = weight[:, ::-1, ::-1].swapaxes(3, 4)
    return _bind(slope, mirrored, padding=_back(padding, weight.shape[1:3]))


def _to_kernel(slope: Array, x: Array, weight: Any, *, padding: Padding) -> Array:
    """Return the gradient for the kernels, of large images strip by strip: those fit the cache.

    Channels are images of one channel each, and slopes are their kernels: the other way around
    where there are few slopes.
    """
    shape, (rows, columns), sides = weight.aval.shape, slope.shape[2:4], x.shape[2:4]
    if _FEW * slope.shape[-1] <= x.shape[-1] and sides[0] <= rows and sides[1] <= columns:
        found = _kernel_of(x, slope, _back(padding, shape[1:3]))
        return found[:, ::-1, ::-1].swapaxes(3, 4)
    height = max(_PIXELS // (slope.shape[1] * columns), _FEW_ROWS)
    if rows < 2 * height:
        return _kernel_of(slope, x, padding)
    count = -(-rows // height)
    (above, below), beside = padding
    more = (0, count * height - rows)
    x = jnp.pad(x, ((0, 0), (0, 0), (above, below + more[1]), beside, (0, 0)))
    slope = jnp.pad(slope, ((0, 0), (0, 0), more, (0, 0), (0, 0)))

    def add(total: Array, first: Array) -> tuple[Array, None]:
        part = lax.dynamic_slice_in_dim(x, first, height + shape[1] - 1, 2)
        sent = lax.dynamic_slice_in_dim(slope, first, height, 2)
        return total + _kernel_of(sent, part, ((0, 0), (0, 0))), None

    return lax.scan(add, jnp.zeros(shape, x.dtype), height * jnp.arange(count))[0]


def _kernel_of(kernels: Array, images: Array, padding: Padding) -> Array:
    images, kernels = images.transpose(0, 4, 2, 3, 1), kernels.transpose(0, 2, 3, 1, 4)
    return _bind(images, kernels, padding=padding).transpose(0, 2, 3, 1, 4)


def _back(padding: Padding, taps: tuple[int, ...]) -> Padding:
    """Return the zeros around outputs from which an image of the size of the inputs comes."""
    (above, below), (left, right) = padding
    rows, columns = (side - 1 for side in taps)
    return (rows - above, rows - below), (columns - left, columns - right)


def _batched(arrays: Any, axes: Any, *, padding: Padding) -> tuple[Array, int]:
    """Correlate a batch: images of one kernel together, kernels of one image side by side."""
    (x, weight), (of_x, of_weight) = arrays, axes
    bind = partial(_bind, padding=padding)
    if of_weight is None:
        x = jnp.moveaxis(x, of_x, 1)
        y = bind(x.reshape(x.shape[0], -1, *x.shape[3:]), weight)
        return y.reshape(*x.shape[:3], *y.shape[2:]), 1
    if of_x is None:
        weight = jnp.moveaxis(weight, of_weight, -2)
        y = bind(x, weight.reshape(*weight.shape[:-2], -1))
        return y.reshape(*y.shape[:-1], *weight.shape[-2:]), y.ndim - 1
    x, weight = jnp.moveaxis(x, of_x, 0), jnp.moveaxis(weight, of_weight, 0)
    y = bind(*(array.reshape(-1, *array.shape[2:]) for array in (x, weight)))
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0
