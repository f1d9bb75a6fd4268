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

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> Any:
        _, direction = self.products(problem.y)
        return HyperListaState(u0, u0, jnp.sum(jnp.abs(direction)))

    def step(self, problem: Problem, state: Any) -> tuple[Any, Info]:
        residual = -problem.residual(state.u)
        direction, error = self.products(residual)
        misfit = jnp.sum(jnp.abs(error))
        relative = numerics.safe_divide(misfit, state.scale)
        following = self.follow(state.u, state.previous, direction, misfit, state.scale)
        info = Info(0.5 * numerics.sum_squares(residual), relative)
        return HyperListaState(following, state.u, state.scale), info

    def follow(
        self, u: Array, previous: Array, direction: Array, misfit: Array, scale: Array
    ) -> Array:
        """Return the estimate after ``u``, by the three rules."""
        real = numerics.real_dtype(u.dtype)
        step_size = jnp.asarray(self.step_size).astype(real)
        momentum = jnp.asarray(self.momentum_rate).astype(real) * jnp.sum(u != 0).astype(real)
        progress = jnp.maximum(numerics.safe_divide(misfit, scale), jnp.finfo(real).tiny)
        bypass = -jnp.asarray(self.bypass_rate).astype(real) * jnp.log(progress)
        following = u + step_size * direction + momentum * (u - previous)
        return soft_with_bypass(
            following, self.threshold(misfit), lax.stop_gradient(jnp.clip(bypass, 0, 1))
        )

    def threshold(self, misfit: Array) -> Array:
        """Return θ = c₁ γ ‖A⁺(A x − y)‖₁."""
        rate = jnp.asarray(self.threshold_rate) * jnp.asarray(self.step_size)
        return rate.astype(misfit.dtype) * misfit

    def products(self, residual: Array) -> tuple[Array, Array]:
        """Return W* r and A⁺ r."""
        both = correlate(self.weights, residual)
        size = both.size // 2
        return both[:size], both[size:]
