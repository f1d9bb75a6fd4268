"""The networks made of coupled layers: LISTA-CP, LISTA-CPSS, TiLISTA, ALISTA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._analytic_weights import weights_for
from jaxinv.unfolded._coupled import Coupled
from jaxinv.unfolded._matrix import Measurement, measurement
from jaxinv.unfolded._shrink import bypass_schedule, threshold_schedule
from jaxinv.unfolded._start import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    MOMENTUM,
    MOMENTUM_THRESHOLDS,
    RELATIVE,
    THRESHOLDS,
    first_weights,
)


def lista_cp(
    A: Any, num_layers: int, *, tied: bool = False, start: str = "analytic", noise: Any = 0.0
) -> Layers:
    r"""Make LISTA-CP: coupled layers with a trained matrix each.

    .. math:: x_{t+1} = S_{\theta_t}\bigl(x_t + W_t^* (y - A x_t)\bigr)

    Weights that recover sparse signals satisfy this coupling of the two matrices of LISTA as
    t grows. Prefer ``lista_cpss``, which converges faster; ``alista`` if training must be fast.

    Args:
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        tied: one W for all layers.
        start: first weights: ``"analytic"`` (``analytic_weights(A)``, θ geometric) or
            ``"adjoint"`` (W = A / L, θ = 0.4 / L, L = 1.001 ‖A‖², as published).
        noise: ρ >= 0 of ``analytic_weights``; 1 suits an SNR up to 45 dB.

    Returns:
        ``Layers``; trained are ``weights`` and ``threshold``. The thresholds are meant for
        entries of size 1: scale y by one number otherwise, or train.

    Raises:
        ValueError: A with a zero column or more rows than columns; another ``start``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista_cp(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.weights.shape, layers.trainable
        ((8, 50, 100), ('weights', 'threshold'))

    Source: Chen, Liu, Wang, Yin (2018), equation (15).
    """
    return _trained("lista_cp", A, num_layers, tied, start, noise, bypass=None)


def lista_cpss(
    A: Any,
    num_layers: int,
    *,
    tied: bool = False,
    start: str = "analytic",
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
        A, num_layers, tied, start, noise: as in ``lista_cp``.
        bypass_rate: p, growth of the share per layer, in [0, 1]; may be traced.
        bypass_limit: p_max, in [0, 1]; about 1.3 times the expected share of nonzero entries.

    Returns:
        ``Layers``; trained are ``weights`` and ``threshold``.

    Raises:
        ValueError: as ``lista_cp``; a share outside [0, 1].

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista_cpss(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 3)
        >>> [round(float(p), 3) for p in layers.solver.bypass]
        [0.012, 0.024, 0.036]

    Source: Chen, Liu, Wang, Yin (2018), equations (16) to (18).
    """
    shares = bypass_schedule("lista_cpss", num_layers, bypass_rate, bypass_limit)
    return _trained("lista_cpss", A, num_layers, tied, start, noise, bypass=shares)


def tilista(
    A: Any,
    num_layers: int,
    *,
    start: str = "analytic",
    noise: Any = 0.0,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make TiLISTA: one trained matrix for all layers, a step and a threshold for each.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr)

    Args:
        A, num_layers, start, noise, bypass_rate, bypass_limit: as in ``lista_cpss``.

    Returns:
        ``Layers``; trained are ``weights`` (shared), ``step_size`` and ``threshold``.

    Raises:
        ValueError: as ``lista_cpss``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = tilista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.weights.shape, layers.solver.step_size.shape
        ((50, 100), (8,))

    Source: Liu, Chen, Wang, Yin (2019), equation (8).
    """
    where = "tilista"
    given = measurement(where, A)
    weights, thresholds = first_weights(where, given, num_layers, start, noise)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    trained = ("weights", "step_size", "threshold")
    return _layers(given, weights, thresholds, shares, None, ("weights",), trained)


def alista(
    A: Any,
    num_layers: int,
    momentum: bool = False,
    symmetric: bool = False,
    *,
    adaptive: bool | None = None,
    noise: Any = 0.0,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make ALISTA: the matrix is computed, only two or three numbers a layer are trained.

    .. math:: x_{t+1} = S^{p_t}_{\Theta_t}\bigl(x_t + \gamma_t W^* r_t
        + \beta_t (x_t - x_{t-1})\bigr), \quad r_t = y - A x_t, \qquad
        \Theta_t = \theta_t \|W^* r_t\|_1 \ \text{or}\ \theta_t

    W minimizes ‖WᵀA‖_F with w_iᵀ a_i = 1, in closed form (``analytic_weights``). The first
    network to try: it trains in a minute, and reaches what trained matrices reach.

    Without noise, thresholds follow the error of each sample, which ‖W* r_t‖₁ measures. One
    number for all samples, as published, is too small for a dense signal, whose error falls
    later, and too large for the others; and it is meant for entries of size 1.
    At 250 x 500 with one entry in ten and 16 layers, on five matrices with 100 000 signals each,
    they gain 7.3 dB (± .6) in the ratio of sums, -74.5 dB, and 9.3 dB in the median, -83.1 dB.

    Args:
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        momentum: add β_t (x_t − x_{t−1}), trained from 0.17, with noise from 0.
        symmetric: make WᵀA symmetric; best together with momentum.
        adaptive: thresholds θ_t ‖W* r_t‖₁ of each sample, exactly equivariant to the scale of
            y; False: θ_t, as published. Default: whether ``noise`` is 0, since the error that
            noise leaves is the same for all samples.
        noise: ρ >= 0, see ``analytic_weights``: less coherence is traded for less gain of
            noise; 1 suits an SNR up to 45 dB.
        bypass_rate: p, growth per layer of the share of entries that pass, in [0, 1].
        bypass_limit: p_max, in [0, 1].

    Returns:
        ``Layers``; trained are ``step_size`` (from 1), ``threshold`` and ``momentum``.

    Raises:
        ValueError: as ``lista_cpss``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = alista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 16, momentum=True)
        >>> layers.trainable
        ('step_size', 'threshold', 'momentum')

    Source: Liu, Chen, Wang, Yin (2019), equation (15); momentum and the symmetric weights:
        Chen, Liu, Wang, Yin (2021), section 3; thresholds from the error: Li, Wu, Guo, Zhang
        (2021), here with the 1-norm.
    """
    where = "alista"
    momentum = checks.boolean(where, "momentum", momentum)
    given = measurement(where, A)
    num_layers = checks.count(where, "num_layers", num_layers)
    weights = weights_for(where, "A", given.matrix, symmetric, noise)
    quiet = checks.is_concrete(noise) and not noise > 0
    adaptive = quiet if adaptive is None else checks.boolean(where, "adaptive", adaptive)
    ends = MOMENTUM_THRESHOLDS if quiet and momentum else THRESHOLDS
    if adaptive:
        ends = (RELATIVE / weights.shape[1],) * 2
    thresholds = threshold_schedule(num_layers, *ends)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    trained = ("step_size", "threshold") + (("momentum",) if momentum else ())
    start = (MOMENTUM if quiet else 0.0) if momentum else None
    return _layers(given, weights, thresholds, shares, start, ("weights",), trained, adaptive)


def _trained(
    where: str, A: Any, num_layers: int, tied: bool, start: str, noise: Any, *, bypass: Any
) -> Layers:
    given = measurement(where, A)
    weights, thresholds = first_weights(where, given, num_layers, start, noise)
    shared = ("weights",) if checks.boolean(where, "tied", tied) else ()
    return _layers(given, weights, thresholds, bypass, None, shared, ("weights", "threshold"))


def _layers(
    given: Measurement,
    weights: Any,
    thresholds: Any,
    shares: Any,
    momentum: Any,
    shared: tuple[str, ...],
    trainable: tuple[str, ...],
    relative: bool = False,
) -> Layers:
    real = jnp.finfo(given.matrix.dtype).dtype
    solvers = [
        Coupled(
            weights=weights,
            step_size=jnp.ones((), real),
            threshold=jnp.asarray(threshold, real),
            bypass=None if shares is None else jnp.asarray(shares[layer], real),
            momentum=None if momentum is None else jnp.asarray(momentum, real),
            operator=given.operator,
            relative=relative,
        )
        for layer, threshold in enumerate(thresholds)
    ]
    return Layers.stack(solvers, shared=(*shared, "operator"), trainable=trainable)
