"""The contract of a family: a distribution over problems."""

from __future__ import annotations

from typing import Any

import jax

from jaxinv._core import checks
from jaxinv.problems._padding import key_batch
from jaxinv.problems._problem import Problem


class Family:
    """A distribution over problems: a pytree whose arrays are arguments, never constants.

    A subclass gives ``sample(key) -> Problem``, all random parts from the one key, and usually
    ``initial(key) -> u0``. Where trials share a part, ``axes`` says so.
    """

    @property
    def axes(self) -> Problem:
        """Problem prefix of 0 and None: which parts differ between trials; here all of them.

        For the ``in_axes`` and ``out_axes`` of ``jax.vmap``: a shared operator is not copied.
        """
        return Problem(operator=0, y=0, prior=0, truth=0)

    def sample(self, key: Any) -> Problem:
        """Draw one problem."""
        raise NotImplementedError

    def initial(self, key: Any) -> Any:
        """Draw a start for the unknown."""
        raise NotImplementedError

    def batch(self, keys: Any) -> Problem:
        """Draw one problem per key: ``vmap`` of ``sample`` with the right ``out_axes``."""
        return jax.vmap(self.sample, out_axes=self.axes)(key_batch("batch", keys))


def require_family(where: str, family: Any) -> Family:
    """Return a family that can draw problems; refuse anything else in one line."""
    if not isinstance(family, Family):
        hint = "Make one with jaxinv.problems, or subclass problems.Family."
        checks.fail_type(where, "family", "be a family of problems", family, hint)
    if type(family).sample is Family.sample:
        hint = "Give it a method sample(key) that returns a Problem."
        checks.fail_type(where, "family", "have a method sample of its own", family, hint)
    return family
