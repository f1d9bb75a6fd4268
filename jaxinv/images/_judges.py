"""What tells how good an estimate is without the truth.

A judge has *lanes*: the measurements themselves, then others like them. A candidate estimates an
image from each lane, and the judge compares."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.images._measurement import Measurement
from jaxinv.operators import LinearOperator
from jaxinv.operators._fourier import SubsampledFourier
from jaxinv.operators._mri import MRI
from jaxinv.operators._pixels import Channelwise

MOST_FOLDS = 6
_LEAST_UNITS = 4
_LARGE = 5.0  # root mean squares: Gaussian measurements are smaller, all but one in a million
_ALWAYS_FITTED = 0.1  # share of the units of complex measurements
_BANDS = 36  # of neighboring pixels
_PROBE = 0.02  # size of the probes, in units of the noise
_NUM_PROBES = 2


class Folds(NamedTuple):
    """Measurements left out in turn, and predicted from the others.

    Attributes:
        y: lanes of measurements, (K + 1, *y.shape).
        keep: their entries that count; the first lane has all.
        unit: what is left out, in words.
    """

    y: Array
    keep: Array
    unit: str

    patience = 30  # stages without a better one: errors may rise first
    exact = False  # it judges measurements, not the image
    one_start = True  # of a network in the other lanes

    @property
    def text(self) -> str:
        """How it judges, in words."""
        return f"{len(self.y) - 1} folds over {self.unit}"

    def errors(self, operator: LinearOperator, x: Array) -> np.ndarray:
        """Return the squared error of each fold over its squares."""
        return np.asarray(_fold_errors(operator, self.y[0], self.keep[1:], x[1:]))

    def spread(self, x: Array) -> Array:
        """Return the standard deviation of the estimates that miss a fold."""
        parts = x[1:]
        return jnp.sqrt(jnp.mean(numerics.magnitude(parts - jnp.mean(parts, 0)) ** 2, axis=0))


class Stein(NamedTuple):
    r"""Stein's unbiased estimate of the error of a denoiser, by parts of the image.

    .. math:: \|x - y\|^2 + 2 \sigma^2\, b \cdot (x(y + \epsilon b) - x(y)) / \epsilon

    It is the expected squared distance to the same pixels measured again, in fresh noise.

    Attributes:
        y: lanes of measurements, (3, *y.shape): all but the first have a probe ε b.
        keep: all of them.
        probes: b, of signs.
        noise_std: σ.
    """

    y: Array
    keep: Array
    probes: Array
    noise_std: float

    patience = 4  # stages without a better one
    exact = True
    one_start = False

    @property
    def text(self) -> str:
        """How it judges, in words."""
        return "Stein's estimate of the error on pixels measured again"

    def errors(self, operator: LinearOperator, x: Array) -> np.ndarray:
        """Return the estimated squared error of each part over the mean square of a part."""
        return np.asarray(_stein_errors(self.y[0], x, self.probes, self.noise_std))

    def spread(self, x: Array) -> Array:
        """Return the standard deviation that the noise of y gives the estimate."""
        moved = numerics.magnitude(x[1:] - x[0]) / _PROBE
        return jnp.sqrt(_local_mean(jnp.mean(jnp.square(moved), axis=0)))


def make_judge(measured: Measurement, noise_std: float | None, key: Array, where: str) -> Any:
    """Return Stein's estimate where the image itself was measured, else folds."""
    y = measured.y
    if measured.denoises:
        assert noise_std is not None
        shape = (_NUM_PROBES, *y.shape)
        probes = jax.random.rademacher(key, shape, numerics.real_dtype(y.dtype))
        lanes = jnp.concatenate([y[None], y + _PROBE * noise_std * probes])
        return Stein(lanes, jnp.ones(lanes.shape, bool), probes, noise_std)
    units, name = sampling_units(measured, key)
    folds = _assigned(units, np.asarray(y), key)
    count = int(folds.max()) + 1
    if count < 2:
        expected = f"have at least {_LEAST_UNITS} {name} to leave some out"
        checks.fail(where, "y", expected, f"{len(np.unique(units[units >= 0]))}")
    keep = np.stack([np.ones(folds.shape, bool), *(folds != fold for fold in range(count))])
    seen = units >= 0
    keep = jnp.asarray(keep & seen)
    return Folds(jnp.where(keep, y, 0), keep, name)


def sampling_units(measured: Measurement, key: Array) -> tuple[np.ndarray, str]:
    """Return the number of the unit that each entry of y belongs to, -1 where none was measured.

    What a random image leaves at 0 was not measured. Whole lines are one unit, of all coils;
    so are a frequency and its negative where the image is real, and the channels of a pixel.
    """
    operator = measured.operator
    image = jax.random.normal(key, operator.in_shape, measured.dtype)
    seen = np.asarray(_seen(operator, image))
    channels = isinstance(operator, Channelwise) and seen.ndim > len(operator.operator.out_shape)
    last = channels or (len(measured.shape) == 3 and seen.shape == measured.shape)
    last = last and not measured.first
    plane: np.ndarray = np.asarray(seen.any(axis=-1)) if last else seen
    if plane.ndim > 2:
        plane = np.asarray(plane.reshape(-1, *plane.shape[-2:]).any(axis=0))
    labels, name = _labels(plane, np.iscomplexobj(measured.y))
    labels = _paired(labels, operator, measured)
    labels = np.broadcast_to(labels[..., None] if last else labels, seen.shape)
    return np.where(seen, labels, -1), name


def _labels(plane: np.ndarray, of_waves: bool) -> tuple[np.ndarray, str]:
    one = "points of k-space" if of_waves else "measurements"
    each = np.arange(plane.size).reshape(plane.shape)
    if plane.ndim != 2 or plane.all():
        return each, one
    for axis, name in ((0, "columns"), (1, "rows")):
        if (plane == plane.any(axis=axis, keepdims=True)).all():
            lines = np.arange(plane.shape[1 - axis])
            lines = lines[None, :] if axis == 0 else lines[:, None]
            return np.broadcast_to(lines, plane.shape), f"{name} of y"
    return each, one if of_waves else "measured pixels"


def _paired(labels: np.ndarray, operator: Any, measured: Measurement) -> np.ndarray:
    """Give a frequency and its negative one label, where a real image makes them conjugate."""
    held: Any = operator
    while not isinstance(held, MRI | SubsampledFourier) and hasattr(held, "operator"):
        held = held.operator
    real = not jnp.issubdtype(measured.dtype, jnp.complexfloating)
    if not real or not isinstance(held, MRI | SubsampledFourier) or labels.ndim != 2:
        return labels
    middle = [n // 2 if isinstance(held, MRI) else 0 for n in labels.shape]
    rows, columns = ((2 * m - np.arange(n)) % n for m, n in zip(middle, labels.shape, strict=True))
    return np.minimum(labels, labels[rows][:, columns])


def _assigned(units: np.ndarray, y: np.ndarray, key: Array) -> np.ndarray:
    """Return the fold of each entry, -1 where it is always fitted.

    Folds get units of like energy. Always fitted are the few that hold most of it, such as the
    mean of an image: without them there is no image to judge.
    """
    names, places = np.unique(units, return_inverse=True)
    energy = np.bincount(places.ravel(), np.square(np.abs(y)).ravel().astype(np.float64))
    order = np.argsort(-energy, kind="stable")
    order = order[names[order] >= 0]
    if np.iscomplexobj(y):
        first = math.ceil(_ALWAYS_FITTED * len(order))
    else:
        first = int(np.sum(energy[order] > _LARGE**2 * energy[order].mean()))
    first = 0 if first > len(order) // 2 else first
    order = order[first:]
    count = min(MOST_FOLDS, len(order) // 2) if len(order) >= _LEAST_UNITS else 0
    fold_of = np.full(len(names), -1)
    if count:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        for start in range(0, len(order), count):
            part = order[start : start + count]
            fold_of[part] = rng.permutation(count)[: len(part)]
    return fold_of[places].reshape(units.shape)


@jax.jit
def _seen(operator: LinearOperator, x: Array) -> Array:
    return operator(x) != 0


@jax.jit
def _fold_errors(operator: LinearOperator, y: Array, keep: Array, x: Array) -> Array:
    def one(lane: tuple[Array, Array]) -> Array:
        keep, x = lane
        error = numerics.sum_squares(jnp.where(keep, 0, operator(x) - y))
        return numerics.safe_divide(error, numerics.sum_squares(jnp.where(keep, 0, y)))

    return jax.lax.map(one, (keep, x))


@jax.jit
def _stein_errors(y: Array, x: Array, probes: Array, noise_std: Any) -> Array:
    # σ times the slope; complex noise has σ²/2 in each part, and two parts
    slope = jnp.mean(jnp.real(probes * (x[1:] - x[0])), axis=0) / _PROBE
    local = numerics.magnitude(x[0] - y) ** 2 + 2 * noise_std * slope
    bands = jnp.arange(y.size) * _BANDS // y.size
    sums = jnp.zeros(_BANDS, local.dtype).at[bands].add(local.ravel())
    return sums * _BANDS / numerics.sum_squares(y)


def _local_mean(x: Array) -> Array:
    """Average over 5 x 5 pixels of the last two axes, the edges repeated."""
    for axis in (x.ndim - 2, x.ndim - 1):
        widths = [(2, 2) if at == axis else (0, 0) for at in range(x.ndim)]
        padded, size = jnp.pad(x, widths, mode="edge"), x.shape[axis]
        parts = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(5)]
        x = sum(parts[1:], parts[0]) / 5
    return x
