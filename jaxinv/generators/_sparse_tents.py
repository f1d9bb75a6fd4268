"""Networks that make sparse signals, the hard cases of the lower bounds; and a toy circle."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators._adapters import FromFunction, from_function
from jaxinv.generators._base import Generator


@pytree
class SparseTents(Generator):
    """Blocks of tents of one latent each; see ``sparse_tents``."""

    params: dict[str, Any]
    signal_size: int = static()
    num_blocks: int = static()
    levels: int = static()
    signed: bool = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.num_blocks,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return (self.signal_size,)

    @property
    def num_tents(self) -> int:
        """Tents that one latent meets on its way from -r to r, at the first level."""
        entries = self.signal_size // (self.num_blocks * self.levels)
        return 2 * entries if self.signed else entries

    @property
    def lipschitz(self) -> float:
        """The Lipschitz constant on the ball of the radius, whose tents lie apart."""
        slopes = [(2.0 * self.num_tents) ** (i + 1) for i in range(self.levels)]
        return math.hypot(*slopes) * float(self.params["height"] / (2 * self.params["radius"]))

    def _apply(self, z: Array) -> Array:
        radius, height = (self.params[name].astype(z.dtype) for name in ("radius", "height"))
        position = z / (2 * radius) + 0.5
        centers = jnp.arange(self.num_tents, dtype=z.dtype) + 0.5
        parts = []
        for _ in range(self.levels):
            distance = self.num_tents * position[:, None] - centers
            # two layers of ReLU units: |u| is the sum of two, and the tent one of what is left
            tents = 2 * jax.nn.relu(0.5 - jnp.abs(distance))
            position = jnp.sum(tents, axis=1)  # the sawtooth: the way inside the tent
            if self.signed:
                tents = tents[:, 0::2] - tents[:, 1::2]
            parts.append(height * tents)
        return jnp.concatenate(parts, axis=1).reshape(-1)


def sparse_tents(
    signal_size: int,
    num_blocks: int = 1,
    *,
    levels: int = 1,
    radius: Any = 1.0,
    height: Any = 1.0,
    signed: bool = False,
) -> SparseTents:
    r"""Make the network whose signals are sparse: a latent walks over the entries of its block.

    .. math:: x_j = 2 h\, \mathrm{relu}\bigl( \tfrac12 - | N s_1 - j + \tfrac12 | \bigr), \quad
              s_1 = \frac{z + r}{2r}, \qquad s_{i+1} = \sum_j \frac{x_j^{(i)}}{h}

    for j = 1, ..., N = n/k: the tents lie side by side, so that each block has one nonzero entry
    at most. With ``levels`` the sum of the tents, a sawtooth, is the position at the next, finer
    level, whose entries follow: k k₀-sparse signals, for k₀ levels, of a network of depth 2 k₀.
    Recovery is as hard as that of sparse signals, which is how lower bounds are proved: few
    measurements decide in principle, but tents that do not meet give descent no slope.

    Args:
        signal_size: n, a multiple of k times k₀.
        num_blocks: k, the number of latents.
        levels: k₀ >= 1.
        radius: r > 0: tents fill [-r, r]; beyond it the signal is 0.
        height: h > 0 of a tent.
        signed: each entry has a tent and a tent of the opposite sign.

    Returns:
        A generator from shape (k,) to (n,), with ``lipschitz``.

    Raises:
        ValueError: a signal size that the blocks do not divide, numbers that are not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> G = sparse_tents(4)  # the published figure
        >>> [G(jnp.array([z])).tolist() for z in (-0.75, 0.5, 0.625)]
        [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]]

    Source: Liu, Scarlett (2020); Figure 2 of Scarlett et al. (2022).
    """
    where = "sparse_tents"
    size = checks.count(where, "signal_size", signal_size, maximum=10**7)
    blocks = checks.count(where, "num_blocks", num_blocks)
    levels = checks.count(where, "levels", levels, maximum=20)
    if size % (blocks * levels):
        checks.fail(where, "signal_size", f"be a multiple of {blocks * levels}", size)
    signed = checks.boolean(where, "signed", signed)
    radius = checks.positive(where, "radius", radius, single=True)
    height = checks.positive(where, "height", height, single=True)
    params = {"radius": jnp.asarray(radius), "height": jnp.asarray(height)}
    return SparseTents(params, size, blocks, levels, signed)


def circle(radius: Any = 1.0) -> FromFunction:
    r"""Make the toy generator of one latent, whose range is a circle in the plane.

    .. math:: G(z) = r\, (\sin z, \cos z), \qquad z \in [-\pi, \pi], \qquad L = r

    Args:
        radius: r > 0.

    Returns:
        A generator from shape (1,) to (2,).

    Raises:
        ValueError: a radius that is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> circle()(jnp.zeros(1)).tolist()
        [0.0, 1.0]

    Source: Scarlett et al. (2022), equation (10).
    """
    radius = checks.positive("circle", "radius", radius, single=True)
    return from_function(_circle, jnp.asarray(radius), in_shape=1)


def _circle(radius: Array, z: Array) -> Array:
    return radius.astype(z.dtype) * jnp.concatenate([jnp.sin(z), jnp.cos(z)])
