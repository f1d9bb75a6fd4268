"""A generator of one's own as the source of signals, of which the first latents are in use."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import pytree, replace, static
from jaxinv._core.typed import PyTree
from jaxinv.generators import Generator
from jaxinv.problems._problem import active_mask, active_size


@pytree
class Truncated(Generator):
    """A generator that sees the first k entries of its latent, the others being 0."""

    params: Generator
    active: Any

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.params.in_shape

    @property
    def zero_is_fixed(self) -> bool:
        return self.params.zero_is_fixed

    @property
    def homogeneous(self) -> bool:
        return self.params.homogeneous

    def _apply(self, z: Array) -> Array:
        return self.params(self._first(z))

    def energy(self, z: PyTree) -> Float[Array, ""]:
        return self.params.energy(self._first(z))

    def jacobian(self, z: Num[ArrayLike, "*latent"]) -> Inexact[Array, "..."]:
        first = self._first(self._checked("jacobian", z))
        return self._first(self.params.jacobian(first))

    def _first(self, values: Array) -> Array:
        """Return zeros for all but the first k entries of the last axis."""
        return jnp.where(jnp.arange(values.shape[-1]) < self.active, values, 0)


@pytree
class OwnGenerator:
    """The source of signals: a generator, or a function that draws one from a key."""

    made: Any
    active_latent: Any
    latent_size: int = static()
    signal_shape: tuple[int, ...] = static()
    dtype: Any = static()

    num_keys = 2

    @property
    def is_shared(self) -> bool:
        """Whether all trials have one generator."""
        return isinstance(self.made, Generator)

    def check(self) -> None:
        """Nothing of it is an array where a number is meant."""

    def with_latent(self, latent: Any) -> OwnGenerator:
        """Return the source with k in use."""
        names = ("with_active", "latent", latent, self.latent_size, "of the generator")
        return replace(self, active_latent=active_size(*names))

    @property
    def prior(self) -> Generator:
        """The generator that all trials share, cut to the latents in use."""
        return self._cut(self.made)

    def _cut(self, given: Generator) -> Generator:
        return given if self.active_latent is None else Truncated(given, self.active_latent)

    def draw(self, generator_key: Array, latent_key: Array) -> tuple[Generator, Array, Array]:
        """Return the generator, a latent N(0, I_k) and its signal."""
        generator = self.prior if self.is_shared else self._cut(self.made(generator_key))
        u = self.start(latent_key, ())
        return generator, u, generator(u)

    def start(self, key: Array, batch: tuple[int, ...]) -> Array:
        """Return starts N(0, I_k), of the shape (*batch, K)."""
        start = jax.random.normal(key, (*batch, self.latent_size), self.dtype)
        in_use = active_mask(self.active_latent, self.latent_size)
        return start if in_use is None else jnp.where(in_use, start, 0)
