"""Signals made longer or shorter along their axes."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import signal_shape
from jaxinv.operators._spectrum import Diagonalization

Widths = tuple[tuple[int, int], ...]

_MODES = {"zero": "constant", "reflect": "symmetric", "wrap": "wrap"}


@pytree
class Pad(LinearOperator):
    """A signal continued beyond its ends; see ``pad``."""

    widths: Widths = static()
    shape: tuple[int, ...] = static()
    boundary: str = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return tuple(a + n + b for n, (a, b) in zip(self.shape, self.widths, strict=True))

    def _apply(self, x: Array) -> Array:
        return jnp.pad(x, self.widths, mode=_MODES[self.boundary])

    def _adjoint(self, y: Array) -> Array:
        if self.boundary == "zero":
            return _inner(y, self.widths)
        signal = jax.ShapeDtypeStruct(self.shape, y.dtype)
        (x,) = jax.linear_transpose(self._apply, signal)(y)  # of real weights: no conjugates
        return x

    def _diagonalization(self) -> Diagonalization | None:
        real = numerics.real_dtype(self.in_dtype)
        if self.boundary == "zero":
            return Diagonalization(None, jnp.ones((), real))
        # each entry is copied some times, so that A* A is the diagonal of these counts
        counts = self._adjoint(jnp.ones(self.out_shape, real))
        return Diagonalization(None, jnp.sqrt(counts))

    def _outer_diagonalization(self) -> Diagonalization | None:
        if self.boundary != "zero":
            return None
        inside = jnp.pad(jnp.ones(self.shape, numerics.real_dtype(self.in_dtype)), self.widths)
        return Diagonalization(None, inside)


@pytree
class Crop(LinearOperator):
    """A signal without its ends; see ``crop``."""

    widths: Widths = static()
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return tuple(n - a - b for n, (a, b) in zip(self.shape, self.widths, strict=True))

    def _apply(self, x: Array) -> Array:
        return _inner(x, self.widths)

    def _adjoint(self, y: Array) -> Array:
        return jnp.pad(y, self.widths)

    def _diagonalization(self) -> Diagonalization | None:
        kept = jnp.ones(self.out_shape, numerics.real_dtype(self.in_dtype))
        return Diagonalization(None, self._adjoint(kept))

    def _outer_diagonalization(self) -> Diagonalization | None:
        return Diagonalization(None, jnp.ones((), numerics.real_dtype(self.in_dtype)))


def pad(width: Any, shape: Any, *, boundary: str = "zero") -> Pad:
    r"""Continue a signal beyond its ends.

    .. math:: y_i = x_{i - a} \text{ inside}, \qquad \text{outside } 0
        \text{ or the entry that the boundary says}

    Args:
        width: entries to add before and after, >= 0: an int for all ends, or for each axis an
            int or a pair (before, after).
        shape: shape of x.
        boundary: zero (0 0 | a b c | 0 0), reflect (b a | a b c | c b) or wrap
            (b c | a b c | a b): those of ``scipy.ndimage``, where zero is "constant".

    Returns:
        An operator without leaves. Its norm is exact: 1 with zeros.

    Raises:
        ValueError: a negative width, another number of widths than axes, an unknown boundary.

    Cost: a copy.

    Example:
        >>> import jax.numpy as jnp
        >>> pad(((1, 2),), 3, boundary="reflect") @ jnp.array([1.0, 2.0, 3.0])
        Array([1., 1., 2., 3., 3., 2.], dtype=float32)
    """
    shape = signal_shape("pad", shape)
    widths = _widths("pad", width, len(shape))
    boundary = checks.choice("pad", "boundary", boundary, _MODES)
    made = Pad(widths, shape, boundary)
    checks.shape("pad", "width", made.out_shape)
    return made


def crop(width: Any, shape: Any) -> Crop:
    r"""Cut entries off the ends of a signal: the adjoint of ``pad`` with zeros.

    .. math:: y_i = x_{i + a}, \quad 0 \le i < n - a - b

    Args:
        width: entries to cut off before and after, >= 0: an int for all ends, or for each axis
            an int or a pair (before, after).
        shape: shape of x.

    Returns:
        An operator without leaves, of norm 1.

    Raises:
        ValueError: a negative width, another number of widths than axes, or nothing left.

    Cost: a copy.

    Example:
        >>> import jax.numpy as jnp
        >>> crop(((1, 2),), 6) @ jnp.arange(6.0)
        Array([1., 2., 3.], dtype=float32)
    """
    shape = signal_shape("crop", shape)
    widths = _widths("crop", width, len(shape))
    if any(a + b >= n for n, (a, b) in zip(shape, widths, strict=True)):
        checks.fail("crop", "width", f"leave an entry of shape {shape}", f"{widths}")
    return Crop(widths, shape)


def _widths(where: str, value: Any, ndim: int) -> Widths:
    if isinstance(value, numbers.Integral):
        value = (value,) * ndim
    if not isinstance(value, list | tuple):
        checks.fail_type(where, "width", "be an int or one for each axis", value)
    if len(value) != ndim:
        checks.fail(where, "width", f"have {ndim} entries, as shape has", f"{value}")
    pairs = []
    for i, each in enumerate(value):
        pair = (each, each) if isinstance(each, numbers.Integral) else each
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            expected = "be an int or a pair (before, after)"
            checks.fail_type(where, f"width[{i}]", expected, each)
        sides = [checks.count(where, f"width[{i}]", side, minimum=0) for side in pair]
        pairs.append((sides[0], sides[1]))
    return tuple(pairs)


def _inner(x: Array, widths: Widths) -> Array:
    return x[tuple(slice(a, n - b) for n, (a, b) in zip(x.shape, widths, strict=True))]
