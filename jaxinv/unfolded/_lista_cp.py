"""LISTA-CP, LISTA-CPSS and TiLISTA: networks of coupled layers whose matrices are trained."""

from __future__ import annotations

from typing import Any

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._coupled import coupled_layers
from jaxinv.unfolded._shared import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    bypass_schedule,
    first_weights,
    measurement,
)


def lista_cp(
    operator: Any,
    num_layers: int,
    *,
    tied: bool = False,
    initial_weights: str = "analytic",
    noise: Any = 0.0,
) -> Layers:
    r"""Make LISTA-CP: coupled layers with a trained matrix each.

    .. math:: x_{t+1} = S_{\theta_t}\bigl(x_t + W_t^* (y - A x_t)\bigr)

    Weights that recover sparse signals satisfy this coupling of the two matrices of LISTA as
    t grows. Prefer ``lista_cpss``, which converges faster; ``alista`` if training must be fast.

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        tied: one W for all layers.
        initial_weights: first weights: ``"analytic"`` (``analytic_weights(A)``, θ geometric) or
            ``"adjoint"`` (W = A / L, θ = 0.4 / L, L = 1.001 ‖A‖², as published).
        noise: ρ >= 0 of ``analytic_weights``; 1 suits an SNR up to 45 dB.

    Returns:
        ``Layers``; trained are ``weights`` and ``threshold``. The thresholds are meant for
        entries of size 1: scale y by one number otherwise, or train.

    Raises:
        ValueError: A with a zero column or more rows than columns; other ``initial_weights``.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista_cp(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.weights.shape, layers.trainable
        ((8, 50, 100), ('weights', 'threshold'))

    Source: Chen, Liu, Wang, Yin (2018), equation (15).
    """
    return _trained("lista_cp", operator, num_layers, None, tied, initial_weights, noise)


def lista_cpss(
    operator: Any,
    num_layers: int,
    *,
    tied: bool = False,
    initial_weights: str = "analytic",
    noise: Any = 0.0,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make LISTA-CPSS: coupled layers with support selection.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(x_t + W_t^* (y - A x_t)\bigr), \qquad
        p_t = \min(p (t + 1), p_{\max})

    The largest p_t n entries, if above θ, are trusted to be in the support and pass unshrunk,
    which removes the bias of the threshold where it does most harm.

    Args:
        operator, num_layers, tied, initial_weights, noise: as in ``lista_cp``.
        bypass_rate: p, growth of the share per layer, in [0, 1]; may be traced.
        bypass_limit: p_max, in [0, 1]; about 1.3 times the expected share of nonzero entries.

    Returns:
        ``Layers``; trained are ``weights`` and ``threshold``.

    Raises:
        ValueError: as ``lista_cp``; a share outside [0, 1].

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista_cpss(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 3)
        >>> [round(float(p), 3) for p in layers.solver.bypass]
        [0.012, 0.024, 0.036]

    Source: Chen, Liu, Wang, Yin (2018), equations (16) to (18).
    """
    shares = bypass_schedule("lista_cpss", num_layers, bypass_rate, bypass_limit)
    return _trained("lista_cpss", operator, num_layers, shares, tied, initial_weights, noise)


def tilista(
    operator: Any,
    num_layers: int,
    *,
    initial_weights: str = "analytic",
    noise: Any = 0.0,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make TiLISTA: one trained matrix for all layers, a step and a threshold for each.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr)

    Args:
        operator, num_layers, initial_weights, noise, bypass_rate, bypass_limit: as in
            ``lista_cpss``.

    Returns:
        ``Layers``; trained are ``weights`` (shared), ``step_size`` and ``threshold``.

    Raises:
        ValueError: as ``lista_cpss``.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = tilista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.weights.shape, layers.solver.step_size.shape
        ((50, 100), (8,))

    Source: Liu, Chen, Wang, Yin (2019), equation (8).
    """
    where = "tilista"
    given = measurement(where, operator)
    weights, thresholds = first_weights(where, given, num_layers, initial_weights, noise)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    trained = ("weights", "step_size", "threshold")
    return coupled_layers(
        given, weights, thresholds, shares, shared=("weights",), trainable=trained
    )


def _trained(
    where: str,
    operator: Any,
    num_layers: int,
    shares: Any,
    tied: bool,
    initial_weights: str,
    noise: Any,
) -> Layers:
    given = measurement(where, operator)
    weights, thresholds = first_weights(where, given, num_layers, initial_weights, noise)
    shared = ("weights",) if checks.boolean(where, "tied", tied) else ()
    trained = ("weights", "threshold")
    return coupled_layers(given, weights, thresholds, shares, shared=shared, trainable=trained)
