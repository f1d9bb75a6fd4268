"""One generator several times: the prior of unknowns that are several signals."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, pytree, static
from jaxinv.generators._base import Generator


@pytree
class Copies(Generator):
    """Several signals of one generator; see ``copies``."""

    generator: Any
    count: int = static()

    @property
    def params(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The parameters of the one generator."""
        return self.generator.params

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The latents are rows."""
        return (self.count, *self.generator.in_shape)

    @property
    def zero_is_fixed(self) -> bool:
        """As the generator."""
        return self.generator.zero_is_fixed

    @property
    def homogeneous(self) -> bool:
        """As the generator."""
        return self.generator.homogeneous

    def _apply(self, z: Array) -> Array:
        return jax.vmap(self.generator)(z)

    def energy(self, z: Num[ArrayLike, "*latents"]) -> Float[Array, ""]:
        """Return the sum of all energies: the latents are independent."""
        return jnp.sum(jax.vmap(self.generator.energy)(jnp.asarray(z)))

    def reflections(self, z: Array) -> tuple[Array, ...]:
        """Return ``z``, then each latent alone in each of its other reflections."""
        others = jax.vmap(self.generator.reflections)(z)[1:]
        rows = range(self.count)
        return z, *(z.at[row].set(other[row]) for other in others for row in rows)

    def jacobian(self, z: Num[ArrayLike, "*latents"]) -> Inexact[Array, "..."]:
        """Return the Jacobian, 0 from one latent to another's signal; shape (r, *x, r, *z)."""
        z = jnp.asarray(z)
        blocks = jax.vmap(self.generator.jacobian)(z)
        ahead = blocks.ndim - z.ndim
        mine = jnp.eye(self.count, dtype=bool)
        mine = mine.reshape(self.count, *[1] * ahead, self.count, *[1] * (z.ndim - 1))
        return jnp.where(mine, jnp.expand_dims(blocks, ahead + 1), 0)


def copies(generator: Generator, count: int) -> Copies:
    r"""Make several signals of one generator, one from each row of the latent.

    .. math:: (z_1, \dots, z_r) \mapsto (G(z_1), \dots, G(z_r))

    The prior of the spikes of a matrix (``operators.outer`` with a rank), or of frames that are
    measured together.

    Args:
        generator: G, whose latent has a known shape (k,), or any.
        count: r >= 1.

    Returns:
        A generator of latents (r, k) and signals (r, n), which shares the parameters of G;
        ``reflections`` are the latents, and each row alone reflected.

    Raises:
        TypeError: what is no generator.
        ValueError: a count below 1; a generator that does not know the shape of its latent.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = copies(ji.generators.relu(jax.random.key(0), (2, 8, 6)), 3)
        >>> G(jax.numpy.ones((3, 2))).shape, len(G.reflections(jax.numpy.ones((3, 2))))
        ((3, 6), 4)
    """
    where = "copies"
    if not isinstance(generator, Generator):
        hint = "Wrap a function of (params, z) by generators.from_function."
        checks.fail_type(where, "generator", "be a generator", generator, hint)
    if generator.in_shape is None:
        hint = "Give its in_shape, as in generators.from_function(..., in_shape=20)."
        checks.fail(where, "generator", "know the shape of its latent", "None", hint)
    return Copies(generator, checks.count(where, "count", count))
