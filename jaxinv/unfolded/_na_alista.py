"""NA-ALISTA: a small LSTM chooses step and threshold of each sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics, pytree
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    bypass_schedule,
    correlate,
    measurement,
    soft_with_bypass,
    weights_for,
)

_STEP, _RATE = 1.0, 3.75  # γ and n θ / ‖W*r‖₁ that the untrained network is near
_READOUT = 0.1  # of the usual size: the untrained LSTM has little to say


class NeuralAlistaState(NamedTuple):
    """State of ``NeuralAlista``: the estimate, the LSTM's memory, and the norms at the start."""

    u: Array
    memory: Array
    output: Array
    scales: Array


@pytree
class NeuralAlista(Solver):
    r"""A layer of ``na_alista``.

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


def na_alista(
    key: Any,
    operator: Any,
    num_layers: int,
    num_units: int = 32,
    *,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make NA-ALISTA: an LSTM chooses the steps and thresholds of ALISTA for each sample.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr), \qquad
        (\gamma_t, \theta_t) = \mathrm{LSTM}(\|y - A x_t\|_1, \|W^* (y - A x_t)\|_1)

    One LSTM serves all layers. It pays where few layers must do, or signals differ in how hard
    they are; ``alista`` adapts with two numbers a layer.

    Args:
        key: a JAX PRNG key; decides the LSTM's first weights.
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        num_units: h >= 1, units of the LSTM.
        bypass_rate, bypass_limit: as in ``alista``.

    Returns:
        ``Layers``; trained are ``cell``, ``hidden``, ``readout``, ``offset``, ``memory``, one for
        all layers. Untrained, γ is near 1 and θ near 3.75 ‖W*r‖₁ / n.

    Raises:
        ValueError, TypeError: as ``alista``; not a key.

    Notes: the LSTM sees the logarithms of both norms relative to the start, and chooses the
        threshold in units of ‖W*r‖₁ / n, so that the network is exactly equivariant to the
        scale of y; the authors standardize the norms by those of the first batch.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> matrix = A.matrix / jnp.linalg.norm(A.matrix, axis=0)
        >>> layers = na_alista(jax.random.key(1), matrix, 8, num_units=16)
        >>> layers.solver.cell.shape, layers.solver.readout.shape
        ((19, 64), (16, 2))

    Source: Behrens, Sauder, Jung (2021), section 3.
    """
    where = "na_alista"
    key = checks.key(where, key)
    given = measurement(where, operator)
    num_layers = checks.count(where, "num_layers", num_layers)
    units = checks.count(where, "num_units", num_units)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    weights = weights_for(where, "operator", given.matrix)
    real = jnp.finfo(weights.dtype).dtype
    cell_key, hidden_key, readout_key = jax.random.split(key, 3)
    limit = units**-0.5
    forget = jnp.zeros(4 * units, real).at[units : 2 * units].set(1)  # remember at first
    network = {
        "cell": _uniform(cell_key, (units + 3, 4 * units), limit, real).at[-1].set(forget),
        "hidden": _uniform(hidden_key, (units + 1, units), limit, real).at[-1].set(0),
        "readout": _uniform(readout_key, (units, 2), _READOUT * limit, real),
        # softplus of these is 1 and 3.75
        "offset": jnp.asarray(np.log(np.expm1([_STEP, _RATE])), real),
        "memory": jnp.zeros((2, units), real),
    }
    solvers = [
        NeuralAlista(weights, bypass=share.astype(real), operator=given.operator, **network)
        for share in shares
    ]
    trained = tuple(network)
    return Layers.stack(solvers, shared=(*trained, "weights", "operator"), trainable=trained)


def _uniform(key: Array, shape: tuple[int, int], limit: float, dtype: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -limit, limit)
