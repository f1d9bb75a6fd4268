"""The three untrained DCGAN generators of compressed sensing with a deep image prior."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators import _layers, _starts
from jaxinv.generators._starts import Start
from jaxinv.generators._untrained import Layout, UntrainedPrior, layout, start_key


class Stage(NamedTuple):
    """One transposed convolution, then nearest-neighbour doubling where ``double``."""

    channels: int
    kernel_size: int
    stride: int
    padding: int
    double: bool = False


_DOUBLE = Stage(64, 6, 2, 2)
# Without the first stage, which turns z into a small image, and the channels of the last.
STAGES: dict[str, tuple[Stage, ...]] = {
    "mnist": (
        Stage(256, 4, 1, 0),
        Stage(128, 3, 1, 1, double=True),
        Stage(64, 3, 1, 1, double=True),
        Stage(0, 3, 1, 1),
    ),
    "xray": (*[_DOUBLE] * 5, Stage(0, 4, 2, 1)),
    "retino": (*[_DOUBLE] * 4, Stage(0, 4, 2, 1)),
}
SHAPES = {"mnist": (28, 28), "xray": (256, 256), "retino": (128, 128, 3)}
LATENT_SIZES = {"mnist": 128, "xray": 64, "retino": 32}


@pytree
class Dcgan(UntrainedPrior):
    """A DCGAN generator; see ``dcgan``. ``params`` is a tuple of layers (dicts)."""

    params: Any
    z: Any
    layout: Layout = static()
    name: str = static()
    latent_size: int = static()
    start: tuple[int, ...] = static()
    stages: tuple[Stage, ...] = static()
    dtype: Any = static(default=jnp.float32)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.latent_size,)

    def _input(self, key: Array) -> Array:
        return jax.random.normal(key, self.input_shape, self.dtype)

    @property
    def _first_channels(self) -> int:
        return 512 if self.name == "mnist" else 64

    def _parameters(self, key: Array) -> tuple[dict[str, Array], ...]:
        layers = [self._layer(self.start, self.latent_size, self._first_channels)]
        channels = self._first_channels
        for stage in self.stages:
            side = stage.kernel_size
            layers.append(self._layer((side, side), channels, stage.channels))
            channels = stage.channels
        return _starts.draw(key, tuple(layers), self.dtype)

    def _layer(self, kernel: tuple[int, ...], c_in: int, c_out: int) -> dict[str, Start]:
        last = c_out == 0
        c_out = self.layout.num_outputs if last else c_out
        # PyTorch counts the outputs of a transposed convolution as its fan-in.
        weight = _starts.uniform((*kernel, c_in, c_out), kernel[0] * kernel[1] * c_out)
        return {"weight": weight} | ({} if last else _starts.norm(c_out))

    def _forward(self, params: Any, z: Array) -> Array:
        first = Stage(0, self.start[0], 1, 0, double=self.name == "mnist")
        x = z[None, None, :]
        for layer, stage in zip(params, (first, *self.stages), strict=True):
            x = _layers.transposed_convolve(
                x, layer["weight"], stride=stage.stride, padding=stage.padding
            )
            if "scale" in layer:
                x = jax.nn.relu(_layers.channel_norm(x, layer["scale"], layer["offset"]))
            if stage.double:
                x = jnp.repeat(jnp.repeat(x, 2, 0), 2, 1)
        height, width = self.layout.size
        top, left = (x.shape[0] - height) // 2, (x.shape[1] - width) // 2
        return self.layout.assemble(jnp.tanh(x[top : top + height, left : left + width]))


def dcgan(
    name: Any,
    shape: Any = None,
    *,
    latent_size: int | None = None,
    key: Any = None,
    channels_first: bool = False,
    dtype: Any = jnp.float32,
) -> Dcgan:
    """Build one of the DCGAN generators that fit an image untrained; values in [-1, 1].

    Every layer is a transposed convolution without bias, a channel norm and a ReLU; the last
    one is a transposed convolution and tanh.

    Args:
        name: ``"mnist"`` (28 x 28), ``"xray"`` (256 x 256) or ``"retino"`` (128 x 128 x 3), or
            one of these shapes instead of its name.
        shape: (h, w) or (h, w, channels); the published one by default. For another size the
            first layer makes a larger or smaller image (small ones are doubled fewer times),
            and the output's centre is cut out.
        latent_size: length of z; by default the released 128, 64 and 32.
        key: PRNG key of input and parameters; ``jax.random.key(0)`` by default.
        channels_first: read a shape of three numbers as (coils, h, w).
        dtype: real, or complex for complex images (two output channels for each).

    Returns:
        ``Dcgan``; ``params`` is a tuple of dicts ``weight`` (kh, kw, c_in, c_out), ``scale`` and
        ``offset``; the last has its ``weight`` only.

    Raises:
        ValueError: an unknown name, a shape that is not an image.

    Cost: 9 c_in c_out multiplications per output pixel of a 6 x 6 layer of stride two.

    Notes: the paper gives "xray" a z of length 128, and "mnist" seven layers; the released code
    has 64, and five.

    Example:
        >>> prior = dcgan("mnist")
        >>> prior(prior.params).shape, prior.num_parameters
        ((28, 28), 2730432)

    Source: Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis, "Compressed sensing with
    deep image prior and learned regularization" (2018), section 5.
    """
    where = "dcgan"
    if isinstance(name, tuple | list) and shape is None:
        known = {shape: name for name, shape in SHAPES.items()}
        hint = "For another size give a name and the shape: dcgan('xray', (64, 64))."
        if tuple(name) not in known:
            checks.fail(where, "name", f"be a name or one of {[*known]}", f"{name}", hint)
        name = known[tuple(name)]
    name = checks.choice(where, "name", name, STAGES)
    shape = SHAPES[name] if shape is None else shape
    arranged, real = layout(where, shape, dtype, channels_first=channels_first)
    latent = LATENT_SIZES[name] if latent_size is None else latent_size
    latent = checks.count(where, "latent_size", latent)
    stages = _stages(name, min(arranged.size))
    start = tuple(_start(name, side, len(stages)) for side in arranged.size)
    prior = Dcgan(None, None, arranged, name, latent, start, stages, real)
    return prior.draw(start_key(where, key))


def _stages(name: str, side: int) -> tuple[Stage, ...]:
    """Leave out doublings of an image so small that it would start below 4 x 4 pixels."""
    stages = STAGES[name]
    while name != "mnist" and len(stages) > 1 and side <= 3 * 2 ** len(stages):
        stages = stages[1:]
    return stages


def _start(name: str, side: int, num_stages: int) -> int:
    """Return the smallest first image whose output has at least ``side`` pixels."""
    if name == "mnist":  # doubled, + 3 by the second convolution, then doubled twice
        return max(math.ceil((side / 4 - 3) / 2), 1)
    return math.ceil(side / 2**num_stages)
