"""Recovery problems of one generator, given or trained; matrix and noise of random ones too."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, pytree, replace, static
from jaxinv.generators import Generator
from jaxinv.operators import Operator
from jaxinv.operators import from_function as as_operator
from jaxinv.operators._dense import Dense
from jaxinv.operators._mask import Identity
from jaxinv.problems._problem import (
    Family,
    Problem,
    Truth,
    active_mask,
    active_size,
    gaussian_matrix,
    gaussian_noise,
    num_starts,
    require_scalars,
)

_PROBLEM, _START = 0, 1  # streams of one trial's key


@pytree
class GeneratorFamily(Family):
    """Recovery of signals of one generator; see ``generative``."""

    generator: Generator
    active_measurements: Any
    noise_norm: Any
    noise_std: Any
    num_measurements: int | None = static()
    dtype: Any = static()

    @property
    def axes(self) -> Problem:
        """All trials share the generator; each draws its own operator, but for the identity."""
        return Problem(operator=0, y=0, prior=None, truth=0)

    def with_active(self, measurements: Any) -> GeneratorFamily:
        """Return the family with m in use below its maximum; it may be traced."""
        if self.num_measurements is None:
            checks.fail("with_active", "measurements", "be None for denoising", measurements)
        names = ("with_active", "measurements", measurements, self.num_measurements)
        return replace(self, active_measurements=active_size(*names, "num_measurements"))

    def sample(self, key: Any) -> Problem:
        """Draw latent, operator and noise from one key."""
        require_scalars(self, "active_measurements", "noise_norm", "noise_std")
        operator, y, truth = _draw(self, checks.key("sample", key))
        return Problem(operator, y, self.generator, truth)

    def initial(self, key: Any, num_restarts: int | None = None) -> Float[Array, "..."]:
        """Draw a start N(0, I_k), with a first axis for ``num_restarts``.

        Independent of ``sample`` with the same key.
        """
        root = jax.random.fold_in(checks.key("initial", key), _START)
        shape = _latent_shape(self.generator)
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return jax.random.normal(root, shape, self.dtype)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _draw(family: GeneratorFamily, key: Array) -> tuple[Operator, Array, Truth]:
    root = jax.random.fold_in(key, _PROBLEM)
    latent_key, operator_key, noise_key = jax.random.split(root, 3)
    u = jax.random.normal(latent_key, _latent_shape(family.generator), family.dtype)
    x = family.generator(u)
    rows = family.num_measurements
    if rows is None:
        operator, mask = Identity(x.shape), None
    else:
        mask = active_mask(family.active_measurements, rows)
        shape = (rows, math.prod(x.shape))
        operator = Dense(gaussian_matrix(operator_key, shape, family.active_measurements, x.dtype))
        if x.ndim > 1:
            operator = operator @ as_operator(jnp.ravel, x.shape, dtype=x.dtype)
    clean = operator(x)
    levels = (family.noise_norm, family.noise_std)
    noise = gaussian_noise(noise_key, clean.shape, clean.dtype, levels, mask)
    return operator, clean + noise, Truth(u, x, noise)


def _latent_shape(generator: Generator) -> tuple[int, ...]:
    shape = generator.in_shape
    if shape is None:
        hint = "Give its in_shape, as in generators.from_function(..., in_shape=20)."
        checks.fail("generative", "generator", "know the shape of its latent", "None", hint)
    return tuple(shape)


def fixed_generator(where: str, generator: Any, **settings: Any) -> GeneratorFamily:
    """Return the family of one generator; refuse what has no latent of a known shape."""
    if not isinstance(generator, Generator):
        hint = "Wrap a function or a module with generators.from_function or from_flax."
        checks.fail_type(where, "generator", "be a generator", generator, hint)
    latent = jax.ShapeDtypeStruct(_latent_shape(generator), settings["dtype"])
    signal = jax.eval_shape(generator, latent)
    if not jnp.issubdtype(signal.dtype, jnp.floating):
        got = f"{signal.dtype} of shape {signal.shape}"
        checks.fail(where, "generator", "return real floating signals", got)
    return GeneratorFamily(generator, **settings)
