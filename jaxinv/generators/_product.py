"""Products of generators: the prior of blind problems."""

from __future__ import annotations

import itertools
from typing import Any

from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, pytree
from jaxinv.generators._base import Generator


@pytree
class Product(Generator):
    """The entrywise product of two generators; see ``product``."""

    first: Any
    second: Any

    @property
    def params(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The parameters of both."""
        return self.first.params, self.second.params

    @property
    def in_shape(self) -> None:
        """The unknown is a pair, not one array."""
        return None

    @property
    def unknown_like(self) -> Any:
        """The pair of what each takes, where both are known."""
        pair = self.first.unknown_like, self.second.unknown_like
        return None if None in pair else pair

    @property
    def zero_is_fixed(self) -> bool:
        """At (0, 0) every derivative is 0: each factor is what the other's is multiplied by."""
        return True

    def _apply(self, z: Any) -> Array:
        if not (isinstance(z, tuple | list) and len(z) == 2):
            checks.fail_type("Product", "z", "be a pair (z1, z2)", z)
        one, two = self.first(z[0]), self.second(z[1])
        checks.shape_is("Product", "the second factor", two, one.shape, "As the first has.")
        return one * two

    def energy(self, z: Any) -> Float[Array, ""]:
        """Return the sum of both energies: the factors are independent."""
        return self.first.energy(z[0]) + self.second.energy(z[1])

    def reflections(self, z: Any) -> tuple[Any, ...]:
        """Return every pair of the reflections of the factors: four, ``z`` first."""
        pairs = itertools.product(self.first.reflections(z[0]), self.second.reflections(z[1]))
        return tuple(pairs)


def product(first: Generator, second: Generator) -> Product:
    r"""Multiply two generators entry by entry: blind demodulation and deconvolution.

    .. math:: x = G_1(z_1) \odot G_2(z_2)

    The unknown is the pair (z1, z2), which ``levenberg_marquardt``, ``subgradient`` and
    ``gradient`` take as it is. Measure through ``operators.subsampled_fourier`` of a whole mask
    for a convolution of two signals. Factors are known up to a constant c and 1/c only, where
    they are homogeneous: compare products.

    Args:
        first: a generator of signals of shape (n,), or any.
        second: another, of signals of the same shape.

    Returns:
        A generator whose latent is a tuple of two; ``reflections`` are the four pairs of signs.

    Raises:
        TypeError: what is no generator; at the call, what is no pair.
        ValueError: at the call, factors of different shapes.

    Example:
        >>> import jax, jaxinv as ji
        >>> keys = jax.random.split(jax.random.key(0))
        >>> G = product(*(ji.generators.relu(key, (2, 8, 6)) for key in keys))
        >>> G((jax.numpy.ones(2), jax.numpy.ones(2))).shape
        (6,)

    Source: Hand, Joshi (2019), blind demodulation with generative priors.
    """
    for name, factor in (("first", first), ("second", second)):
        if not isinstance(factor, Generator):
            hint = "Wrap a function of (params, z) by generators.from_function."
            checks.fail_type("product", name, "be a generator", factor, hint)
    return Product(first, second)
