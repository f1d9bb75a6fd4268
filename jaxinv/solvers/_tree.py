"""An unknown that is a tree of arrays, as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxinv._core import pytree, static
from jaxinv.generators import FromFlax, Generator
from jaxinv.generators._adapters import FromFunction
from jaxinv.generators._base import gaussian_energy
from jaxinv.problems import Problem


@pytree
class _OfTree:
    """The prior, for the vector that a tree is ravelled into; it lives within one step."""

    prior: Any
    unravel: Callable[[Array], Any] = static()

    def __call__(self, v: Array) -> Any:
        u = self.unravel(v)
        return u if self.prior is None else self.prior(u)

    def energy(self, v: Array) -> Array:
        """Return the energy of the tree."""
        return energy(self.prior, self.unravel(v))

    def reflections(self, v: Array) -> tuple[Array, ...]:
        """Return the reflections of the tree, ravelled."""
        return tuple(ravel_pytree(u)[0] for u in reflections(self.prior, self.unravel(v)))


def energy(prior: Any, u: Any) -> Array:
    """Return −log of the prior density of the unknown: that of the prior, or of N(0, I)."""
    return prior.energy(u) if hasattr(prior, "energy") else gaussian_energy(u)


def is_gaussian(prior: Any) -> bool:
    """Whether the energy is ½‖u‖²."""
    if isinstance(prior, _OfTree):
        return is_gaussian(prior.prior)
    density = getattr(prior, "density", None)
    plain = getattr(type(prior), "energy", Generator.energy) is Generator.energy
    return plain or (isinstance(prior, FromFlax | FromFunction) and density is None)


def reflections(prior: Any, u: Any) -> tuple[Any, ...]:
    """Return where the landscape may have a lower twin of ``u``: u and −u, or as the prior says."""
    if hasattr(prior, "reflections"):
        return prior.reflections(u)
    return u, jax.tree.map(jnp.negative, u)


def raveled(problem: Problem, u: Any) -> tuple[Problem, Array, Callable[[Array], Any]]:
    """Return the problem for one vector in place of the tree ``u``, that vector, and the way back.

    One array stays as it is, whatever its shape.
    """
    if isinstance(u, jax.Array):
        return problem, u, lambda v: v
    vector, unravel = ravel_pytree(u)
    return problem._replace(prior=_OfTree(problem.prior, unravel)), vector, unravel
