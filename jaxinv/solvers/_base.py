"""The solver contract: ``init`` and ``step`` on a frozen pytree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, TypeVar

from jax import Array

from jaxinv._core import checks, replace, units
from jaxinv._core.units import Scale, Unit
from jaxinv.problems import Problem

T = TypeVar("T")


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
    Info)``, and may give ``signal(problem, state)``. State is a NamedTuple of what the next step
    needs, with the current unknown as ``state.u``; its shapes and dtypes never change.
    """

    patience: ClassVar[int] = 500
    """Steps without progress after which ``solve`` calls a trial STALLED."""

    judged_by_error: ClassVar[bool] = False
    """Whether a smaller ``error`` is progress too: where the objective tends to a positive value,
    of which a thousandth is much."""

    units: ClassVar[Mapping[str, Unit | None] | None] = None
    """Units of the fields of the solver and of its state, by name; those not named have none.
    None in place of a unit: what ``prepare`` has left there is computed again.

    With it the loops divide a problem by powers of two before the first step, so that no square
    over- or underflows. None: the loops leave the problem as it is.
    """

    scales_unknown: ClassVar[bool] = True
    """Whether the unknown may be divided by a unit of its own."""

    takes_trees: ClassVar[bool] = False
    """Whether the unknown may be any tree of arrays; else it is one array."""

    misfits: ClassVar[str] = "squares"
    """Which misfits it takes: "squares" only, "smooth" ones of bounded curvature, or "any"."""

    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that hold one number; an array of them is one per trial of a vmap."""

    made_for: ClassVar[str | None] = None
    """Name of the field that holds the operator that the numbers were made for, if there is one.

    ``unfold`` and training refuse problems with another operator; the field is common.
    """

    common: ClassVar[tuple[str, ...]] = ()
    """Names of fields that all layers of a network share: what is read once, before the first."""

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

    def signal(self, problem: Problem, state: Any) -> Array:
        """Return the estimate of x: G(u), unless a method has a better one.

        The mean of a posterior, for one: it is not G of the mean of the unknown.
        """
        return problem.signal(state.u)

    def prepare(self, problem: Problem) -> Any:
        """Return the solver with what can be computed once from the problem; here itself.

        The loops call it before the first step, so that the result is a constant of the loop.
        """
        return self

    def to_units(self, scale: Scale) -> Solver:
        """Return the solver for a problem that is divided by the units of ``scale``."""
        known: Any = self
        names = [field.name for field in fields(known) if not field.metadata.get("static")]
        return replace(self, **{name: self._divided(name, scale) for name in names})

    def _divided(self, name: str, scale: Scale) -> Any:
        value = getattr(self, name)
        if hasattr(value, "to_units"):
            return value.to_units(scale)
        unit = (self.units or {}).get(name, units.NONE)
        return None if unit is None else units.to_units(value, unit, scale)

    def state_from_units(self, state: T, scale: Scale) -> T:
        """Return a state of a problem that was divided by units, in the units of the caller."""
        known: Any = state
        restored = {
            name: units.from_units(getattr(state, name), unit, scale)
            for name, unit in (self.units or {}).items()
            if unit is not None and name in known._fields
        }
        return known._replace(**restored)

    def init(self, problem: Problem, u0: Any) -> Any:
        """Return the first state, at ``u0``."""
        raise NotImplementedError

    def step(self, problem: Problem, state: Any) -> tuple[Any, Any]:
        """Return the next state, and an Info with at least ``loss`` and ``error``."""
        raise NotImplementedError
