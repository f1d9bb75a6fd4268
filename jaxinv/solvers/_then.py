"""One solver after another: the second goes on from where the first has ended."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import Array, lax

from jaxinv._core import checks, pytree, replace, static
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._combined import Combined, require_solver
from jaxinv.solvers._restarts import Restarts


class ThenState(NamedTuple):
    """State of ``then``: the unknown, and the last states of both solvers."""

    u: Any
    states: tuple[Any, Any]


@pytree
class Then(Combined):
    """See ``then``."""

    solvers: tuple[Any, ...]
    num_steps: int = static()

    @property
    def judged_by_error(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the second."""
        return self.solvers[1].judged_by_error

    @property
    def patience(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the second."""
        return self.solvers[1].patience

    @property
    def takes_trees(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether both do."""
        return all(solver.takes_trees for solver in self.solvers)

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        self.solvers[0].check_problem(where, problem, self.one_start(u0))
        self.solvers[1].check_problem(where, problem, u0)

    def one_start(self, u0: Any) -> Any:
        return self.solvers[1].one_start(u0)

    def objective(self, problem: Problem, u: Any) -> Array:
        return self.solvers[1].objective(problem, u)

    def signal(self, problem: Problem, state: ThenState) -> Array:
        return self.solvers[1].signal(problem, state.states[1])

    def resumed(self, state: ThenState) -> Any:
        return self.solvers[1].resumed(state.states[1])

    def prepare(self, problem: Problem) -> Then:
        return replace(self, solvers=tuple(solver.prepare(problem) for solver in self.solvers))

    def init(self, problem: Problem, u0: Any) -> ThenState:
        first, second = (solver.prepare(problem) for solver in self.solvers)
        start = first.init(problem, self.one_start(u0))

        def body(state: Any, _: None) -> tuple[Any, None]:
            return first.step(problem, state)[0], None

        reached = lax.scan(body, start, None, length=self.num_steps)[0]
        u = reached.u
        if isinstance(second, Restarts):
            u = jax.tree.map(lambda starts, one: starts.at[0].set(one), u0, u)
        state = second.init(problem, u)
        return ThenState(state.u, (reached, state))

    def step(self, problem: Problem, state: ThenState) -> tuple[ThenState, Info]:
        following, info = self.solvers[1].step(problem, state.states[1])
        return ThenState(following.u, (state.states[0], following)), info


def then(first: Solver, second: Solver, *, num_steps: int = 100) -> Then:
    """Run a solver for a number of steps, and go on with another from the unknown it has reached.

    For a method that finds the basin and one that finds its floor: ``then(ml_vamp(σ, 1.0),
    levenberg_marquardt())``. A second solver with restarts takes the unknown that was reached as
    the first of its starts, and keeps the rest: the better of both by measured loss.

    Args:
        first: any solver; it runs before the first step that a loop counts.
        second: any solver of the same unknown; its ``info`` is reported.
        num_steps: of the first, >= 1; static.

    Returns:
        A solver; ``state.states`` holds the last states of both.

    Raises:
        TypeError: what is no solver.
        ValueError: no steps.

    Cost: ``num_steps`` of the first, then the second's.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> problem, u0 = family.sample(jax.random.key(0)), family.initial(jax.random.key(0))
        >>> S = ji.solvers
        >>> solver = then(S.ml_vamp(), S.levenberg_marquardt(), num_steps=30)
        >>> sol = ji.solve(solver, problem, u0)
        >>> bool(ji.metrics.relative_error(sol.x, problem.truth.x) < 1e-5)
        True
    """
    solvers = (require_solver("then", "first", first), require_solver("then", "second", second))
    return Then(solvers, checks.count("then", "num_steps", num_steps))
