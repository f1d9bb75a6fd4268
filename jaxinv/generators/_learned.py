"""What generators that are trained on signals share: settings, sizes, the contract of training."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from jaxinv._core import checks
from jaxinv.generators._base import Generator

UNITS = ("softplus", "relu", "leaky")
KINDS = ("dense", "convolutional")
CHANNELS = (32, 16)  # of convolutional networks: at a quarter of the side, and at half


class Learned(Generator):
    """A generator that ``trained.fit`` trains on signals.

    A subclass names in ``players`` which parameters each update of a step changes, gives
    ``training_loss`` for them, and ``held_out_loss`` by which weights are chosen.
    """

    name: ClassVar[str]
    players: ClassVar[tuple[tuple[str, ...], ...]]
    adam: ClassVar[tuple[float, float, float]] = (1e-3, 0.9, 0.999)
    signal_shape: tuple[int, ...]
    latent_size: int

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.latent_size,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return self.signal_shape

    @property
    def num_entries(self) -> int:
        """Entries of a signal."""
        return math.prod(self.signal_shape)

    def reflections(self, z: Any) -> tuple[Any, ...]:
        """Return ``z`` alone: nothing makes −z a twin after training."""
        return (z,)

    @property
    def config(self) -> dict[str, Any]:
        """The keyword arguments that make a generator of this shape, as JSON holds them."""
        names = (field.name for field in fields(self) if field.metadata.get("static", False))  # pyright: ignore[reportArgumentType]
        return {name: getattr(self, name) for name in names if name != "dtype"}

    def check_signals(self, where: str, signals: Any) -> None:
        """Refuse signals that the model cannot be trained on, beyond their shape."""

    def prepared(self, signals: Float[Array, "signals n"]) -> Learned:
        """Return the model with what is set from the signals before training."""
        return self

    def training_loss(
        self, params: Any, player: Any, x: Float[Array, "batch n"], key: PRNGKeyArray, done: Any
    ) -> Float[Array, ""]:
        """Return the loss of one update on a batch (N, n); ``done`` is the share of training."""
        raise NotImplementedError

    def held_out_loss(
        self, params: Any, x: Float[Array, "batch n"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """Return the loss on signals that training does not see, (N, n)."""
        raise NotImplementedError


def signal_shape(where: str, shape: Any) -> tuple[int, ...]:
    """Return the shape of a signal."""
    found = checks.shape(where, "signal_shape", shape)
    if not found:
        checks.fail(where, "signal_shape", "have at least one axis", found)
    return found


def image_shape(where: str, kind: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (h, w, channels) for a convolutional network."""
    if len(shape) not in (2, 3) or min(shape[:2]) < 4:
        expected = f'be (h, w) or (h, w, channels) of at least 4 x 4 pixels for kind="{kind}"'
        checks.fail(where, "signal_shape", expected, shape, 'Or take kind="dense".')
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def sizes(where: str, kind: Any, unit: Any, hidden: Any, shape: tuple[int, ...]) -> Any:
    """Return kind, unit and hidden sizes: widths of dense layers, or channels."""
    kind = checks.choice(where, "kind", kind, KINDS)
    unit = checks.choice(where, "unit", unit, UNITS)
    if hidden is None:
        hidden = (500, 500) if kind == "dense" else CHANNELS
    hidden = checks.sizes(where, "hidden", hidden)
    if kind == "convolutional":
        image_shape(where, kind, shape)
        if len(hidden) != 2:
            expected = 'be two numbers of channels for kind="convolutional"'
            checks.fail(where, "hidden", expected, hidden)
    return kind, unit, hidden


def decoder_module(model: Any) -> Any:
    """Return the Flax module from the latent to the entries of a signal."""
    from jaxinv.generators._modules import ImageDecoder, Mlp

    if model.kind == "dense":
        return Mlp((*model.hidden, model.num_entries), model.unit, dtype=model.dtype)
    shape = image_shape("decoder", model.kind, model.signal_shape)
    return ImageDecoder(shape, model.hidden, model.unit, dtype=model.dtype)


def encoder_module(model: Any, num_outputs: int) -> Any:
    """Return the Flax module from the entries of a signal to some numbers."""
    from jaxinv.generators._modules import ImageEncoder, Mlp

    if model.kind == "dense":
        return Mlp((*model.hidden[::-1], num_outputs), model.unit, dtype=model.dtype)
    shape = image_shape("encoder", model.kind, model.signal_shape)
    return ImageEncoder(shape, model.hidden, num_outputs, model.unit, dtype=model.dtype)


def drawn(module: Any, key: Array, size: int, dtype: Any) -> Any:
    """Return fresh parameters of a module whose input is a vector."""
    return jax.jit(module.init)(key, jnp.zeros(size, dtype))["params"]
