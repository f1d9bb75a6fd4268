"""Limits of sparse recovery: the ℓ1 phase transition and the oracle's error."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks

_LARGEST_MULTIPLIER = 12.0  # stands for a ratio δ below 1e-32
_NUM_HALVINGS = 60


def donoho_tanner(delta: Num[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    r"""Return the weak phase transition ρ(δ) of noiseless recovery by ℓ1 minimization.

    A sparse signal of n entries is recovered from m = δ n Gaussian measurements, with high
    probability on large problems, when it has fewer than ρ(δ) m nonzero entries, and not when it
    has more. ``amp`` with the soft threshold at ``minimax_multiplier`` has the same transition.

    .. math::
        \delta = \frac{2 \varphi(z)}{z + 2 (\varphi(z) - z \Phi(-z))}, \qquad
        \rho = 1 - \frac{z \Phi(-z)}{\varphi(z)}

    Args:
        delta: δ = m/n in (0, 1]; any shape; may be traced.

    Returns:
        ρ = s/m in (0, 1], of the shape of ``delta``.

    Raises:
        ValueError: δ outside (0, 1].

    Example:
        >>> round(float(donoho_tanner(0.5)), 4)
        0.3857

    Source: Donoho, Tanner (2009); the form here: Donoho, Maleki, Montanari (2009).
    """
    z = _multiplier("donoho_tanner", delta)
    return 1 - z * jnp.exp(norm.logcdf(-z) - norm.logpdf(z))


def minimax_multiplier(delta: Num[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    r"""Return the multiplier of the soft threshold with the highest phase transition.

    At δ = m/n it is the z of ``donoho_tanner``: ``shrinkage.soft(minimax_multiplier(m / n))``.

    Args:
        delta: δ in (0, 1]; any shape; may be traced.

    Returns:
        z >= 0, of the shape of ``delta``.

    Raises:
        ValueError: δ outside (0, 1].

    Example:
        >>> round(float(minimax_multiplier(0.5)), 3)
        0.877

    Source: Donoho, Maleki, Montanari (2009).
    """
    return _multiplier("minimax_multiplier", delta)


def oracle_nmse_db(snr_db: Any, *, aspect: Any, sparsity: Any) -> Float[Array, "..."]:
    r"""Return the error of least squares on the true support, in dB.

    The horizontal line for noisy experiments: no method that does not know more about the
    nonzero entries than where they are has a smaller error.

    .. math:: -\mathrm{SNR} + 10 \log_{10} \frac{r}{1 - r}, \qquad
        r = \frac{s}{m} = \frac{p}{\delta}

    Args:
        snr_db: 10 log₁₀ of ‖A x‖² over E‖η‖².
        aspect: δ = m/n > 0.
        sparsity: p in (0, δ).

    Returns:
        10 log₁₀ of E‖x̂ − x‖² / ‖x‖², in the limit of a large Gaussian A.

    Raises:
        ValueError: a number out of its range, or p >= δ.

    Example:
        >>> round(float(oracle_nmse_db(40, aspect=0.5, sparsity=0.1)), 2)
        -46.02

    Source: the mean of the inverse Wishart matrix, Muirhead (1982), section 3.2.
    """
    where = "oracle_nmse_db"
    snr_db = checks.decibels(where, "snr_db", snr_db)
    aspect = checks.positive(where, "aspect", aspect)
    sparsity = checks.scalar(where, "sparsity", sparsity, low=0.0, high=1.0, open_low=True)
    if checks.is_concrete((sparsity, aspect)) and np.any(np.asarray(sparsity) >= aspect):
        got = f"{checks.show(sparsity)} for aspect {checks.show(aspect)}"
        checks.fail(where, "sparsity", "be below aspect", got)
    ratio = jnp.asarray(sparsity, float) / jnp.asarray(aspect, float)
    return -snr_db + 10 * jnp.log10(ratio / (1 - ratio))


def _multiplier(where: str, delta: Any) -> Array:
    """Return z with the given δ, which falls as z grows, by bisection."""
    delta = checks.array(where, "delta", delta)
    if jnp.iscomplexobj(delta):
        checks.fail(where, "delta", "be real", delta)
    delta = delta.astype(jnp.result_type(delta, jnp.float32))
    if checks.is_concrete(delta):
        seen = np.asarray(delta)
        if not np.all((seen > 0) & (seen <= 1)):
            checks.fail(where, "delta", "lie in (0, 1]", f"{seen.tolist()}")

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        z = (low + high) / 2
        density = norm.pdf(z)
        above = 2 * density / (z + 2 * (density - z * norm.cdf(-z))) > delta
        return jnp.where(above, z, low), jnp.where(above, high, z)

    ends = (jnp.zeros_like(delta), jnp.full_like(delta, _LARGEST_MULTIPLIER))
    low, high = lax.fori_loop(0, _NUM_HALVINGS, halve, ends)
    return jnp.where(delta == 1, 0, (low + high) / 2)
