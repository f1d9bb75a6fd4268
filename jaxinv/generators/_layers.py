"""Layers of untrained networks on (*size, channels) arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import numerics
from jaxinv.generators._correlation import correlate
from jaxinv.generators._resampling import resampling_matrix

EPSILON = 1e-5  # added to the variance, as batch normalization does


def mix(x: Array, weight: Array, precision: str = "highest") -> Array:
    """Combine channels: a 1x1 convolution with ``weight`` of shape (c_in, c_out)."""
    # as one row of pixels: the gradient of a sum over several axes transposes its array
    y = numerics.matmul(x.reshape(-1, x.shape[-1]), weight, precision)
    return y.reshape(*x.shape[:-1], -1)


def channel_norm(x: Array, scale: Array, offset: Array) -> Array:
    """Normalize every channel to mean 0 and variance 1 over space, then scale and shift."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    variance = jnp.mean(jnp.square(x - mean), axes)
    gain = scale * jax.lax.rsqrt(variance + EPSILON)
    return (x - mean) * gain + offset


@jax.custom_jvp
def relu(x: Array) -> Array:
    """Return max(x, 0), whose derivative is read off the output: x need not be kept."""
    return jnp.maximum(x, 0)


@relu.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    y = relu(primals[0])
    return y, jnp.where(y > 0, tangents[0], 0)


def normalizer(x: Array, scale: Array, offset: Array) -> tuple[Array, Array]:
    """Return (gain, shift) with ``channel_norm = gain x + shift``, for x of shape (c, *size).

    Mean and variance take one pass. The variance is taken about the mean of every eighth row,
    which lies within three deviations of the true one, so no digits cancel.
    """
    rows = x[:, ::8]
    centre = jax.lax.stop_gradient(jnp.mean(rows.reshape(x.shape[0], -1), 1))
    distance = x.reshape(x.shape[0], -1) - centre[:, None]
    mean = jnp.mean(distance, 1)
    variance = jax.nn.relu(jnp.mean(jnp.square(distance), 1) - jnp.square(mean))
    gain = scale * jax.lax.rsqrt(variance + EPSILON)
    return gain, offset - (centre + mean) * gain


def resample(
    x: Array, size: tuple[int, ...], method: str | tuple[float, ...], first: int = 0
) -> Array:
    """Interpolate the spatial axes, from axis ``first`` on, to ``size``, or filter them.

    One small matrix product per axis; doubling the rows of (c, h, w) is faster as sums.
    """
    for axis, target in enumerate(size, first):
        source = x.shape[axis]
        if target == source and isinstance(method, str):
            continue
        if method == "bilinear" and target == 2 * source and 0 < first == axis < x.ndim - 1:
            x = _double(x, axis)
            continue
        matrix = jnp.asarray(resampling_matrix(source, target, method), x.dtype)
        if axis == x.ndim - 1:
            x = numerics.matmul(x, matrix.T)
        else:
            before, after = x.shape[:axis], x.shape[axis + 1 :]
            x = numerics.matmul(matrix, x.reshape(*before, source, -1))
            x = x.reshape(*before, target, *after)
    return x


def _double(x: Array, axis: int) -> Array:
    """Interpolate to twice the size: quarters of the neighbours, the border repeated."""
    size = x.shape[axis]
    first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
    before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])


def convolve(x: Array, weight: Array, *, stride: int = 1, padding: str = "zero") -> Array:
    """Correlate (h, w, c_in) with ``weight`` of shape (kh, kw, c_in, c_out); size / stride."""
    height, width, *_ = weight.shape
    if (height, width) == (1, 1) and stride == 1:
        return mix(x, weight[0, 0])
    around = ((height - 1) // 2, height // 2), ((width - 1) // 2, width // 2)
    if stride == 1 and padding == "zero":
        return correlate(x, weight, around)
    x = pad(x, *around, padding)
    return correlate(x, weight) if stride == 1 else correlate(*_by_phase(x, weight, stride))


def _by_phase(x: Array, weight: Array, stride: int) -> tuple[Array, Array]:
    """Return image and kernels of a correlation of stride 1: each phase has its own channels."""
    for axis in (0, 1):
        side, taps = x.shape[axis], weight.shape[axis]
        size, part = (side - taps) // stride + 1, -(-taps // stride)
        x = _lengthen(x, axis, stride * (size + part - 1))
        weight = _lengthen(weight, axis, stride * part)

    def phases(array: Array) -> Array:
        rows, columns, *channels = array.shape
        cells = array.reshape(rows // stride, stride, columns // stride, stride, *channels)
        cells = cells.swapaxes(1, 2)
        return cells.reshape(*cells.shape[:2], -1, *channels[1:])

    return phases(x), phases(weight)


def _lengthen(x: Array, axis: int, size: int) -> Array:
    """Append zeros to an axis, or cut it."""
    ends = [(0, (size - side) * (index == axis), 0) for index, side in enumerate(x.shape)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ends)


def pad(x: Array, rows: tuple[int, int], columns: tuple[int, int], mode: str) -> Array:
    """Pad the two spatial axes with zeros or by reflection (repetition where too small)."""
    if mode == "zero":
        return jnp.pad(x, (rows, columns, (0, 0)))
    for axis, widths in enumerate((rows, columns)):
        amounts = [(0, 0)] * 3
        amounts[axis] = widths
        if any(widths):
            x = jnp.pad(x, amounts, mode="reflect" if x.shape[axis] > max(widths) else "edge")
    return x


def transposed_convolve(x: Array, weight: Array, *, stride: int = 1, padding: int = 0) -> Array:
    r"""Return the transposed convolution with ``weight`` of shape (k, k, c_in, c_out).

    .. math:: y_o = \sum_i x_i w_{o + p - s i}, \qquad \text{size } s (n - 1) + k - 2 p

    A stride of one adds what every input sends out. A stride of two is one convolution at
    low resolution with four output phases.
    """
    if x.shape[:2] == (1, 1) and padding == 0:
        return jnp.einsum("c,hwcd->hwd", x[0, 0], weight, precision="highest")
    if stride == 1:
        return _scattered(x, weight, padding)
    return _phases(x, weight, padding)


def _scattered(x: Array, weight: Array, padding: int) -> Array:
    """Return the sum of what every input sends out; the weights are read as they lie, once."""
    (rows, columns, c_in), size = x.shape, weight.shape[0]
    pixels = x.reshape(-1, c_in)
    if len(pixels) < c_in:  # mostly weights: all taps in one batched product
        repeated = jnp.broadcast_to(pixels, (size, size, *pixels.shape))
        sent = numerics.matmul(repeated, weight)
    else:
        sent = [[numerics.matmul(pixels, tap) for tap in row] for row in weight]
    moved = []
    for i, j in np.ndindex(size, size):
        around = ((i, size - 1 - i), (j, size - 1 - j), (0, 0))
        moved.append(jnp.pad(sent[i][j].reshape(rows, columns, -1), around))
    y = sum(moved[1:], moved[0])
    return y[padding : y.shape[0] - padding, padding : y.shape[1] - padding]


def _phases(x: Array, weight: Array, padding: int) -> Array:
    """Double the size: kernels of 2p + 2 taps a side, p + 1 of them for every output's phase."""
    c_in, c_out = weight.shape[2:]
    parts, odd = padding + 1, padding % 2
    # Output 2 j + r takes tap 2 b + r (r and 1 - r for even p) of the mirrored kernel from input
    # j + b - (p + 1) // 2, one later for the second phase where p is odd.
    taps = weight[::-1, ::-1].reshape(parts, 2, parts, 2, c_in, c_out)
    taps = taps if odd else taps[:, ::-1, :, ::-1]
    kernel = taps.transpose(0, 2, 4, 1, 3, 5).reshape(parts, parts, c_in, 4 * c_out)
    half = (padding + 1) // 2
    y = correlate(x, kernel, ((half, half), (half, half)))
    y = y.reshape(*y.shape[:2], 2, 2, c_out)
    rows, columns = x.shape[:2]
    if odd:
        y = jnp.stack([y[r : r + rows, :, r] for r in (0, 1)], 1)
        y = jnp.stack([y[:, :, s : s + columns, s] for s in (0, 1)], 3)
    else:
        y = y.transpose(0, 2, 1, 3, 4)
    return y.reshape(2 * rows, 2 * columns, c_out)


def leaky_relu(x: Array, slope: float | int = 0.2) -> Array:
    """Return x where positive, ``slope`` x elsewhere."""
    return jnp.where(x > 0, x, slope * x)
