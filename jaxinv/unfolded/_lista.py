"""LISTA: iterations with two learned matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from jaxinv._core import numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Solver
from jaxinv.unfolded._layer import relative_change
from jaxinv.unfolded._shrink import soft_with_bypass

Array = jax.Array


class ListaState(NamedTuple):
    """State of ``Lista``: the estimate."""

    u: Array


@pytree
class Lista(Solver):
    r"""A layer of LISTA and LISTA-SS.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(W_t x_t + B_t y\bigr)

    The operator itself is never applied by the layer. ``info.error`` is
    ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        encoder: B, shape (n, m).
        recurrent: W, shape (n, n).
        threshold: θ >= 0, a scalar, or one per entry.
        bypass: p, the share of entries that pass unchanged; None for none.
        operator: the A that the weights were made for.
        positive: names of fields that training keeps positive.
    """

    encoder: Array
    recurrent: Array
    threshold: Any
    bypass: Any
    operator: Any
    positive: tuple[str, ...] = static(default=("threshold",))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> ListaState:
        return ListaState(u0)

    def step(self, problem: Problem, state: ListaState) -> tuple[ListaState, Info]:
        u = state.u
        encoded = numerics.matmul(self.encoder, problem.y).astype(u.dtype)
        following = numerics.matmul(self.recurrent, u) + encoded
        following = soft_with_bypass(following, self.threshold, self.bypass)
        error = relative_change(following, u)
        return ListaState(following), Info(problem.loss(u), error)
