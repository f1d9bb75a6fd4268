"""HyperLISTA: every threshold, momentum and support size from the sample itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv._core import numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Solver
from jaxinv.unfolded._layer import correlate
from jaxinv.unfolded._shrink import soft_with_bypass

Array = jax.Array


class HyperListaState(NamedTuple):
    """State of ``HyperLista``: two estimates, and ‖A⁺y‖₁."""

    u: Array
    previous: Array
    scale: Array


@pytree
class HyperLista(Solver):
    r"""A layer of HyperLISTA.

    .. math::
        x_{t+1} &= S^{p_t}_{\theta_t}\bigl(x_t + \gamma W^* (y - A x_t)
            + \beta_t (x_t - x_{t-1})\bigr) \\
        \theta_t &= c_1 \gamma \|A^+ (A x_t - y)\|_1, \qquad \beta_t = c_2 \|x_t\|_0 \\
        p_t n &= c_3 n \log \frac{\|A^+ y\|_1}{\|A^+ (A x_t - y)\|_1}, \quad 0 \le p_t \le 1

    ``info.error`` is ‖A⁺(A x_t − y)‖₁ / ‖A⁺y‖₁. The rules are exactly equivariant to the scale
    of y, and the support that passes is a constant for differentiation.

    Attributes:
        weights: [W | (A⁺)*], shape (m, 2 n), so that one product serves both.
        threshold_rate: c₁ > 0 (the coherence is part of it).
        momentum_rate: c₂ >= 0 (the coherence is part of it).
        bypass_rate: c₃ >= 0.
        step_size: γ, 1 for weights with w_i* a_i = 1.
        operator: the A that the weights were made for.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    threshold_rate: Any
    momentum_rate: Any
    bypass_rate: Any
    step_size: Any
    operator: Any
    positive: tuple[str, ...] = static(
        default=("threshold_rate", "momentum_rate", "bypass_rate", "step_size")
    )

    def init(self, problem: Problem, u0: Array) -> HyperListaState:
        _, direction = self._products(problem.y)
        return HyperListaState(u0, u0, jnp.sum(jnp.abs(direction)))

    def step(self, problem: Problem, state: HyperListaState) -> tuple[HyperListaState, Info]:
        u = state.u
        real = numerics.real_dtype(u.dtype)
        c1, c2, c3, step_size = (
            jnp.asarray(value).astype(real)
            for value in (
                self.threshold_rate,
                self.momentum_rate,
                self.bypass_rate,
                self.step_size,
            )
        )
        residual = -problem.residual(u)
        direction, error = self._products(residual)
        misfit = jnp.sum(jnp.abs(error))
        relative = numerics.safe_divide(misfit, state.scale)
        threshold = c1 * step_size * misfit
        momentum = c2 * jnp.sum(u != 0).astype(real)
        tiny = jnp.finfo(real).tiny
        bypass = jnp.clip(-c3 * jnp.log(jnp.maximum(relative, tiny)), 0, 1)
        following = u + step_size * direction + momentum * (u - state.previous)
        following = soft_with_bypass(following, threshold, lax.stop_gradient(bypass))
        info = Info(0.5 * numerics.sum_squares(residual), relative)
        return HyperListaState(following, u, state.scale), info

    def _products(self, residual: Array) -> tuple[Array, Array]:
        """Return W* r and A⁺ r."""
        both = correlate(self.weights, residual)
        size = both.size // 2
        return both[:size], both[size:]
