"""The two-layer deep decoder, for which the denoising theorems are stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.generators._resampling import resampling_matrix
from jaxinv.generators._untrained import UntrainedPrior, start_key


@pytree
class TwoLayerDecoder(UntrainedPrior):
    """The two-layer decoder; see ``two_layer_decoder``. ``params`` holds ``W0`` and ``w1``."""

    params: Any
    z: Any
    upsampling: Array
    scale: Any
    num_channels: int = static()
    sizes: tuple[int, int] = static()

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.sizes[0],)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.sizes[1], self.num_channels)

    def _input(self, key: Array) -> Array:
        return jax.random.normal(key, self.input_shape, self.upsampling.dtype)

    def _parameters(self, key: Array) -> dict[str, Array]:
        k, dtype = self.num_channels, self.upsampling.dtype
        deviation = jnp.asarray(self.scale, dtype) / math.sqrt(k)
        signs = jnp.where(jnp.arange(k) < (k + 1) // 2, 1, -1).astype(dtype)
        return {
            "W0": deviation * jax.random.normal(key, (k, k), dtype),
            "w1": signs / math.sqrt(k),
        }

    def _forward(self, params: Any, z: Array) -> Array:
        coefficients = numerics.matmul(z, params["W0"])
        hidden = jax.nn.relu(numerics.matmul(self.upsampling.astype(z.dtype), coefficients))
        return numerics.matmul(hidden, params["w1"])


def two_layer_decoder(
    size: int,
    num_channels: int,
    *,
    upsampling: str | Sequence[float | int] | Num[ArrayLike, "n half"] = "bilinear",
    key: Any = None,
    scale: Any = 1.0,
    dtype: Any = jnp.float32,
) -> TwoLayerDecoder:
    r"""Build the two-layer deep decoder, with both of its layers trained.

    .. math:: G(W_0, w_1) = \mathrm{relu}(U_0 B_0 W_0)\, w_1

    U_0 of shape (n, n/2) is a fixed upsampling and B_0 of shape (n/2, k) a fixed random input.
    With p = k² + k parameters below n / log n it cannot fit noise; with k far above n, descent
    fits smooth signals before noise. Use ``two_layer`` for the closed forms.

    Args:
        size: n, the length of the signal.
        num_channels: k.
        upsampling: ``"bilinear"``, ``"nearest"``, a sequence of taps (zero insertion, then this
            filter), or any matrix of shape (n, rows of B_0).
        key: PRNG key of B_0, W_0; ``jax.random.key(0)`` by default.
        scale: standard deviation of the entries of B_0 W_0 at the start, > 0.
        dtype: real floating type.

    Returns:
        ``TwoLayerDecoder``; ``params`` is a dict with ``W0`` (k, k) and ``w1`` (k,).

    Raises:
        ValueError: a matrix without n rows, an unknown name.

    Cost: k² n/2 + k n²/2 multiplications a call.

    Notes: the sources leave the start open. B_0 ~ N(0, 1), W_0 ~ N(0, scale²/k) and
    w_1 = (1, .., 1, -1, .., -1)/√k make the first layer that of ``two_layer`` in distribution.

    Example:
        >>> prior = two_layer_decoder(64, 10)
        >>> prior(prior.params).shape, prior.z.shape, prior.num_parameters
        ((64,), (32, 10), 110)

    Source: Scarlett, Heckel, Rodrigues, Hand, Eldar, "Theoretical perspectives on deep learning
    methods in inverse problems" (2022), equation 32, Proposition 2, Theorem 7.
    """
    where = "two_layer_decoder"
    size = checks.count(where, "size", size, minimum=2)
    num_channels = checks.count(where, "num_channels", num_channels)
    dtype = checks.float_type(where, dtype, real=True)
    matrix = _matrix(where, upsampling, size, dtype)
    scale = checks.positive(where, "scale", scale, single=True)
    sizes = (size, int(matrix.shape[1]))
    prior = TwoLayerDecoder(None, None, matrix, scale, num_channels, sizes)
    return prior.draw(start_key(where, key))


def _matrix(where: str, upsampling: Any, size: int, dtype: Any) -> Array:
    half = math.ceil(size / 2)
    if isinstance(upsampling, str):
        checks.choice(where, "upsampling", upsampling, ("bilinear", "nearest"))
        return jnp.asarray(resampling_matrix(half, size, upsampling), dtype)
    given = checks.array(where, "upsampling", upsampling)
    checks.finite(where, "upsampling", given)
    if given.ndim == 1:
        taps = tuple(float(tap) for tap in given)
        return jnp.asarray(resampling_matrix(half, size, taps), dtype)
    if given.ndim != 2 or given.shape[0] != size:
        checks.fail(where, "upsampling", f"be a name, taps or a matrix of {size} rows", given)
    return given.astype(dtype)
