"""Coordinate networks: an image as a function of position."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators import _layers, _starts
from jaxinv.generators._starts import Start
from jaxinv.generators._untrained import (
    Layout,
    UntrainedPrior,
    layout,
    squashing,
    start_key,
)


@pytree
class Coordinate(UntrainedPrior):
    """A coordinate network; see ``coordinate``. ``params`` is a tuple of layers (dicts)."""

    params: Any
    z: Any
    bandwidth: Any
    layout: Layout = static()
    num_channels: int = static()
    num_layers: int = static()
    num_features: int = static()
    squash: bool = static(default=True)
    dtype: Any = static(default=jnp.float32)
    keeps_input_type = True  # phases of many cycles

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.num_features, len(self.layout.size))

    @property
    def zero_is_fixed(self) -> bool:
        """False: the output bias can leave zero."""
        return False

    def _input(self, key: Array) -> Array:
        draw = jax.random.normal(key, self.input_shape, self.dtype)
        return jnp.asarray(self.bandwidth, self.dtype) * draw

    def _parameters(self, key: Array) -> tuple[dict[str, Array], ...]:
        hidden = [self.num_channels] * (self.num_layers - 1)
        widths = [2 * self.num_features, *hidden, self.layout.num_outputs]
        layers = tuple(
            {
                "weight": Start((c_in, c_out), "normal", math.sqrt(2 / (c_in + c_out))),
                "bias": Start((c_out,), "normal", 0.01),
            }
            for c_in, c_out in itertools.pairwise(widths)
        )
        return _starts.draw(key, layers, self.dtype)

    def features(self, z: Array) -> Array:
        """Return [cos 2π B v, sin 2π B v] of every pixel: (*size, 2 features)."""
        phase = jnp.zeros((), z.dtype)
        for axis, side in enumerate(self.layout.size):
            position = jnp.arange(side, dtype=z.dtype) / side
            steps = [1] * len(self.layout.size)
            steps[axis] = side
            phase = phase + position.reshape(*steps, 1) * z[:, axis]
        angle = 2 * math.pi * phase
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1)

    def _forward(self, params: Any, z: Array) -> Array:
        x = self.features(z).astype(params[0]["weight"].dtype)
        for index, layer in enumerate(params):
            x = jax.nn.relu(x) if index else x
            x = _layers.mix(x, layer["weight"]) + layer["bias"]
        return self.layout.assemble(x, squash=self.squash)


def coordinate(
    shape: Any,
    num_channels: int = 256,
    num_layers: int = 4,
    *,
    num_features: int = 256,
    bandwidth: Any = 10.0,
    key: Any = None,
    squash: bool | None = None,
    channels_first: bool = False,
    dtype: Any = jnp.float32,
) -> Coordinate:
    r"""Build a coordinate network with random Fourier features.

    .. math::
        x(v) = \mathrm{mlp}(\cos 2\pi B v, \sin 2\pi B v), \qquad
        v \in [0, 1)^2,\; B_{ij} \sim N(0, s^2)

    The bandwidth s decides which frequencies descent fits first: too small blurs, too large
    fits noise.

    Args:
        shape: (h, w) or (h, w, channels), any size; (n,) in 1-D.
        num_channels: width of the hidden layers.
        num_layers: layers with weights, the output included.
        num_features: rows of B; the network sees twice as many inputs.
        bandwidth: s > 0, in cycles per image.
        key: PRNG key of B and the parameters; ``jax.random.key(0)`` by default.
        squash: end in a sigmoid, for images in [0, 1]; complex ones in a tanh, real and imaginary
            parts in [-1, 1]. By default real networks do, and complex ones have no bounds.
        channels_first: read a shape of three numbers as (coils, h, w).
        dtype: real, or complex for complex images (two output channels for each).

    Returns:
        ``Coordinate``; ``z`` is B, ``params`` a tuple of dicts ``weight`` and ``bias``.

    Raises:
        ValueError: a shape that is not an image, a bandwidth that is not positive.

    Cost: Σ c_in c_out multiplications per pixel.

    Example:
        >>> prior = coordinate((32, 32), 16, 3, num_features=8)
        >>> prior(prior.params).shape, prior.num_parameters
        ((32, 32), 561)

    Source: Tancik et al., "Fourier features let networks learn high frequency functions in low
    dimensional domains" (2020), sections 3 and 6.
    """
    where = "coordinate"
    arranged, real = layout(where, shape, dtype, channels_first=channels_first, signals=True)
    prior = Coordinate(
        None,
        None,
        checks.positive(where, "bandwidth", bandwidth, single=True),
        arranged,
        checks.count(where, "num_channels", num_channels),
        checks.count(where, "num_layers", num_layers),
        checks.count(where, "num_features", num_features),
        squashing(where, squash, arranged),
        real,
    )
    return prior.draw(start_key(where, key))
