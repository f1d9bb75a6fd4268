"""Several starts of one solver in one batch; the best is chosen by its objective."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, replace, static, units
from jaxinv._core.units import Scale
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver

_PROGRESS = 1e-3
_UNITS = {"u": units.UNKNOWN, "best_losses": units.LOSS}


class RestartsState(NamedTuple):
    """State of ``with_restarts``: the best unknown, its number, and every restart's own state."""

    u: Any
    best: Array
    states: Any
    best_losses: Array
    since_progress: Array


@pytree
class Restarts(Solver):
    """See ``with_restarts``."""

    solver: Any
    num_restarts: int = static()

    @property
    def patience(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the solver which is restarted."""
        return self.solver.patience

    @property
    def judged_by_error(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the solver which is restarted."""
        return self.solver.judged_by_error

    @property
    def takes_trees(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the solver which is restarted."""
        return self.solver.takes_trees

    @property
    def misfits(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the solver which is restarted."""
        return self.solver.misfits

    @property
    def units(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """None where the solver which is restarted has none."""
        return None if self.solver.units is None else _UNITS

    @property
    def scales_unknown(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the solver which is restarted."""
        return self.solver.scales_unknown

    def state_from_units(self, state: Any, scale: Scale) -> Any:
        states = self.solver.state_from_units(state.states, scale)
        return super().state_from_units(state._replace(states=states), scale)

    def check(self, where: str) -> None:
        self.solver.check(where)

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        self.solver.check_problem(where, problem, self.one_start(u0))

    def one_start(self, u0: Any) -> Any:
        for leaf in jax.tree.leaves(u0):
            if leaf.shape[:1] != (self.num_restarts,):
                expected = f"have a first axis of {self.num_restarts} starts"
                hint = "Use family.initial(key, num_restarts)."
                checks.fail("with_restarts", "u0", expected, leaf, hint)
        return _pick(u0, 0)

    def objective(self, problem: Problem, u: Any) -> Array:
        return self.solver.objective(problem, u)

    def _objectives(self, problem: Problem, u: Any) -> Array:
        return jax.vmap(lambda one: self.solver.objective(problem, one))(u)

    def signal(self, problem: Problem, state: Any) -> Array:
        return self.solver.signal(problem, _pick(state.states, state.best))

    def resumed(self, state: RestartsState) -> Any:
        return self.solver.resumed(state.states)

    def prepare(self, problem: Problem) -> Restarts:
        return replace(self, solver=self.solver.prepare(problem))

    def init(self, problem: Problem, u0: Any) -> RestartsState:
        states = jax.vmap(lambda u: self.solver.init(problem, u))(u0)
        losses = self._objectives(problem, u0)
        since = jnp.zeros(self.num_restarts, jnp.int32)
        best = jnp.argmin(losses)
        return RestartsState(_pick(states.u, best), best, states, losses, since)

    def step(self, problem: Problem, state: RestartsState) -> tuple[RestartsState, Info]:
        states, infos = jax.vmap(lambda s: self.solver.step(problem, s))(state.states)
        losses = self._objectives(problem, states.u)
        finite = jnp.isfinite(losses)
        losses = jnp.where(finite, losses, jnp.inf)
        best = jnp.argmin(losses)
        progress = losses < (1 - _PROGRESS) * state.best_losses
        since = jnp.where(progress, 0, state.since_progress + 1)
        # restarts that still improve are waited for; those that are stuck are not
        alive = finite & (since < self.patience)
        error = jnp.maximum(infos.error[best], jnp.max(jnp.where(alive, infos.error, 0)))
        best_losses = jnp.where(progress, losses, state.best_losses)
        following = RestartsState(_pick(states.u, best), best, states, best_losses, since)
        return following, Info(losses[best], error)


def _pick(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def with_restarts(solver: Solver, num_restarts: int) -> Restarts:
    """Run several starts of a solver together and keep the best by measured loss.

    The truth plays no part: the restart with the lowest objective (the data misfit, plus the
    solver's penalty where it has one) at the current step is the
    estimate. All restarts share the problem, so its arrays are read once for all.

    Args:
        solver: any solver.
        num_restarts: R >= 1. The start ``u0`` then has a first axis of R, as
            ``family.initial(key, num_restarts=R)`` returns it.

    Returns:
        A solver whose state has the best unknown as ``u``. ``info.loss`` is the best loss
        after the step; ``info.error`` the largest error among the best restart and those that
        still improve.

    Raises:
        TypeError: not a solver.
        ValueError: a start without that first axis.

    Cost: R times the solver's.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=20)
        >>> key = jax.random.key(0)
        >>> solver = with_restarts(ji.solvers.levenberg_marquardt(), 4)
        >>> u0 = family.initial(key, num_restarts=4)
        >>> ji.solve(solver, family.sample(key), u0).u.shape
        (5,)
    """
    if not isinstance(solver, Solver):
        checks.fail_type("with_restarts", "solver", "be a solver", solver)
    return Restarts(solver, checks.count("with_restarts", "num_restarts", num_restarts))
