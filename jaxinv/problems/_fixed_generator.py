"""One generator, given or trained, as the source of all signals."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.generators import Generator


@pytree
class FixedGenerator:
    """One generator for all trials, and signals of its latent distribution N(0, I)."""

    generator: Generator
    dtype: Any = static()

    is_shared = True
    num_keys = 1

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Shape of x."""
        latent = jax.ShapeDtypeStruct(latent_shape("generative", self.generator), self.dtype)
        return jax.eval_shape(self.generator, latent).shape

    def check(self) -> None:
        """Nothing is random in number."""

    @property
    def prior(self) -> Generator:
        """What all trials share."""
        return self.generator

    def with_latent(self, latent: Any) -> FixedGenerator:
        """Refuse: the generator has its latent."""
        return checks.fail("with_active", "latent", "be None: the generator is given", latent)

    def draw(self, latent_key: Array) -> tuple[Generator, Array, Array]:
        """Return the generator, a latent and its signal."""
        shape = latent_shape("generative", self.generator)
        u = jax.random.normal(latent_key, shape, self.dtype)
        return self.generator, u, self.generator(u)

    def start(self, key: Array, batch: tuple[int, ...]) -> Array:
        """Return starts N(0, I), with the axes of ``batch`` first."""
        shape = (*batch, *latent_shape("generative", self.generator))
        return jax.random.normal(key, shape, self.dtype)


def latent_shape(where: str, generator: Generator) -> tuple[int, ...]:
    """Return the shape of the latent of a generator, which has to know it."""
    shape = generator.in_shape
    if shape is None:
        hint = "Give its in_shape, as in generators.from_function(..., in_shape=20)."
        checks.fail(where, "generator", "know the shape of its latent", "None", hint)
    return tuple(shape)


def fixed_generator(where: str, generator: Any, dtype: Any) -> FixedGenerator:
    """Return the source of one generator; refuse what has no latent of a known shape."""
    if not isinstance(generator, Generator):
        hint = "Wrap a function or a module with generators.from_function or from_flax."
        checks.fail_type(where, "generator", "be a generator", generator, hint)
    latent = jax.ShapeDtypeStruct(latent_shape(where, generator), dtype)
    signal = jax.eval_shape(generator, latent)
    if not jnp.issubdtype(signal.dtype, jnp.floating):
        got = f"{signal.dtype} of shape {signal.shape}"
        checks.fail(where, "generator", "return real floating signals", got)
    return FixedGenerator(generator, dtype)
