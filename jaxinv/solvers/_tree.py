"""An unknown that is a tree of arrays, as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxinv._core import pytree, static
from jaxinv.problems import Problem


@pytree
class _OfTree:
    """The prior, for the vector that a tree is ravelled into; it lives within one step."""

    prior: Any
    unravel: Callable[[Array], Any] = static()

    def __call__(self, v: Array) -> Any:
        u = self.unravel(v)
        return u if self.prior is None else self.prior(u)


def raveled(problem: Problem, u: Any) -> tuple[Problem, Array, Callable[[Array], Any]]:
    """Return the problem for one vector in place of the tree ``u``, that vector, and the way back.

    One array stays as it is, whatever its shape.
    """
    if isinstance(u, jax.Array):
        return problem, u, lambda v: v
    vector, unravel = ravel_pytree(u)
    return problem._replace(prior=_OfTree(problem.prior, unravel)), vector, unravel
