"""The generator contract."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks, pytree, replace

Array = jax.Array


class Generator:
    """A prior map ``x = G(u)``; ``params`` are leaves, the configuration is static.

    A latent search varies the input with ``params`` fixed: the generator itself is the prior.
    An untrained prior varies ``params`` with the input fixed: ``g.untrained(z)``.
    """

    params: Any

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        """Shape of ``z``, or None where it is not known."""
        raise NotImplementedError

    @property
    def zero_is_fixed(self) -> bool:
        """Whether z = 0 is a point that no descent can leave."""
        return False

    @property
    def homogeneous(self) -> bool:
        """Whether G(c z) = c G(z) for every c > 0."""
        return False

    def _apply(self, z: Array) -> Array:
        raise NotImplementedError

    def __call__(self, z: Any) -> Array:
        """Return the signal ``x = G(z)``."""
        return self._apply(self._checked(type(self).__name__, z))

    def _checked(self, where: str, z: Any) -> Any:
        """Return ``z`` as an array of the shape that the generator takes, where that is known."""
        if self.in_shape is not None:
            z = checks.array(where, "z", z)
            checks.shape_is(where, "z", z, self.in_shape, "Use jax.vmap for a batch of latents.")
        return z

    def jacobian(self, z: Any) -> Array:
        """Return the latent Jacobian Λ_z of shape ``(*x.shape, *z.shape)``."""
        return jax.jacfwd(self.__call__)(z)

    def untrained(self, z: Any) -> Untrained:
        """Return the prior whose unknown is ``params``, for the fixed input ``z``."""
        return Untrained(self, z)


@pytree
class Untrained:
    """The map ``params -> G(z; params)`` for a fixed ``z``; see ``Generator.untrained``."""

    generator: Generator
    z: Any

    @property
    def in_shape(self) -> None:
        """The unknown is a tree of parameters, not one array."""
        return None

    @property
    def zero_is_fixed(self) -> bool:
        """Zero parameters stop every descent in a deep ReLU network."""
        return self.generator.zero_is_fixed

    @property
    def params(self) -> Any:
        """The generator's own parameters: a start for the fit."""
        return self.generator.params

    @property
    def num_parameters(self) -> int:
        """Number of parameters."""
        return sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(self.params))

    def init(self, key: Any) -> Any:
        """Return the generator's own parameters: how to draw fresh ones, only its maker knows."""
        checks.key("Untrained.init", key)
        return self.params

    def draw(self, key: Any) -> Untrained:
        """Return this prior itself: its input and parameters come from outside."""
        checks.key("Untrained.draw", key)
        return self

    def with_input(self, z: Any) -> Untrained:
        """Return the prior for another fixed input."""
        return replace(self, z=z)

    def plain(self) -> Untrained:
        """Return this prior itself."""
        return self

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return jax.eval_shape(self.__call__, self.params).shape

    def __call__(self, params: Any) -> Array:
        """Return the signal for these parameters."""
        return with_params(self.generator, params)(self.z)


def with_params(generator: Generator, params: Any) -> Generator:
    """Return the generator with other parameters of the same structure."""
    return replace(generator, params=params)
