"""Gated layers: a gain before the residual, an overshoot after the threshold."""

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

GATES = ("relu", "exp", "inv", "sigmoid")
_INVERSE_SIZE, _INVERSE_FLOOR = 0.2, 1e-3  # as published


class GatedState(NamedTuple):
    """State of ``Gated``: the estimate."""

    u: Array


@pytree
class Gated(Solver):
    r"""A layer of gated LISTA and of AGLISTA.

    .. math::
        g_t &= 1 + a_t \, \kappa(d_t |x_t|) \\
        z_t &= S^{p_t}_{\theta_t}\bigl(g_t x_t + \gamma_t W_t^* (y - A (g_t x_t))\bigr) \\
        x_{t+1} &= o_t z_t + (1 - o_t) x_t, \qquad
        o_t = 1 + \frac{b_t}{|z_t - x_t| + \epsilon}

    Products are entry by entry. The gain undoes what thresholds took from entries that are too
    small; the overshoot moves further where a step was short. κ(s) is (1 − s)₊ (``"relu"``),
    exp(−s), 0.2 / (0.001 + s) (``"inv"``) or 1 / (1 + exp(s)) (``"sigmoid"``). ``info.error`` is
    ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        weights: W, shape (m, n).
        step_size: γ.
        threshold: θ >= 0, a scalar, or one per entry.
        bypass: p, the share of entries that pass unchanged (support selection); None for none.
        gain: a; None for no gain.
        decay: d > 0, a scalar, or one per entry; None for no gain.
        overshoot: b; None for no overshoot.
        operator: the A that the weights were made for; the problem's own is the one applied.
        gate: the name of κ.
        scaled: which of ``gain`` and ``overshoot`` are in units of θ.
        margin: ε.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    step_size: Any
    threshold: Any
    bypass: Any
    gain: Any
    decay: Any
    overshoot: Any
    operator: Any
    gate: str = static(default="relu")
    scaled: tuple[str, ...] = static(default=("overshoot",))
    margin: float = static(default=0.1)
    positive: tuple[str, ...] = static(default=("threshold", "decay"))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> GatedState:
        return GatedState(u0)

    def step(self, problem: Problem, state: GatedState) -> tuple[GatedState, Info]:
        u = state.u
        gained = u if self.gain is None else self._gain(u) * u
        residual = -problem.residual(gained)
        direction = correlate(self.weights, residual)
        following = gained + jnp.asarray(self.step_size).astype(u.dtype) * direction
        following = soft_with_bypass(following, self.threshold, self.bypass)
        if self.overshoot is not None:
            move = following - u
            excess = self._strength("overshoot", u) / (jnp.abs(move) + self.margin)
            following += excess.astype(u.dtype) * move
        error = relative_change(following, u)
        return GatedState(following), Info(problem.loss(u), error)

    def _gain(self, u: Array) -> Array:
        real = numerics.real_dtype(u.dtype)
        distance = jnp.asarray(self.decay).astype(real) * jnp.abs(u)
        opening = gate(self.gate, distance)
        return (1 + self._strength("gain", u) * opening).astype(u.dtype)

    def _strength(self, name: str, u: Array) -> Array:
        """Return a gate's number, times θ where it is in units of that."""
        real = numerics.real_dtype(u.dtype)
        strength = jnp.asarray(getattr(self, name)).astype(real)
        if name in self.scaled:
            strength *= jnp.maximum(jnp.asarray(self.threshold), 0).astype(real)
        return strength


def gate(name: str, distance: Array) -> Array:
    """Return κ of d |x| >= 0: largest at 0, falling to 0."""
    if name == "relu":
        return jnp.maximum(1 - distance, 0)
    if name == "exp":
        return jnp.exp(-distance)
    if name == "inv":
        return _INVERSE_SIZE / (_INVERSE_FLOOR + distance)
    return jax.nn.sigmoid(-distance)
