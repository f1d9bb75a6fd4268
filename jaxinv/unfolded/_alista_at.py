"""ALISTA-AT: a threshold for each entry, less where the entry is large already."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    THRESHOLDS,
    bypass_schedule,
    correlate,
    measurement,
    relative_change,
    soft_with_bypass,
    threshold_schedule,
    weights_for,
)

_KNEE = 0.1  # as published, for entries of size 1


class AdaptiveThresholdState(NamedTuple):
    """State of ``AdaptiveThreshold``: the estimate."""

    u: Array


@pytree
class AdaptiveThreshold(Solver):
    r"""A layer of ``alista_at``: ALISTA with a threshold for each entry.

    .. math::
        x_{t+1} = S^{p_t}_{\Theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr), \qquad
        \Theta_t = \frac{\theta_t}{1 + |x_t| / \epsilon}

    ``info.error`` is ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        weights: W, shape (m, n).
        step_size: γ.
        threshold: θ > 0.
        knee: ε > 0, the entry whose threshold is half.
        bypass: p, the share of entries that pass unchanged (support selection).
        operator: the A that the weights were made for; the problem's own is the one applied.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    step_size: Any
    threshold: Any
    knee: Any
    bypass: Any
    operator: Any
    positive: tuple[str, ...] = static(default=("threshold", "knee"))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> AdaptiveThresholdState:
        return AdaptiveThresholdState(u0)

    def step(
        self, problem: Problem, state: AdaptiveThresholdState
    ) -> tuple[AdaptiveThresholdState, Info]:
        u = state.u
        residual = -problem.residual(u)
        direction = correlate(self.weights, residual)
        real = numerics.real_dtype(u.dtype)
        threshold = jnp.asarray(self.threshold).astype(real)
        threshold /= 1 + jnp.abs(u) / jnp.asarray(self.knee).astype(real)
        following = u + jnp.asarray(self.step_size).astype(u.dtype) * direction
        following = soft_with_bypass(following, threshold, self.bypass)
        error = relative_change(following, u)
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return AdaptiveThresholdState(following), info


def alista_at(
    operator: Any,
    num_layers: int,
    *,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make ALISTA-AT: ALISTA with a threshold for each entry.

    .. math::
        x_{t+1} = S^{p_t}_{\Theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr), \qquad
        \Theta_t = \frac{\theta_t}{1 + |x_t| / 0.1}

    What is large already is shrunk less. ``alista`` lets thresholds follow the error of the
    sample instead, which is more accurate, at any scale of the signal.

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        bypass_rate, bypass_limit: as in ``alista``.

    Returns:
        ``Layers``; trained are ``step_size`` (from 1) and ``threshold``.

    Raises:
        ValueError: as ``alista``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = alista_at(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.threshold.shape, layers.trainable
        ((8,), ('step_size', 'threshold'))

    Source: Kim, Park (2020), as stated by Behrens, Sauder, Jung (2021).
    """
    where = "alista_at"
    given = measurement(where, operator)
    num_layers = checks.count(where, "num_layers", num_layers)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    weights = weights_for(where, "operator", given.matrix)
    real = jnp.finfo(weights.dtype).dtype
    solvers = [
        AdaptiveThreshold(
            weights=weights,
            step_size=jnp.ones((), real),
            threshold=jnp.asarray(threshold, real),
            knee=jnp.asarray(_KNEE, real),
            bypass=jnp.asarray(shares[layer], real),
            operator=given.operator,
        )
        for layer, threshold in enumerate(threshold_schedule(num_layers, *THRESHOLDS))
    ]
    shared = ("weights", "knee", "operator")
    return Layers.stack(solvers, shared=shared, trainable=("step_size", "threshold"))
