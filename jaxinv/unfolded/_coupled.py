"""Coupled layers: one matrix a layer, which acts on the residual."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv._core import numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Solver
from jaxinv.unfolded._layer import correlate, relative_change
from jaxinv.unfolded._shrink import soft_with_bypass

Array = jax.Array


class CoupledState(NamedTuple):
    """State of ``Coupled``: the estimate, and the one before it where there is momentum."""

    u: Array
    previous: Array | None


@pytree
class Coupled(Solver):
    r"""A layer of LISTA-CP, LISTA-CPSS, TiLISTA and ALISTA.

    .. math::
        x_{t+1} = S^{p_t}_{\Theta_t}\bigl(x_t + \gamma_t W_t^* r_t
        + \beta_t (x_t - x_{t-1})\bigr), \quad r_t = y - A x_t, \qquad
        \Theta_t = \theta_t \ \text{or}\ \theta_t \|W_t^* r_t\|_1

    The networks differ only in which fields are shared by all layers and which are trained.
    ``info.error`` is ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        weights: W, shape (m, n).
        step_size: γ.
        threshold: θ >= 0, a scalar, or one per entry; without unit where it is relative.
        bypass: p, the share of entries that pass unchanged (support selection); None for none.
        momentum: β; None for none.
        operator: the A that the weights were made for; the problem's own is the one applied.
        relative: whether thresholds are θ times ‖W* r‖₁ of the sample, not θ itself.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    step_size: Any
    threshold: Any
    bypass: Any
    momentum: Any
    operator: Any
    relative: bool = static(default=False)
    positive: tuple[str, ...] = static(default=("threshold",))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> CoupledState:
        return CoupledState(u0, None if self.momentum is None else u0)

    def step(self, problem: Problem, state: CoupledState) -> tuple[CoupledState, Info]:
        u = state.u
        residual = -problem.residual(u)
        direction = correlate(self.weights, residual)
        following = u + jnp.asarray(self.step_size).astype(u.dtype) * direction
        if state.previous is not None:
            following += jnp.asarray(self.momentum).astype(u.dtype) * (u - state.previous)
        threshold = self.threshold
        if self.relative:
            size = jnp.sum(jnp.abs(direction))
            threshold = jnp.asarray(threshold).astype(size.dtype) * size
        following = soft_with_bypass(following, threshold, self.bypass)
        error = relative_change(following, u)
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return CoupledState(following, None if state.previous is None else u), info
