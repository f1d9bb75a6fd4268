"""The solver contract: ``init`` and ``step`` on a frozen pytree."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax

from jaxinv._core import checks
from jaxinv.problems import Problem

Array = jax.Array


class Info(NamedTuple):
    """What a step reports and does not need again.

    Attributes:
        loss: ½‖predict(u) − y‖², plus the penalty where the solver has one, at the point
            that the step started from.
        error: the solver's dimensionless stopping measure; its docstring defines it.
    """

    loss: Array
    error: Array


class Solver:
    """An algorithm as a frozen pytree: numeric hyper-parameters are leaves, switches static.

    A subclass gives ``init(problem, u0) -> State`` and ``step(problem, state) -> (State,
    Info)``. State is a NamedTuple of what the next step needs, with the current unknown as
    ``state.u``; its shapes and dtypes never change.
    """

    patience: ClassVar[int] = 500
    """Steps without progress of the loss after which ``solve`` calls a trial STALLED."""

    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that hold one number; an array of them is one per trial of a vmap."""

    def check(self, where: str) -> None:
        """Refuse an array in a field for one number, outside the ``vmap`` that would split it."""
        for name in self.scalars:
            value = getattr(self, name)
            if getattr(value, "ndim", 0):
                hint = "For one value per trial use jax.vmap over the solver."
                checks.fail(where, f"solver.{name}", "be a scalar", value, hint)

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        """Refuse settings that do not fit the problem, as far as they can be looked at."""

    def one_start(self, u0: Any) -> Any:
        """Return one unknown of ``u0``: that itself, except for restarts."""
        return u0

    def objective(self, problem: Problem, u: Any) -> Array:
        """Return what the solver minimizes: the data misfit, plus the penalty where it has one."""
        return problem.loss(u)

    def prepare(self, problem: Problem) -> Any:
        """Return the solver with what can be computed once from the problem; here itself.

        The loops call it before the first step, so that the result is a constant of the loop.
        """
        return self

    def init(self, problem: Problem, u0: Any) -> Any:
        """Return the first state, at ``u0``."""
        raise NotImplementedError

    def step(self, problem: Problem, state: Any) -> tuple[Any, Any]:
        """Return the next state, and an Info with at least ``loss`` and ``error``."""
        raise NotImplementedError
