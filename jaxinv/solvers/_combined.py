"""What solvers that are made of several share: they promise what each of them promises."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, replace, units
from jaxinv._core.units import Scale
from jaxinv.solvers._base import Solver

_BREADTH = ("squares", "smooth", "any")


class Combined(Solver):
    """A solver with a tuple ``solvers``, and a state with a tuple ``states``."""

    solvers: tuple[Any, ...]

    judged_by_error = True

    @property
    def misfits(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What all of them take."""
        return min((one.misfits for one in self.solvers), key=_BREADTH.index)

    @property
    def units(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """None where one of them has none."""
        known = all(one.units is not None for one in self.solvers)
        return {"u": units.UNKNOWN} if known else None

    @property
    def scales_unknown(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether all of them may."""
        return all(one.scales_unknown for one in self.solvers)

    def to_units(self, scale: Scale) -> Solver:
        known: Any = self
        return replace(known, solvers=tuple(one.to_units(scale) for one in self.solvers))

    def check(self, where: str) -> None:
        for solver in self.solvers:
            solver.check(where)

    def state_from_units(self, state: Any, scale: Scale) -> Any:
        pairs = zip(self.solvers, state.states, strict=True)
        states = tuple(solver.state_from_units(held, scale) for solver, held in pairs)
        return super().state_from_units(state._replace(states=states), scale)


def largest(errors: list[Array]) -> Array:
    """Return the largest of several errors."""
    return jnp.max(jnp.stack(errors))


def require_solver(where: str, argument: str, value: Any) -> Any:
    """Refuse what is no solver."""
    if not isinstance(value, Solver):
        hint = "For example solvers.levenberg_marquardt()."
        checks.fail_type(where, argument, "be a solver", value, hint)
    return value
