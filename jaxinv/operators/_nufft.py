"""Fourier transform at frequencies that lie on no grid."""

from __future__ import annotations

import importlib
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import signal_shape
from jaxinv.operators._transforms import fft_ready

_WHERE = "nufft"


@pytree
class NonuniformFourier(LinearOperator):
    """The Fourier transform at given frequencies; see ``nufft``."""

    points: Array
    shape: tuple[int, ...] = static()
    tol: float = static()
    real: bool = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.points.shape[-2],)

    @property
    def in_dtype(self) -> Any:
        return self.points.dtype if self.real else jnp.result_type(self.points, jnp.complex64)

    def _ndims(self) -> dict[str, int]:
        return {"points": 2}

    def _apply(self, x: Array) -> Array:
        x = fft_ready(jnp.real(x) if self.real else x)
        signal = x.astype(jnp.result_type(x, jnp.complex64))
        return _transform(self._angles(x), signal, self.shape, 2, self.tol)

    def _adjoint(self, y: Array) -> Array:
        y = fft_ready(y)
        values = y.astype(jnp.result_type(y, jnp.complex64))
        x = _transform(self._angles(y), values, self.shape, 1, self.tol)
        return jnp.real(x) if self.real else x

    def _angles(self, like: Array) -> list[Array]:
        """Return the frequencies in radians, those of the last axis first."""
        points = self.points.astype(numerics.real_dtype(like.dtype))
        points = 2 * np.pi * (points - jnp.round(points))
        return [points[:, axis] for axis in reversed(range(len(self.shape)))]


@partial(jax.jit, static_argnums=(2, 3, 4))
def _transform(angles: Any, values: Array, shape: Any, kind: int, tol: float) -> Array:
    """Return the transform of kind 2, from the grid to the points, or its adjoint of kind 1."""
    function = getattr(_package(), f"nufft{len(shape)}d{kind}")
    size = math.prod(shape) ** -0.5
    if kind == 2:
        return function(*angles, values, eps=tol, isign=-1) * size
    modes = tuple(reversed(shape)) if len(shape) > 1 else shape[0]
    return function(*angles, values, modes, eps=tol, isign=1) * size


def _package() -> Any:
    try:
        return importlib.import_module("nufftax")
    except ImportError:
        hint = "Install it: python -m pip install 'jaxinv[nufft]'."
        text = f"{_WHERE}: the package nufftax is not installed. {hint}"
        raise ModuleNotFoundError(text, name="nufftax") from None


def nufft(
    points: Num[ArrayLike, "num ndim"],
    shape: Any,
    *,
    tol: float | None = None,
    real: bool = False,
) -> NonuniformFourier:
    r"""Measure Fourier coefficients at any frequencies: radial and spiral MRI.

    .. math:: y_j = \frac{1}{\sqrt n} \sum_r x_r\, e^{-2 \pi i \langle k_j, r - c \rangle},
        \qquad c = \lfloor \text{shape} / 2 \rfloor, \quad n = \textstyle\prod \text{shape}

    At the frequencies (r − c) / shape it is the centered transform of ``mri``. By the package
    ``nufftax`` (``pip install 'jaxinv[nufft]'``), which spreads onto a grid of twice the size.

    Args:
        points: k, one frequency a row, in cycles per pixel along each axis of x in its order,
            1 to 3 columns; those of an image lie in [−1/2, 1/2), and repeat with period 1. A leaf.
        shape: shape of x, of 1 to 3 axes.
        tol: relative accuracy of the transform; None: 1e-6 in float32, 1e-12 in float64.
        real: signals are real; the adjoint is then that of Re⟨A x, y⟩.

    Returns:
        An operator from ``shape`` to one complex number a point.

    Raises:
        ValueError: points of another number of columns than ``shape`` has axes, not real or not
            finite; a tolerance outside of (0, 0.1].
        ModuleNotFoundError: without ``nufftax``.

    Cost: an FFT of twice the size along each axis, and some (log 1/tol)^ndim operations a point.

    Example:
        >>> import jax.numpy as jnp
        >>> A = nufft(jnp.array([[0.0, 0.0], [0.25, -0.125]]), (4, 4))
        >>> jnp.round(jnp.abs(A @ jnp.ones((4, 4))), 4)
        Array([4., 0.], dtype=float32)

    Source: Dutt, Rokhlin (1993); Barnett, Magland, af Klinteberg (2019).
    """
    sides = signal_shape(_WHERE, shape)
    if len(sides) > 3:
        checks.fail(_WHERE, "shape", "have 1 to 3 axes", f"{sides}")
    points = checks.array(_WHERE, "points", points, ndim=2)
    if points.shape[1] != len(sides) or not points.size or jnp.iscomplexobj(points):
        expected = f"be real, of shape (num, {len(sides)})"
        checks.fail(_WHERE, "points", expected, points)
    checks.finite(_WHERE, "points", points)
    default = 1e-6 if jnp.finfo(points.dtype).bits <= 32 else 1e-12
    given: Any = default if tol is None else tol
    accuracy = checks.scalar(_WHERE, "tol", given, low=0.0, high=0.1, open_low=True, single=True)
    real = checks.boolean(_WHERE, "real", real)
    _package()
    return NonuniformFourier(points, sides, float(accuracy), real)
