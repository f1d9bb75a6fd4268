"""Neurally augmented layers: a small LSTM chooses step and threshold of each sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv._core import numerics, pytree
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Solver
from jaxinv.unfolded._layer import correlate
from jaxinv.unfolded._shrink import soft_with_bypass

Array = jax.Array


class NeuralAlistaState(NamedTuple):
    """State of ``NeuralAlista``: the estimate, the LSTM's memory, and the norms at the start."""

    u: Array
    memory: Array
    output: Array
    scales: Array


@pytree
class NeuralAlista(Solver):
    r"""A layer of NA-ALISTA.

    .. math::
        x_{t+1} &= S^{p_t}_{\theta_t}\bigl(x_t + \gamma_t W^* r_t\bigr), \qquad r_t = y - A x_t \\
        f_t &= \log_{10} \Bigl( \frac{\|r_t\|_1}{\|r_0\|_1},
            \frac{\|W^* r_t\|_1}{\|W^* r_0\|_1} \Bigr), \qquad
        (c_{t+1}, h_{t+1}) = \mathrm{LSTM}(f_t, c_t, h_t) \\
        (\gamma_t, \theta_t / \tfrac1n \|W^* r_t\|_1) &=
            \mathrm{softplus}(V_2 \max(V_1 c_{t+1}, 0) + o)

    Every sample has its own steps and thresholds, exactly equivariant to the scale of y.
    ``info.error`` is ‖r_t‖₁ / ‖r_0‖₁.

    Attributes:
        weights: W, shape (m, n).
        cell: matrix of the LSTM, (h + 3, 4 h): input, forget, candidate and output gate; the
            last row is the offset.
        hidden: V₁, shape (h + 1, h); the last row is the offset.
        readout: V₂, shape (h, 2).
        offset: o, shape (2,).
        memory: (c₀, h₀), shape (2, h).
        bypass: p, the share of entries that pass unchanged (support selection).
        operator: the A that the weights were made for; the problem's own is the one applied.
    """

    weights: Array
    cell: Array
    hidden: Array
    readout: Array
    offset: Array
    memory: Array
    bypass: Any
    operator: Any

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> NeuralAlistaState:
        _, norms = self._products(-problem.residual(u0))
        return NeuralAlistaState(u0, self.memory[0], self.memory[1], norms)

    def step(self, problem: Problem, state: NeuralAlistaState) -> tuple[NeuralAlistaState, Info]:
        u = state.u
        residual = -problem.residual(u)
        direction, norms = self._products(residual)
        relative = numerics.safe_divide(norms, state.scales)
        features = jnp.log10(jnp.maximum(relative, jnp.finfo(relative.dtype).eps))
        memory, output = self._recur(features, state.memory, state.output)
        middle = jnp.maximum(_affine(memory, self.hidden), 0)
        step_size, rate = jax.nn.softplus(numerics.matmul(middle, self.readout) + self.offset)
        following = u + step_size.astype(u.dtype) * direction
        following = soft_with_bypass(following, rate * norms[1] / u.size, self.bypass)
        info = Info(0.5 * numerics.sum_squares(residual), relative[0])
        return NeuralAlistaState(following, memory, output, state.scales), info

    def _products(self, residual: Array) -> tuple[Array, Array]:
        """Return W* r, and the 1-norms of r and of that."""
        direction = correlate(self.weights, residual)
        norms = [jnp.sum(jnp.abs(v)) for v in (residual, direction)]
        return direction, jnp.stack(norms).astype(self.cell.dtype)

    def _recur(self, features: Array, memory: Array, output: Array) -> tuple[Array, Array]:
        gates = _affine(jnp.concatenate([features, output]), self.cell)
        entry, keep, candidate, exit_ = jnp.split(gates, 4)
        memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(entry) * jnp.tanh(candidate)
        return memory, jax.nn.sigmoid(exit_) * jnp.tanh(memory)


def _affine(v: Array, matrix: Array) -> Array:
    """Return v times all rows but the last, plus the last."""
    return numerics.matmul(v, matrix[:-1]) + matrix[-1]
