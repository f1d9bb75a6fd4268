"""Alternating: one solver for each part of the unknown, a step of each in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax import Array

from jaxinv._core import checks, pytree
from jaxinv.generators._plus_sparse import PlusSparse
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._combined import Combined, largest, require_solver


class AlternatingState(NamedTuple):
    """State of ``alternating``: the parts, and the state of the solver of each."""

    u: Any
    states: Any


@pytree
class Alternating(Combined):
    """See ``alternating``."""

    solvers: tuple[Any, ...]

    takes_trees = True

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        if not hasattr(problem.prior, "part"):
            hint = "generators.plus_sparse(G) is one."
            expected = "be a prior of several parts"
            checks.fail_type(where, "problem.prior", expected, problem.prior, hint)
        if len(u0) != len(self.solvers):
            checks.fail(where, "u0", f"have {len(self.solvers)} parts, one a solver", f"{len(u0)}")
        if isinstance(problem.prior, PlusSparse):
            with_prox = [hasattr(solver, "prox") for solver in self.solvers]
            if with_prox == [True, False]:
                hint = "The one with a penalty is for the sparse part, the last."
                got = ", ".join(type(solver).__name__ for solver in self.solvers)
                checks.fail(where, "solvers", "be in the order of the parts", got, hint)

    def objective(self, problem: Problem, u: Any) -> Array:
        total = loss = problem.loss(u)
        for index, solver in enumerate(self.solvers):
            total = total + (solver.objective(_part(problem, index, u), u[index]) - loss)
        return total

    def init(self, problem: Problem, u0: Any) -> AlternatingState:
        states = [
            solver.init(_part(problem, index, u0), u0[index])
            for index, solver in enumerate(self.solvers)
        ]
        return AlternatingState(u0, tuple(states))

    def step(self, problem: Problem, state: AlternatingState) -> tuple[AlternatingState, Info]:
        u, states, errors = list(state.u), list(state.states), []
        loss = self.objective(problem, state.u)
        for index, solver in enumerate(self.solvers):
            states[index], info = solver.step(_part(problem, index, u), states[index])
            u[index] = states[index].u
            errors.append(info.error)
        following = AlternatingState(type(state.u)(u), tuple(states))
        return following, Info(loss, largest(errors).astype(loss.dtype))


def _part(problem: Problem, index: int, u: Any) -> Problem:
    """Return the problem of one part of the unknown, the others held."""
    return problem._replace(prior=problem.prior.part(index, u))


def alternating(solvers: Sequence[Solver]) -> Alternating:
    r"""Give each part of the unknown its own solver, and take a step of each in turn.

    .. math::
        z \leftarrow z - \delta z \text{ at } s, \qquad s \leftarrow s - \delta s \text{ at } z,
        \qquad \text{both of } \tfrac12 \|A (G(z) + B s) - y\|^2 + R_1(z) + R_2(s)

    On ``generators.plus_sparse(G)``, ``alternating([levenberg_marquardt(), fista(penalty=λ)])`` is
    Sparse-Gen with an exact proximal step for λ‖s‖₁ in place of its subgradient: the sparse part
    has exact zeros. Where both solvers descend, so does this.

    Args:
        solvers: one for each part, in the order of the parts; each takes the same misfits, and
            adds its own penalty.

    Returns:
        A solver; ``u`` is the tuple of parts, ``info.loss`` the misfit plus every penalty, and
        ``info.error`` the largest error of a part, each in its own measure.

    Raises:
        TypeError: what is no solver; at the first step, a prior without parts.
        ValueError: no solver, or another number than the unknown has parts.

    Cost: the sum of the solvers', and one more loss.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> family = ji.problems.generative(widths=(2, 30, 60), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> x = problem.truth.x.at[7].add(0.3)  # near the range
        >>> prior = ji.generators.plus_sparse(problem.prior)
        >>> near = ji.Problem(problem.operator, problem.operator(x), prior)
        >>> S = ji.solvers
        >>> solver = alternating([S.levenberg_marquardt(), S.fista(penalty=1e-3)])
        >>> sol = ji.solve(solver, near, (family.initial(key), jnp.zeros(60)))
        >>> int(jnp.argmax(sol.u[1])), float(ji.metrics.relative_error(sol.x, x)) < 0.02
        (7, True)

    Source: Dhar, Grover, Ermon (2018), equation (5).
    """
    where = "alternating"
    if not isinstance(solvers, list | tuple) or not solvers:
        checks.fail_type(where, "solvers", "be a list of solvers, one for each part", solvers)
    for index, solver in enumerate(solvers):
        require_solver(where, f"solvers[{index}]", solver)
    return Alternating(tuple(solvers))
