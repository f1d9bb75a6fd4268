"""One real measurement: checked, in units of its image, with the layout of the image known."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import operators
from jaxinv._core import checks, numerics, pytree, static
from jaxinv.images._measured import in_units, minimum_norm, unknown_dtype
from jaxinv.operators import LinearOperator
from jaxinv.operators._mask import Identity, Mask
from jaxinv.operators._pixels import Channelwise

SMALLEST_SIDE = 16
_LEVEL = "Without noise, or where it is not known, leave it out."
_MOST_CHANNELS = 4  # of a last axis; a longer one is the width of an image
_WHITE = 255  # of a picture of 8 bits
_ADJOINT_TOL = 1e-3  # of the dot test: float32 leaves 1e-5


@pytree
class Planes(LinearOperator):
    """The top left parts of the planes (c, H, W) of an image, in the shape an operator takes."""

    canvas: tuple[int, int, int] = static()
    sides: tuple[int, int] = static()
    shape: tuple[int, ...] = static()
    first: bool = static()
    signal_shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.canvas

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.signal_shape

    def _apply(self, x: Array) -> Array:
        return self.image(x).reshape(self.signal_shape)

    def _adjoint(self, y: Array) -> Array:
        return self.split(y)

    def split(self, x: Array) -> Array:
        """Return an image, of its own shape or the operator's, as planes."""
        planes = x.reshape(self.shape)
        if not self.first:
            planes = jnp.moveaxis(planes.reshape(*self.sides, -1), -1, 0)
        widths = [(0, size - n) for size, n in zip(self.canvas, planes.shape, strict=True)]
        return jnp.pad(planes, widths)

    def image(self, planes: Array) -> Array:
        """Return the part of the planes that is the image, as an image."""
        planes = planes[:, : self.sides[0], : self.sides[1]]
        planes = planes if self.first else jnp.moveaxis(planes, 0, -1)
        return planes.reshape(self.shape)

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Array:
        return jnp.ones((), self.in_dtype)


class Measurement(NamedTuple):
    """What was measured, divided by ``scale``; the image then has a range of about 1.

    Attributes:
        operator: A, of ordinary gain.
        y: measurements.
        shape: of the image, (h, w), (h, w, c), or (c, h, w) where ``first``.
        first: whether channels come first.
        scale: the unit of the image.
        gain: what the operator was divided by.
        noise_std: σ of an entry of y, or None.
        dtype: of the image.
    """

    operator: LinearOperator
    y: Array
    shape: tuple[int, ...]
    first: bool
    scale: float
    gain: float
    noise_std: float | None
    dtype: Any

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        sides = self.shape[1:] if self.first else self.shape[:2]
        return sides[0], sides[1]

    def planes(self, canvas: tuple[int, int] | None = None) -> Planes:
        """Return the map from planes of at least the image's size to the operator's signal."""
        counts = self.shape[:1] if self.first else self.shape[2:]
        size = self.sides if canvas is None else canvas
        canvases = (math.prod(counts), size[0], size[1])
        return Planes(canvases, self.sides, self.shape, self.first, tuple(self.operator.in_shape))

    @property
    def denoises(self) -> bool:
        """Whether the image itself was measured."""
        held = self.operator
        return isinstance(held.operator if isinstance(held, Channelwise) else held, Identity)

    def shown(self) -> Array:
        """Return what the measurements show without a prior."""
        alike = self.operator.out_shape == self.shape and not jnp.iscomplexobj(self.y)
        return self.y if alike else minimum_norm(self.operator, self.y).reshape(self.shape)


def measurement(
    where: str, y: Any, operator: Any, shape: Any = None, noise_std: Any = None
) -> Measurement:
    """Check what was measured, and bring it to units in which the image's range is about 1."""
    if not isinstance(operator, LinearOperator):
        hint = (
            "Of operators: dense(matrix), mask(mask), from_function(fn, in_shape) for a function, "
            "from_linear_operator for one of SciPy or PyLops."
        )
        checks.fail_type(where, "operator", "be a linear operator", operator, hint)
    y = _numbers(where, y)
    operator, shape = _fitted(where, y, operator, shape)
    checks.finite(where, "y", y, "Remove or replace the broken measurements.")
    size = float(_size(y))
    if not size > 0:
        checks.fail(where, "y", "not be zero", "all zeros")
    if noise_std is not None:
        noise_std = float(checks.positive(where, "noise_std", noise_std, _LEVEL, single=True))
        _level(where, y, size, noise_std)
    check_adjoint(where, operator)
    _refuse_picture(where, operator)
    image = jax.random.normal(jax.random.key(0), operator.in_shape, jnp.float32)
    if not bool(jnp.any(operator(image) != 0)):
        hint = "Nothing was measured: look at its mask or weights."
        checks.fail(where, "operator", "measure something", "0 of a random image", hint)
    y, scale, gain = in_units(operator, y)
    scale, gain = float(scale), float(gain)
    dtype = unknown_dtype(operator, y)
    if gain != 1:
        operator, y = (1 / gain) * operator, y / gain
    noise_std = None if noise_std is None else noise_std / scale / gain
    first = len(shape) == 3 and shape[-1] > _MOST_CHANNELS
    sides = shape[1:] if first else shape[:2]
    if min(sides) < SMALLEST_SIDE:
        expected = f"have at least {SMALLEST_SIDE} pixels a side"
        checks.fail(where, "the image", expected, f"{sides[0]} x {sides[1]}")
    return Measurement(operator, y, shape, first, scale, gain, noise_std, dtype)


def check_adjoint(where: str, operator: LinearOperator) -> None:
    """Refuse an operator whose adjoint is none."""
    error = operators.dot_test(operator, jax.random.key(0))
    if not error < _ADJOINT_TOL:
        hint = "Check its adjoint, or make it with operators.from_function, which derives it."
        got = f"{error:.2g} by operators.dot_test"
        checks.fail(where, "operator", "have an adjoint with <A x, v> = <x, A* v>", got, hint)


def _refuse_picture(where: str, operator: LinearOperator) -> None:
    """Refuse the black and white of a picture as weights of a mask."""
    held = operator.operator if isinstance(operator, Channelwise) else operator
    if not isinstance(held, Mask):
        return
    levels = np.asarray(held.mask)
    if levels.max() == _WHITE and np.all((levels == 0) | (levels == _WHITE)):
        hint = "Pass mask > 0 to operators.mask."
        checks.fail(where, "operator", "have a mask of 0 and 1", "0 and 255, as of a picture", hint)


_size = jax.jit(numerics.safe_norm)


def _numbers(where: str, y: Any) -> Array:
    kind = str(getattr(y, "dtype", ""))
    if kind in ("uint8", "uint16", "bool"):
        most = {"uint8": "255", "uint16": "65535"}.get(kind, "1.0")
        hint = f"Divide by its range: y / {most}; noise_std is then in the same unit."
        checks.fail(where, "y", "be floating numbers", f"{kind}", hint)
    return checks.array(where, "y", y)


def _level(where: str, y: Array, size: float, noise_std: float) -> None:
    # entries that are 0 were not measured, as a mask leaves them
    count = int(np.sum(np.asarray(y) != 0))
    root = size / math.sqrt(count)
    if noise_std >= root:
        expected = f"be below the root mean square of y, {root:.3g}"
        hint = "All of y would be noise. It is in the units of y."
        checks.fail(where, "noise_std", expected, f"{noise_std:.3g}", hint)


def _fitted(
    where: str, y: Array, operator: LinearOperator, shape: Any
) -> tuple[LinearOperator, tuple[int, ...]]:
    """Return the operator of all channels, and the shape of the image."""
    expected = tuple(operator.out_shape)
    channels = y.shape[len(expected) :] if y.shape[: len(expected)] == expected else None
    if channels is None or len(channels) > 1 or (channels and channels[0] > _MOST_CHANNELS):
        hint = f"That is what the operator, of images {tuple(operator.in_shape)}, returns."
        checks.shape_is(where, "y", y, expected, hint)
    seen = tuple(operator.in_shape)
    if channels and len(seen) > 2:
        checks.shape_is(where, "y", y, expected, "The operator has channels of its own.")
    shape = seen + tuple(channels or ()) if shape is None else checks.shape(where, "shape", shape)
    if len(shape) not in (2, 3) or math.prod(shape) != math.prod(seen) * math.prod(channels or ()):
        pixels = math.prod(seen) * math.prod(channels or ())
        expected = f"be that of an image with {pixels} numbers, as the operator takes"
        hint = "Pass shape=(h, w) for flat images."
        checks.fail(where, "shape", expected, f"{tuple(shape)}", hint)
    if channels:
        operator = Channelwise(operator, tuple(shape))
    return operator, tuple(shape)
