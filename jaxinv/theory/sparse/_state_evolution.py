"""State evolution: what approximate message passing does, step by step, on a large problem."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks
from jaxinv.shrinkage import Shrinkage, posterior_mean

_NUM_POINTS = 2001
_REACH = 9.0  # standard deviations; beyond them lies 2e-19 of the probability


class StateEvolution(NamedTuple):
    """What ``state_evolution`` predicts.

    Attributes:
        nmse: E‖x_{t+1} − x‖² / E‖x‖² after each step, shape (num_steps,).
        noise_std: τ_t of the pseudo-data that the step shrinks, shape (num_steps,).
    """

    nmse: Array
    noise_std: Array


def state_evolution(
    shrinkage: Shrinkage,
    *,
    aspect: Any,
    sparsity: Any,
    noise_std: Any = None,
    snr_db: Any = None,
    variance: Any = 1.0,
    num_steps: int = 16,
) -> StateEvolution:
    r"""Predict the error of ``solvers.amp`` at every step, for Bernoulli-Gauss signals.

    .. math::
        \tau_0^2 = \sigma^2 + \frac{p s^2}{\delta}, \qquad
        \tau_{t+1}^2 = \sigma^2 + \frac1\delta \,
            \mathbb{E} \bigl( \eta(X + \tau_t Z, \tau_t) - X \bigr)^2, \qquad
        \mathrm{NMSE}_{t+1} = \frac{\delta (\tau_{t+1}^2 - \sigma^2)}{p s^2}

    with δ = m/n, X = b g, b ~ Bernoulli(p), g ~ N(0, s²) and Z ~ N(0, 1). Exact as m and n grow
    with δ fixed, for A with entries N(0, 1/m) and the start 0. The expectation is computed by
    the trapezoidal rule in a variable that resolves both τ and s, not by sampling.

    Args:
        shrinkage: η; the one that ``amp`` uses.
        aspect: δ > 0.
        sparsity: p in (0, 1].
        noise_std: σ >= 0 of an entry of the noise in y; default 0.
        snr_db: in place of it, 10 log₁₀ of E‖A x‖² over E‖η‖²: σ² = p s² / δ · 10^(−snr/10).
        variance: s² > 0.
        num_steps: steps, >= 1; static under ``jit``.

    Returns:
        ``StateEvolution(nmse, noise_std)``.

    Raises:
        ValueError: a number out of its range, or both of ``noise_std`` and ``snr_db``.
        TypeError: not a shrinkage.

    Cost: 2001 evaluations of η a step.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> shrink = ji.shrinkage.posterior_mean(0.1)
        >>> found = state_evolution(shrink, aspect=0.5, sparsity=0.1, snr_db=40)
        >>> round(float(10 * jnp.log10(found.nmse[-1])), 1)
        -45.6

    Source: Donoho, Maleki, Montanari (2009); proved by Bayati, Montanari (2011).
    """
    return _predict(
        "state_evolution", shrinkage, aspect, sparsity, noise_std, snr_db, variance, num_steps
    )


def _predict(
    where: str,
    shrinkage: Any,
    aspect: Any,
    sparsity: Any,
    noise_std: Any,
    snr_db: Any,
    variance: Any,
    num_steps: int,
) -> StateEvolution:
    if not isinstance(shrinkage, Shrinkage):
        hint = "Make one with jaxinv.shrinkage."
        checks.fail_type(where, "shrinkage", "be a shrinkage", shrinkage, hint)
    aspect = checks.positive(where, "aspect", aspect, single=True)
    sparsity = _share(where, sparsity)
    variance = checks.positive(where, "variance", variance, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    noise_variance = 0.0
    if snr_db is not None:
        if noise_std is not None:
            checks.fail(where, "noise_std or snr_db", "be given, at most one", "both")
        snr_db = checks.decibels(where, "snr_db", snr_db, single=True)
        noise_variance = sparsity * variance / aspect * 10 ** (-snr_db / 10)
    elif noise_std is not None:
        noise_variance = checks.nonnegative(where, "noise_std", noise_std, single=True) ** 2
    found = _evolve(shrinkage, aspect, sparsity, variance, noise_variance, num_steps)
    return checks.no_nan(where, "aspect, sparsity, variance and noise", found)


def _share(where: str, sparsity: Any) -> Any:
    return checks.scalar(where, "sparsity", sparsity, low=0.0, high=1.0, open_low=True, single=True)


def bayes_state_evolution(
    *,
    aspect: Any,
    sparsity: Any,
    noise_std: Any = None,
    snr_db: Any = None,
    variance: Any = 1.0,
    num_steps: int = 100,
) -> StateEvolution:
    """Predict the error of ``amp`` with the posterior mean of the signal's own distribution.

    Where the fixed point is unique it is also the smallest error that any method can reach on a
    large problem; the last of many steps is that fixed point.

    Args:
        aspect, sparsity, noise_std, snr_db, variance, num_steps: as in ``state_evolution``.

    Returns:
        ``StateEvolution(nmse, noise_std)``.

    Raises:
        ValueError: as ``state_evolution``.

    Example:
        >>> import jax.numpy as jnp
        >>> found = bayes_state_evolution(aspect=0.5, sparsity=0.1, snr_db=20)
        >>> round(float(10 * jnp.log10(found.nmse[-1])), 1)
        -23.8

    Source: Donoho, Maleki, Montanari (2009); optimality: Reeves, Pfister (2016); Barbier,
        Dia, Macris, Krzakala (2016).
    """
    where = "bayes_state_evolution"
    prior = posterior_mean(
        _share(where, sparsity), checks.positive(where, "variance", variance, single=True)
    )
    return _predict(where, prior, aspect, sparsity, noise_std, snr_db, variance, num_steps)


@partial(jax.jit, static_argnums=5)
def _evolve(
    shrinkage: Shrinkage,
    aspect: Any,
    sparsity: Any,
    variance: Any,
    noise_variance: Any,
    num_steps: int,
) -> StateEvolution:
    numbers = (aspect, sparsity, variance, noise_variance)
    aspect, sparsity, variance, noise_variance = (jnp.asarray(x, float) for x in numbers)

    def body(error: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        noise_std = jnp.sqrt(noise_variance + error / aspect)
        error = _squared_error(shrinkage, noise_std, sparsity, variance)
        return error, (error, noise_std)

    _, (errors, stds) = lax.scan(body, sparsity * variance, None, length=num_steps)
    return StateEvolution(errors / (sparsity * variance), stds)


def _squared_error(shrinkage: Shrinkage, noise_std: Array, p: Array, variance: Array) -> Array:
    """Return E (η(X + τZ, τ) − X)² as two integrals over the noisy value alone.

    Given that X is not zero, it is N(c v, c τ²) with c = s²/(s² + τ²): its own spread, and the
    distance of η from the conditional mean, add.
    """
    noise_variance = jnp.square(noise_std)
    gain = variance / (variance + noise_variance)

    def from_zero(v: Array) -> Array:
        return jnp.square(shrinkage(v, noise_std))

    def from_mean(v: Array) -> Array:
        return jnp.square(shrinkage(v, noise_std) - gain * v)

    absent = _gaussian_mean(from_zero, noise_std, noise_std)
    present = _gaussian_mean(from_mean, jnp.sqrt(variance + noise_variance), noise_std)
    return (1 - p) * absent + p * (present + gain * noise_variance)


def _gaussian_mean(function: Any, std: Array, scale: Array) -> Array:
    """Return E f(v), v ~ N(0, std²), for f that varies on ``scale`` around 0.

    With v = scale · sinh q the points are dense at 0 and reach far out.
    """
    tiny = jnp.finfo(std.dtype).tiny ** 0.5
    std, scale = jnp.maximum(std, tiny), jnp.maximum(scale, tiny)
    end = jnp.arcsinh(_REACH * std / scale)
    q = end * jnp.linspace(-1, 1, _NUM_POINTS, dtype=std.dtype)
    v = scale * jnp.sinh(q)
    weights = jnp.exp(-0.5 * jnp.square(v / std)) * jnp.cosh(q)
    # the rule's own sum of the weights is their integral, to rounding
    return jnp.sum(weights * function(v)) / jnp.sum(weights)
