"""Intermediate layer optimization: a search of the latent, then of hidden layers near it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree
from jaxinv.generators._plus_sparse import Shifted
from jaxinv.generators._tail import tail
from jaxinv.problems import Problem
from jaxinv.prox import l1_ball
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._combined import Combined, largest, require_solver
from jaxinv.solvers._fista import fista


class IntermediateLayersState(NamedTuple):
    """State of ``intermediate_layers``: the latent, and a solver's state for each stage."""

    u: Any
    states: Any


@pytree
class IntermediateLayers(Combined):
    """See ``intermediate_layers``."""

    solvers: tuple[Any, ...]

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        num_radii, depth = len(self.solvers) - 1, getattr(problem.prior, "depth", math.inf)
        if num_radii >= depth:
            expected = f"be at most {depth - 1}, one for each layer but the last"
            checks.fail(where, "radii", expected, f"{num_radii}")
        tail(problem.prior, num_radii)
        self.solvers[0].check_problem(where, problem, u0)

    def signal(self, problem: Problem, state: IntermediateLayersState) -> Array:
        stages = self._stages(problem, state.u, [held.u for held in state.states[1:]])
        return stages[-1].signal(state.states[-1].u)

    def _stages(self, problem: Problem, u: Array, moves: Sequence[Array]) -> list[Problem]:
        """Return the problem of each hidden layer: of its move from what the layer before gives."""
        stages, hidden = [], u
        for index, move in enumerate(moves):
            center = problem.prior.between(index, index + 1)(hidden)
            prior = Shifted(tail(problem.prior, index + 1), before=center)
            stages.append(problem._replace(prior=prior))
            hidden = center + move
        return stages

    def init(self, problem: Problem, u0: Array) -> IntermediateLayersState:
        states, moves = [self.solvers[0].init(problem, u0)], []
        for index, solver in enumerate(self.solvers[1:]):
            like = tail(problem.prior, index + 1).in_shape
            moves.append(jnp.zeros(like, u0.dtype))
            stage = self._stages(problem, u0, moves)[-1]
            states.append(solver.init(stage, moves[-1]))
        return IntermediateLayersState(u0, tuple(states))

    def step(
        self, problem: Problem, state: IntermediateLayersState
    ) -> tuple[IntermediateLayersState, Info]:
        first, info = self.solvers[0].step(problem, state.states[0])
        states, moves, errors = [first], [held.u for held in state.states[1:]], [info.error]
        for index, solver in enumerate(self.solvers[1:]):
            stage = self._stages(problem, first.u, moves)[index]
            held, info = solver.step(stage, state.states[index + 1])
            states.append(held)
            moves[index] = held.u
            errors.append(info.error)
        return IntermediateLayersState(first.u, tuple(states)), Info(info.loss, largest(errors))


def intermediate_layers(solver: Solver, radii: Sequence[Any]) -> IntermediateLayers:
    r"""Search the latent, then let hidden layers leave the range, each within an ℓ1 ball.

    .. math::
        \hat z = \arg\min_z \tfrac12 \|A G(z) - y\|^2, \qquad
        \hat h_i = \arg\min_{\|h - H_i(\hat h_{i-1})\|_1 \le r_i} \tfrac12 \|A T_i(h) - y\|^2

    with H_i the i-th layer, T_i = ``generators.tail(G, i)`` and ĥ_0 = ẑ. For signals that G does
    not quite reach: every stage has a largest range, and starts where the one before is.

    Args:
        solver: of the first stage, the search of the latent.
        radii: (r_1, ..., r_p), each > 0, with p < d, the number of layers of G. Larger ones fit
            the measurements better and follow the prior less: choose them by the error on
            measurements kept aside.

    Returns:
        A solver; ``u`` is the latent ẑ, and ``solution.x`` the signal T_p(ĥ_p) of the last stage,
        which is not G(ẑ). ``info.loss`` is that of the last stage, ``info.error`` the largest of
        all stages.

    Raises:
        TypeError: no solver; at the first step, a prior without layers.
        ValueError: no radius, one that is not positive, or as many as there are layers.

    Cost: a step of the solver, and one of ``fista`` on each T_i.

    Notes: where the measurements are not met in the end, stages come to rest at kinks of the
        network, with errors of about 1e-3 and the status STALLED. The stages run side by side, not
        one after the other for a number of steps each: the move h_i − H_i(h_{i-1}) is kept, and
        what a stage starts from follows the one before. The end is the same once each stage has
        converged, and there is no schedule to choose. The released code moves by Adam and
        projects; here each stage is an accelerated proximal gradient method whose prox is the
        projection.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(3, 30, 60), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> solver = intermediate_layers(ji.solvers.levenberg_marquardt(), [0.1])
        >>> sol = ji.solve(solver, problem, family.initial(key))
        >>> sol.u.shape, sol.x.shape
        ((3,), (60,))

    Source: Daras, Dean, Jalal, Dimakis (2021), "Intermediate layer optimization for inverse
        problems using deep generative models", algorithm 1.
    """
    where = "intermediate_layers"
    require_solver(where, "solver", solver)
    if not isinstance(radii, list | tuple) or not radii:
        checks.fail_type(where, "radii", "be a list of radii, one a stage", radii)
    balls = [
        l1_ball(checks.positive(where, f"radii[{index}]", radius, single=True))
        for index, radius in enumerate(radii)
    ]
    return IntermediateLayers((solver, *(fista(prox=ball) for ball in balls)))
