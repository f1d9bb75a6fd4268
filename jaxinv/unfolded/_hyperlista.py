"""HyperLISTA: every threshold, momentum and support size from the sample itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import (
    Measurement,
    correlate,
    measurement,
    soft_with_bypass,
    weights_for,
)

# c1 n, c2 n, c3: tuned once on 250 x 500, one signal entry in ten, no noise
_CONSTANTS = (7.5, 1.7, 0.45)


class HyperListaState(NamedTuple):
    """State of ``HyperLista``: two estimates, and ‖A⁺y‖₁."""

    u: Array
    previous: Array
    scale: Array


@pytree
class HyperLista(Solver):
    r"""A layer of ``hyperlista``.

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

    def init(self, problem: Problem, u0: Array) -> HyperListaState:
        _, direction = self._products(problem.y)
        return HyperListaState(u0, u0, jnp.sum(jnp.abs(direction)))

    def step(self, problem: Problem, state: HyperListaState) -> tuple[HyperListaState, Info]:
        u = state.u
        residual = -problem.residual(u)
        direction, error = self._products(residual)
        misfit = jnp.sum(jnp.abs(error))
        relative = numerics.safe_divide(misfit, state.scale)
        real = numerics.real_dtype(u.dtype)
        step_size = jnp.asarray(self.step_size).astype(real)
        momentum = jnp.asarray(self.momentum_rate).astype(real) * jnp.sum(u != 0).astype(real)
        progress = jnp.maximum(relative, jnp.finfo(real).tiny)
        bypass = -jnp.asarray(self.bypass_rate).astype(real) * jnp.log(progress)
        following = u + step_size * direction + momentum * (u - state.previous)
        rate = jnp.asarray(self.threshold_rate) * jnp.asarray(self.step_size)
        following = soft_with_bypass(
            following,
            rate.astype(misfit.dtype) * misfit,
            lax.stop_gradient(jnp.clip(bypass, 0, 1)),
        )
        info = Info(0.5 * numerics.sum_squares(residual), relative)
        return HyperListaState(following, u, state.scale), info

    def _products(self, residual: Array) -> tuple[Array, Array]:
        """Return W* r and A⁺ r."""
        both = correlate(self.weights, residual)
        size = both.size // 2
        return both[:size], both[size:]


def hyperlista(
    operator: Any,
    num_layers: int,
    constants: Sequence[Any] | None = None,
    *,
    symmetric: bool = True,
    layered: bool = False,
) -> Layers:
    r"""Make HyperLISTA: three numbers for the whole network, all else from the sample.

    Thresholds follow the misfit in the coordinates of the signal, momentum the number of
    nonzero entries, and the share that passes unshrunk the logarithm of the progress; see
    ``HyperLista``. It needs no gradient training (``tune``), keeps its accuracy when the
    amplitude of the signals changes (to any number) and when they become sparser.

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        constants: (c₁, c₂, c₃); default (7.5/n, 1.7/n, 0.45), tuned for m = n/2 and one nonzero
            entry in ten. ``tune`` finds them for another family. May be traced.
        symmetric: the symmetric analytic weights, as published; otherwise the plain ones.
        layered: three numbers for every layer, to be trained by ``fit`` from these.

    Returns:
        ``Layers``; trained are ``threshold_rate``, ``momentum_rate``, ``bypass_rate``. The
        gradient of the last is 0: the choice of the entries that pass is not differentiable.

    Raises:
        ValueError: A with a zero column or more rows than columns, or without full row rank;
            not three constants, or negative ones.

    Cost: a layer takes 3 m n multiplications.

    Notes: the default constants are those of n = 500. Where the first threshold exceeds
        max|Wᵀy| nothing ever moves: one in twenty of the samples at n = 40, none of 200 at
        n = 200. ``tune`` finds smaller constants for small problems.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = hyperlista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 16)
        >>> layers.solver.threshold_rate.shape, layers.num_layers
        ((), 16)

    Source: Chen, Liu, Wang, Yin (2021), equations (12) to (15).
    """
    where = "hyperlista"
    given = measurement(where, operator)
    num_layers = checks.count(where, "num_layers", num_layers)
    size = given.matrix.shape[1]
    if constants is None:
        constants = (_CONSTANTS[0] / size, _CONSTANTS[1] / size, _CONSTANTS[2])
    if getattr(constants, "shape", None) == (3,):
        constants = tuple(constants)
    if not isinstance(constants, tuple | list) or len(constants) != 3:
        checks.fail(where, "constants", "be three numbers (c1, c2, c3)", constants)
    rates = [
        checks.nonnegative(where, f"constants[{i}]", c, single=True)
        for i, c in enumerate(constants)
    ]
    real = jnp.finfo(given.matrix.dtype).dtype
    symmetric = checks.boolean(where, "symmetric", symmetric)
    solver = HyperLista(
        weights=_weights(given, symmetric),
        threshold_rate=jnp.asarray(rates[0], real),
        momentum_rate=jnp.asarray(rates[1], real),
        bypass_rate=jnp.asarray(rates[2], real),
        step_size=jnp.ones((), real),
        operator=given.operator,
    )
    trained = ("threshold_rate", "momentum_rate", "bypass_rate")
    shared = ("weights", "step_size", "operator")
    if checks.boolean(where, "layered", layered):
        trained = (*trained, "step_size")
        shared = ("weights", "operator")
    else:
        shared = (*shared, *trained)
    return Layers.repeat(solver, num_layers, shared=shared, trainable=trained)


def _weights(given: Measurement, symmetric: bool) -> Any:
    """Return [W | (A⁺)*]."""
    matrix = given.matrix
    weights = weights_for("hyperlista", "operator", matrix, symmetric)
    if checks.is_concrete(matrix):
        wide = complex if np.iscomplexobj(matrix) else float
        inverse = jnp.asarray(np.linalg.pinv(np.asarray(matrix, wide)), matrix.dtype)
    else:
        inverse = jnp.linalg.pinv(matrix)
    return jnp.concatenate([weights, jnp.conj(inverse.T)], axis=1)
