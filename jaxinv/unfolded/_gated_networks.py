"""The networks made of gated layers: gated LISTA, and AGLISTA with analytic weights."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._analytic_weights import weights_for
from jaxinv.unfolded._gated import GATES, Gated
from jaxinv.unfolded._matrix import measurement
from jaxinv.unfolded._shrink import bypass_schedule, threshold_schedule
from jaxinv.unfolded._start import BYPASS_LIMIT, BYPASS_RATE, THRESHOLDS, first_weights

_NONE = "none"
_GATES_SHUT = (0.0, 1.0, 0.0)  # gain, decay, overshoot


def gated_lista(
    A: Any,
    num_layers: int,
    gain: str = "relu",
    overshoot: bool = True,
    *,
    tied: bool = False,
    start: str = "analytic",
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
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        gain: κ: ``"relu"``, ``"exp"``, ``"inv"``, ``"sigmoid"`` (see ``Gated``), or ``"none"``.
        overshoot: whether there is an overshoot gate.
        tied, start, bypass_rate, bypass_limit: as in ``lista_cpss``.

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
    given = measurement(where, A)
    weights, thresholds = first_weights(where, given, num_layers, start)
    checks.choice(where, "gain", gain, (*GATES, _NONE))
    overshoot = checks.boolean(where, "overshoot", overshoot)
    shares = bypass_schedule(where, len(thresholds), bypass_rate, bypass_limit)
    with_gain = gain != _NONE
    solvers = _solvers(
        given.operator,
        weights,
        thresholds,
        shares,
        kept=(with_gain, with_gain, overshoot),
        gate=gain,
        scaled=("overshoot",),
        margin=0.1,
    )
    trained = ("weights", "threshold")
    trained += ("gain", "decay") if with_gain else ()
    trained += ("overshoot",) if overshoot else ()
    shared = ("weights",) if checks.boolean(where, "tied", tied) else ()
    shared = (*shared, "operator", "step_size")
    return Layers.stack(solvers, shared=shared, trainable=trained)


def aglista(
    A: Any,
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
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
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
    given = measurement(where, A)
    num_layers = checks.count(where, "num_layers", num_layers)
    weights = weights_for(where, "A", given.matrix)
    thresholds = threshold_schedule(num_layers, *THRESHOLDS)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    solvers = _solvers(
        given.operator,
        weights,
        thresholds,
        shares,
        kept=(True, True, True),
        gate="exp",
        scaled=("gain",),
        margin=0.01,
    )
    trained = ("step_size", "threshold", "gain", "decay", "overshoot")
    return Layers.stack(solvers, shared=("weights", "operator"), trainable=trained)


def _solvers(
    operator: Any,
    weights: Any,
    thresholds: Any,
    shares: Any,
    *,
    kept: tuple[bool, bool, bool],
    gate: str,
    scaled: tuple[str, ...],
    margin: float,
) -> list[Gated]:
    """Return a layer per threshold; ``kept`` tells of gain, decay and overshoot."""
    real = jnp.finfo(weights.dtype).dtype
    gain, decay, overshoot = (
        jnp.asarray(number, real) if keep else None
        for number, keep in zip(_GATES_SHUT, kept, strict=True)
    )
    return [
        Gated(
            weights=weights,
            step_size=jnp.ones((), real),
            threshold=jnp.asarray(threshold, real),
            bypass=jnp.asarray(shares[layer], real),
            gain=gain,
            decay=decay,
            overshoot=overshoot,
            operator=operator,
            gate=gate,
            scaled=scaled,
            margin=margin,
        )
        for layer, threshold in enumerate(thresholds)
    ]
