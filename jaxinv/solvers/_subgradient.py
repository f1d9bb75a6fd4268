"""Subgradient descent with negation, the algorithm of the recovery theorems."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, replace, static, units
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem, loss_and_gradient
from jaxinv.solvers import _piece
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import gradient_scale, raveled, squared_norm
from jaxinv.solvers._sign import (
    better_sign_gradient,
    better_sign_gradient_in_piece,
    gradient_in_piece,
)

_FIRST_TESTS = 20  # with negate="stagnation": tests at these first steps,
_TEST_PERIOD = 100  # then one in so many, for a loss that has hardly moved since the last
_STEP_PERIOD = 50  # an estimated step is renewed this often
_STAGNANT = 0.01


class SubgradientState(NamedTuple):
    """State of ``subgradient``; ``piece`` is None where it does not pay to keep it."""

    u: Array
    step_size: Array
    num_steps: Array
    tested_loss: Array
    piece: _piece.Piece | None
    scale: Array


class _Descent(NamedTuple):
    """The point kept (u or −u), its piece, loss and gradient, and the loss at the last test."""

    u: Array
    piece: _piece.Piece | None
    loss: Array
    gradient: Array
    tested_loss: Array


@pytree
class Subgradient(Solver):
    """See ``subgradient``."""

    step_size: Any
    tables: _piece.Tables | None = None
    negate: str = static(default="always")

    takes_trees = True
    misfits = "any"
    scalars = ("step_size",)
    units = units.table(
        step_size=units.STEP, u=units.UNKNOWN, tested_loss=units.LOSS, scale=units.GRADIENT
    )

    def prepare(self, problem: Problem) -> Subgradient:
        return replace(self, tables=_piece.tables(problem)) if _piece.pays(problem) else self

    def init(self, problem: Problem, u0: PyTree) -> SubgradientState:
        real = numerics.real_dtype(jnp.result_type(*jax.tree.leaves(u0)))
        if self.step_size is None:
            step_size = _estimated_step(*raveled(problem, u0)[:2])
        else:
            step_size = jnp.asarray(self.step_size)
        table = self._tables(problem)
        return SubgradientState(
            u=u0,
            step_size=step_size.astype(real),
            num_steps=jnp.zeros((), jnp.int32),
            tested_loss=jnp.asarray(jnp.inf, real),
            piece=None if table is None else _piece.start(table, u0),
            scale=gradient_scale(problem, u0),
        )

    def step(self, problem: Problem, state: SubgradientState) -> tuple[SubgradientState, Info]:
        problem, vector, restored = raveled(problem, state.u)
        descent = self._descent(problem, state._replace(u=vector))
        u, step_size = descent.u, state.step_size
        if self.step_size is None:
            step_size = lax.cond(
                state.num_steps % _STEP_PERIOD == _STEP_PERIOD - 1,
                lambda: _estimated_step(problem, u).astype(step_size.dtype),
                lambda: step_size,
            )
        following = u - step_size.astype(u.dtype) * descent.gradient
        error = numerics.safe_norm(descent.gradient) / state.scale
        following_state = SubgradientState(
            u=restored(following),
            step_size=step_size,
            num_steps=state.num_steps + 1,
            tested_loss=descent.tested_loss,
            piece=descent.piece,
            scale=state.scale,
        )
        return following_state, Info(descent.loss, error)

    def _tables(self, problem: Problem) -> _piece.Tables | None:
        """Return the tables: those that ``prepare`` left, or new ones for a step by hand."""
        if not _piece.pays(problem):
            return None
        return _piece.tables(problem) if self.tables is None else self.tables

    def _descent(self, problem: Problem, state: SubgradientState) -> _Descent:
        u, table, piece = state.u, self._tables(problem), state.piece
        if table is not None and piece is not None:
            piece = _piece.move(table, piece, u, state.num_steps)

        def plain() -> _Descent:
            if piece is None:
                loss, gradient = loss_and_gradient(problem, u)
            else:
                loss, gradient = gradient_in_piece(problem, piece, u)
            return _Descent(u, piece, loss, gradient, state.tested_loss)

        def tested() -> _Descent:
            first = (state.num_steps < _FIRST_TESTS) | (self.negate == "always")
            threshold = jnp.where(first, -jnp.inf, (1 - _STAGNANT) * state.tested_loss)
            if table is None or piece is None:
                kept, loss, gradient = better_sign_gradient(problem, u, threshold)
                return _Descent(kept, None, loss, gradient, loss)
            kept, moved, loss, gradient = better_sign_gradient_in_piece(
                problem, table, piece, u, threshold
            )
            return _Descent(kept, moved, loss, gradient, loss)

        if self.negate == "never":
            return plain()
        if self.negate == "always":
            return tested()
        due = (state.num_steps < _FIRST_TESTS) | (state.num_steps % _TEST_PERIOD == 0)
        return lax.cond(due, tested, plain)


def _estimated_step(problem: Problem, u: Array) -> Array:
    """Return 1/λ_max of JᵀJ at ``u``: the largest step that is safe while the pattern holds.

    It is a constant for differentiation.
    """
    problem, u = lax.stop_gradient((problem._replace(truth=None), u))
    return numerics.safe_divide(1.0, squared_norm(problem, u, tol=0.05, max_steps=30))


def subgradient(step_size: Any = None, negate: bool | str = True) -> Subgradient:
    r"""Subgradient descent with the negation test.

    .. math::
        \tilde u_t = -u_t \text{ if } f(-u_t) < f(u_t) \text{ else } u_t, \qquad
        u_{t+1} = \tilde u_t - \alpha v, \quad v \in \partial f(\tilde u_t)

    The algorithm whose recovery theorems this library checks. Levenberg-Marquardt needs a
    hundred times fewer steps and recovers from fewer measurements; use this one to reproduce
    the papers, for large latent spaces, and where a Jacobian does not fit.

    Args:
        step_size: α > 0, scalar, in the scaling of the problem: a step α of the papers
            (weights N(0, 1/n)) is α 2^{-d} for the default He scaling. None: 1/λ_max(JᵀJ),
            by power iteration, renewed every 50 steps.
        negate: True or ``"always"``: test the sign at every step; ``"stagnation"``: at the
            first 20 steps, then every 100 steps where the loss fell by less than 1 % since
            the last test (in ``trace``, and in an unbatched ``solve``, the other steps skip
            one pass of three); False or ``"never"``.

    Returns:
        A solver; ``info.error`` is ‖Jᵀ(A G(ũ_t) − y)‖ / ‖Jᵀy‖, the gradient relative to the one
        that the measurements alone make at the start: no step makes it small. In float32 it can
        fall to about 1e-7.

    Raises:
        ValueError: a step that is not positive, an unknown ``negate``.

    Cost: three passes over the weights a step: forward at ±u, and backward; two without the
        sign test. On CPUs, for a ReLU network whose first layer has ten times as many units as
        the latent entries, the product W_2 D_1 W_1 is kept instead, which changes by a rank-one
        update when a unit of the first layer switches: n_1 k + 2 n_2 k for the first two layers,
        and n_2 k for every unit that switches; the same iterates up to rounding.

    Notes: the papers stop at ‖v‖ < 1e-10, which float32 never reaches.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> sol = ji.solve(subgradient(0.2), family.sample(key), family.initial(key))
        >>> ji.describe(sol.status)[:9]
        'CONVERGED'

    Source: Huang, Hand, Heckel, Voroninski (2021), algorithm 1; Cocola (2022), algorithm 1.
    """
    if step_size is not None:
        step_size = checks.positive("subgradient", "step_size", step_size)
    if isinstance(negate, bool):
        negate = "always" if negate else "never"
    checks.choice("subgradient", "negate", negate, ("always", "stagnation", "never"))
    return Subgradient(step_size, None, negate)
