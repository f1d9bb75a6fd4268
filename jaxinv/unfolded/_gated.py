"""Gated LISTA and AGLISTA: a gain before the residual, an overshoot after the threshold."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._coupled import GATES, coupled_layers
from jaxinv.unfolded._shared import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    THRESHOLDS,
    bypass_schedule,
    first_weights,
    measurement,
    threshold_schedule,
    weights_for,
)

_NONE = "none"
_GATES_SHUT = {"gain": 0.0, "decay": 1.0, "overshoot": 0.0}


def gated_lista(
    operator: Any,
    num_layers: int,
    gain: str = "relu",
    *,
    overshoot: bool = True,
    tied: bool = False,
    initial_weights: str = "analytic",
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make gated LISTA: LISTA-CPSS with gates against estimates that are too small.

    .. math::
        z_t &= S^{p_t}_{\theta_t}\bigl(g_t x_t + W_t^* (y - A (g_t x_t))\bigr), \qquad
        g_t = 1 + a_t \kappa(d_t |x_t|) \\
        x_{t+1} &= o_t z_t + (1 - o_t) x_t, \qquad
        o_t = 1 + \frac{b_t \theta_t}{|z_t - x_t| + 0.1}

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        gain: κ: ``"relu"``, ``"exp"``, ``"inv"``, ``"sigmoid"`` (see ``Coupled``), or ``"none"``.
        overshoot: whether there is an overshoot gate.
        tied, initial_weights, bypass_rate, bypass_limit: as in ``lista_cpss``.

    Returns:
        ``Layers``; untrained (a = b = 0, d = 1) they are LISTA-CPSS. Trained are ``weights``,
        ``threshold``, ``gain`` and ``decay`` (a, d), and ``overshoot`` (b).

    Raises:
        ValueError: as ``lista_cpss``; another ``gain``.

    Notes: the gates have the scale of signals with entries of size 1. Numbers are one a layer,
        where the authors have one per entry; b may take either sign in training.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = gated_lista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8, "exp")
        >>> layers.trainable
        ('weights', 'threshold', 'gain', 'decay', 'overshoot')

    Source: Wu, Guo, Li, Zhang (2020), gain and overshoot gates.
    """
    where = "gated_lista"
    given = measurement(where, operator)
    weights, thresholds = first_weights(where, given, num_layers, initial_weights)
    checks.choice(where, "gain", gain, (*GATES, _NONE))
    overshoot = checks.boolean(where, "overshoot", overshoot)
    shares = bypass_schedule(where, len(thresholds), bypass_rate, bypass_limit)
    with_gain = gain != _NONE
    trained = ("weights", "threshold")
    trained += ("gain", "decay") if with_gain else ()
    trained += ("overshoot",) if overshoot else ()
    shared = ("weights",) if checks.boolean(where, "tied", tied) else ()
    return coupled_layers(
        given,
        weights,
        thresholds,
        shares,
        shared=(*shared, "step_size"),
        trainable=trained,
        gate=gain,
        **_shut(weights.dtype, with_gain, overshoot),
    )


def aglista(
    operator: Any,
    num_layers: int,
    *,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make AGLISTA: ALISTA with gain and overshoot gates, five numbers a layer.

    .. math::
        z_t &= S^{p_t}_{\theta_t}\bigl(g_t x_t + \gamma_t W^* (y - A (g_t x_t))\bigr), \qquad
        g_t = 1 + a_t \theta_t e^{-d_t |x_t|} \\
        x_{t+1} &= o_t z_t + (1 - o_t) x_t, \qquad
        o_t = 1 + \frac{b_t}{|z_t - x_t| + 0.01}

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        bypass_rate, bypass_limit: as in ``alista``.

    Returns:
        ``Layers``; untrained (a = b = 0) they are ``alista`` with ``adaptive=False``. Trained are
        ``step_size``, ``threshold``, ``gain`` (a), ``decay`` (d) and ``overshoot`` (b).

    Raises:
        ValueError: as ``alista``.

    Notes: the gates have the scale of signals with entries of size 1. The gain is in units of
        the layer's own θ, the authors' in those of the layer before: the same set of networks.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = aglista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.trainable
        ('step_size', 'threshold', 'gain', 'decay', 'overshoot')

    Source: Wu, Guo, Li, Zhang (2020); with the constants of Behrens, Sauder, Jung (2021).
    """
    where = "aglista"
    given = measurement(where, operator)
    num_layers = checks.count(where, "num_layers", num_layers)
    weights = weights_for(where, "operator", given.matrix)
    thresholds = threshold_schedule(num_layers, *THRESHOLDS)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    return coupled_layers(
        given,
        weights,
        thresholds,
        shares,
        shared=("weights",),
        trainable=("step_size", "threshold", "gain", "decay", "overshoot"),
        gate="exp",
        scaled=("gain",),
        margin=0.01,
        **_shut(weights.dtype, True, True),
    )


def _shut(dtype: Any, gain: bool, overshoot: bool) -> dict[str, Any]:
    """Return the numbers of gates that do nothing yet, of those that there are."""
    kept = {"gain": gain, "decay": gain, "overshoot": overshoot}
    real = jnp.finfo(dtype).dtype
    return {k: jnp.asarray(v, real) for k, v in _GATES_SHUT.items() if kept[k]}
