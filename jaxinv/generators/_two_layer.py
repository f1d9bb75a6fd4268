"""The two-layer convolutional generator, whose fit by gradient descent has a closed form."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, pytree, static
from jaxinv.generators._untrained import UntrainedPrior, start_key


@pytree
class TwoLayer(UntrainedPrior):
    """The two-layer generator; see ``two_layer``. ``params`` is C of shape (*shape, k)."""

    params: Any
    kernel: Array
    weights: Array
    scale: Any
    shape: tuple[int, ...] = static()
    num_channels: int = static()
    z: None = None

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def input_shape(self) -> None:
        return None

    def _parameters(self, key: Array) -> Array:
        dtype = self.kernel.dtype
        draw = jax.random.normal(key, (*self.shape, self.num_channels), dtype)
        return jnp.asarray(self.scale, dtype) * draw

    def _input(self, key: Array) -> None:
        return None

    def preactivations(self, params: Array) -> Array:
        """Return U C, of the shape of C: every channel convolved circularly with the kernel."""
        axes = tuple(range(1, len(self.shape) + 1))
        wide = jnp.result_type(params.dtype, jnp.float32)  # FFTs know no shorter type
        spectrum = jnp.fft.rfftn(self.kernel.astype(wide))
        channels = jnp.fft.rfftn(jnp.moveaxis(params, -1, 0).astype(wide), axes=axes)
        product = jnp.fft.irfftn(channels * spectrum, s=self.shape, axes=axes)
        return jnp.moveaxis(product, 0, -1).astype(params.dtype)

    def _forward(self, params: Array, z: None) -> Array:
        active = jax.nn.relu(self.preactivations(params))
        return jnp.matmul(active, self.weights.astype(active.dtype), precision="highest")


def two_layer(
    kernel: Num[ArrayLike, "*kernel"],
    num_channels: int,
    *,
    key: Any = None,
    scale: Any = 1.0,
    shape: Any = None,
) -> TwoLayer:
    r"""Build the two-layer convolutional generator with a fixed output layer.

    .. math:: G(C) = \mathrm{relu}(U C)\, v, \qquad v = (1, .., 1, -1, .., -1) / \sqrt{k}

    U is the circulant matrix whose first column is the kernel u (with a 2-D kernel: block
    circulant with circulant blocks). Gradient descent from a random C learns trigonometric
    components one after another, at rates that u alone decides.

    Args:
        kernel: u, real, shape (n,) or (h, w). Its norm sets the step size that descent can take.
        num_channels: k, even: half of the output weights are positive.
        key: PRNG key of the start C ~ N(0, scale²); ``jax.random.key(0)`` by default.
        scale: standard deviation of the start, > 0.
        shape: signal shape, where larger than the kernel's: u is then filled up with zeros.

    Returns:
        ``TwoLayer`` from C of shape (n, k) or (h, w, k) to x of shape (n,) or (h, w), with the
        leaves ``kernel`` and ``weights`` (v), and ``preactivations(C)``.

    Raises:
        ValueError: an odd number of channels, a kernel that is complex, larger than the shape or
            of more than two dimensions.

    Cost: k FFTs of length n there and k back.

    Example:
        >>> import jax.numpy as jnp
        >>> prior = two_layer(jnp.asarray([0.5, 0.25, 0.25]), 8, shape=(32,))
        >>> prior.params.shape, prior(prior.params).shape
        ((32, 8), (32,))

    Source: Heckel, Soltanolkotabi, "Compressive sensing with un-trained neural networks"
    (2020), section 3; the same authors, "Denoising and regularization via exploiting the
    structural bias of convolutional generators" (2020), section 3.
    """
    where = "two_layer"
    kernel = checks.array(where, "kernel", kernel)
    if kernel.ndim not in (1, 2) or jnp.iscomplexobj(kernel):
        checks.fail(where, "kernel", "be real, of shape (n,) or (h, w)", kernel)
    checks.finite(where, "kernel", kernel)
    if checks.is_concrete(kernel) and not jnp.any(kernel):
        checks.fail(where, "kernel", "not be zero", "zeros")
    num_channels = checks.count(where, "num_channels", num_channels, minimum=2)
    if num_channels % 2:
        checks.fail(where, "num_channels", "be even", num_channels)
    shape = kernel.shape if shape is None else checks.shape(where, "shape", shape)
    if len(shape) != kernel.ndim or any(a < b for a, b in zip(shape, kernel.shape, strict=True)):
        checks.fail(where, "shape", f"be at least the kernel's {kernel.shape}", f"{shape}")
    taps, weights = _fixed(kernel, tuple(shape), num_channels)
    scale = checks.positive(where, "scale", scale, single=True)
    prior = TwoLayer(None, taps, weights, scale, shape, num_channels)
    return prior.draw(start_key(where, key))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _fixed(kernel: Array, shape: tuple[int, ...], num_channels: int) -> tuple[Array, Array]:
    """Return the kernel filled up with zeros, and the output weights."""
    kernel = jnp.pad(kernel, [(0, a - b) for a, b in zip(shape, kernel.shape, strict=True)])
    signs = jnp.where(jnp.arange(num_channels) < num_channels // 2, 1, -1)
    return kernel, signs.astype(kernel.dtype) / jnp.sqrt(jnp.asarray(num_channels, kernel.dtype))
