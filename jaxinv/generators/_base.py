"""The generator contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num, PRNGKeyArray

from jaxinv._core import checks, numerics, pytree, replace
from jaxinv._core.checks import as_function
from jaxinv._core.typed import PyTree


class Generator:
    """A prior map ``x = G(u)``; ``params`` are leaves, the configuration is static.

    A latent search varies the input with ``params`` fixed: the generator itself is the prior.
    An untrained prior varies ``params`` with the input fixed: ``g.untrained(z)``.
    """

    params: Any
    density: ClassVar[Any] = None
    """``energy(z)`` of the latent where it is not N(0, I); a field of those that take one."""

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

    def __call__(self, z: PyTree) -> Inexact[Array, "*signal"]:
        """Return the signal ``x = G(z)``."""
        return self._apply(self._checked(type(self).__name__, z))

    def _checked(self, where: str, z: Any) -> Any:
        """Return ``z`` as an array of the shape that the generator takes, where that is known."""
        if self.in_shape is not None:
            z = checks.array(where, "z", z)
            checks.shape_is(where, "z", z, self.in_shape, "Use jax.vmap for a batch of latents.")
        return z

    def energy(self, z: PyTree) -> Float[Array, ""]:
        """Return −log of the prior density of the latent, up to a constant: ½‖z‖² of N(0, I)."""
        return gaussian_energy(z) if self.density is None else self.density(z)

    def reflections(self, z: PyTree) -> tuple[PyTree, ...]:
        """Return the points where the landscape at ``z`` may have a lower twin, ``z`` first.

        The solvers that test signs go to the best of them by measured loss: z and −z, where
        the expected loss of a random ReLU network has its basins (Hand, Voroninski, 2018).
        """
        return z, jax.tree.map(jnp.negative, z)

    @property
    def unknown_like(self) -> Any:
        """A tree with the shapes that the unknown must have, or None where any may do."""
        return None if self.in_shape is None else jax.ShapeDtypeStruct(self.in_shape, jnp.float32)

    def jacobian(self, z: Num[ArrayLike, "*latent"]) -> Inexact[Array, "..."]:
        """Return the latent Jacobian Λ_z of shape ``(*x.shape, *z.shape)``."""
        return jax.jacfwd(self.__call__)(z)

    def untrained(self, z: Any, *, init: Callable[[Any], Any] | None = None) -> Untrained:
        """Return the prior whose unknown is ``params``, for the fixed input ``z``.

        Args:
            z: the input.
            init: a function of a key that draws fresh parameters (or makes an nnx module), for
                generators that cannot: ``from_function`` and nnx modules.
        """
        if init is not None:
            init = as_function("untrained", "init", init, "init(key)")
        return Untrained(self, z, init)

    @property
    def can_redraw(self) -> bool:
        """Whether ``fresh`` knows how to draw parameters."""
        return False

    def fresh(self, key: PRNGKeyArray, z: PyTree) -> Any:
        """Return parameters for a new start at the input ``z``."""
        raise NotImplementedError

    def completed(self, params: Any) -> Any:
        """Return all parameters, given those that an ``init`` made."""
        return params

    def split(self, params: Any) -> tuple[Any, Any]:
        """Return the parameters that descent changes, and what the layers carry along."""
        return params, ()

    def join(self, params: Any, carried: Any) -> Any:
        """Return all parameters, which ``split`` has taken apart."""
        return params

    def train(
        self, params: Any, carried: Any, z: PyTree, key: PRNGKeyArray
    ) -> tuple[Inexact[Array, "*signal"], Any]:
        """Return the signal as during training, and what the layers carry along then."""
        return with_params(self, self.join(params, carried))(z), carried


def gaussian_energy(z: PyTree) -> Float[Array, ""]:
    """Return ½‖z‖² of any tree."""
    squares = [numerics.sum_squares(leaf) for leaf in jax.tree.leaves(z)]
    return 0.5 * sum(squares[1:], squares[0])


@pytree
class Untrained:
    """The map ``params -> G(z; params)`` for a fixed ``z``; see ``Generator.untrained``."""

    generator: Generator
    z: Any
    initializer: Any = None

    @property
    def in_shape(self) -> None:
        """The unknown is a tree of parameters, not one array."""
        return None

    @property
    def unknown_like(self) -> Any:
        """The tree of parameters."""
        return self.generator.params

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

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of the fixed input, or None where it is not one array of floating numbers."""
        dtype = getattr(self.z, "dtype", None)
        floating = dtype is not None and jnp.issubdtype(dtype, jnp.inexact)
        return self.z.shape if floating else None

    @property
    def can_redraw(self) -> bool:
        """Whether a key draws fresh parameters; else every start is the generator's own."""
        return self.initializer is not None or self.generator.can_redraw

    def init(self, key: Any) -> Any:
        """Return fresh parameters; the generator's own where only its maker knows how."""
        where = "Untrained.init"
        key = checks.key(where, key)
        if not self.can_redraw:
            return self.params
        if self.initializer is None:
            drawn = self.generator.fresh(key, self.z)
        else:
            drawn = self.generator.completed(self.initializer(key))
        got, wanted = (jax.tree.map(jnp.shape, jax.tree.leaves(t)) for t in (drawn, self.params))
        if got != wanted:
            expected = f"make the generator's shapes {wanted}"[:200]
            checks.fail(where, "init", expected, f"{got}"[:200])
        return jax.tree.unflatten(jax.tree.structure(self.params), jax.tree.leaves(drawn))

    def draw(self, key: Any) -> Untrained:
        """Return this prior with fresh parameters; its input comes from outside."""
        return replace(self, generator=with_params(self.generator, self.init(key)))

    def split(self, params: Any) -> tuple[Any, Any]:
        """See ``Generator.split``."""
        return self.generator.split(params)

    def join(self, params: Any, carried: Any) -> Any:
        """See ``Generator.join``."""
        return self.generator.join(params, carried)

    def train(self, params: Any, carried: Any, key: Array) -> tuple[Array, Any]:
        """See ``Generator.train``."""
        return self.generator.train(params, carried, self.z, key)

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
        """Return the signal for these parameters; it has no slope in what layers carry along."""
        params, carried = self.split(params)
        params = self.join(params, jax.lax.stop_gradient(carried))
        return with_params(self.generator, params)(self.z)


def with_params(generator: Generator, params: Any) -> Generator:
    """Return the generator with other parameters of the same structure."""
    return replace(generator, params=params)
