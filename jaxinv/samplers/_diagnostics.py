"""What chains say about themselves: R-hat and effective sample size of rank-normalized halves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, numerics

_LEAST_DRAWS = 4


def rhat(draws: Float[Array, "chains draws"]) -> Float[Array, ""]:
    r"""Return the rank-normalized split R-hat of one quantity.

    .. math:: \hat R = \sqrt{\frac{n - 1}{n} + \frac{B}{n W}}

    of the variances between (B) and within (W) the halves of all chains of n draws, after each
    draw is replaced by the normal quantile of its rank: the larger of that of the draws and that
    of their distances from the median. 1 where all chains draw from one density; above 1.01 they
    do not yet. Infinite where no draw differs from another, NaN where one is no number.

    Args:
        draws: one row per chain, at least 4 draws each.

    Returns:
        A scalar.

    Raises:
        ValueError: fewer draws, or another number of axes.

    Cost: a sort of all draws.

    Example:
        >>> import jax
        >>> draws = jax.random.normal(jax.random.key(0), (4, 500))
        >>> abs(float(rhat(draws)) - 1) < 0.01, float(rhat(draws.at[0].add(1))) > 1.05
        (True, True)

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), section 4.
    """
    halves = _halves(_checked("rhat", draws))
    folded = jnp.abs(halves - jnp.median(halves))
    found = jnp.maximum(_plain_rhat(_normal_scores(halves)), _plain_rhat(_normal_scores(folded)))
    return jnp.where(jnp.max(halves) == jnp.min(halves), jnp.inf, found)


def effective_sample_size(draws: Float[Array, "chains draws"]) -> Float[Array, ""]:
    r"""Return the bulk effective sample size of one quantity.

    .. math:: S_{\mathrm{eff}} = \frac{S}{-1 + 2 \sum_t (\rho_{2t} + \rho_{2t+1})}

    of the S draws of all chains, rank-normalized and split in halves, with the autocorrelations
    ρ of all halves together; the sum ends at the first pair that is not positive, and no pair is
    larger than the one before it (Geyer). The mean of the draws is as good as that of so many
    independent ones. 0 where no draw differs from another, NaN where one is no number.

    Args:
        draws: one row per chain, at least 4 draws each.

    Returns:
        A scalar, at most S log₁₀ S.

    Raises:
        ValueError: fewer draws, or another number of axes.

    Cost: a sort of all draws, and a Fourier transform of every half.

    Example:
        >>> import jax
        >>> draws = jax.random.normal(jax.random.key(0), (4, 500))
        >>> 1500 < float(effective_sample_size(draws)) < 2500
        True

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), section 3.2 and equation 10.
    """
    scores = _normal_scores(_halves(_checked("effective_sample_size", draws)))
    num_chains, length = scores.shape
    products = _autocovariances(scores)
    between = jnp.var(jnp.mean(scores, axis=1), ddof=1)
    within = products[0] * length / (length - 1)
    spread = products[0] + between
    correlation = (1 - (within - products) / spread).at[0].set(1)
    # pairs (0, 1), (2, 3), ...: the last that leave two lags at the end never count in full
    num_pairs = max((length - 2) // 2, 1)
    pairs = correlation[: 2 * num_pairs].reshape(num_pairs, 2)
    sums = jnp.sum(pairs, axis=1)
    positive = jnp.cumprod(sums > 0).astype(bool).at[-1].set(False)
    falling = jax.lax.cummin(jnp.where(positive, sums, 0))
    # the even lag of the first pair that is left out still counts where it is positive
    ended = ~positive & jnp.concatenate([jnp.ones(1, bool), positive[:-1]])
    rest = jnp.sum(jnp.where(ended, jnp.maximum(pairs[:, 0], 0), 0))
    total = num_chains * length
    time = jnp.maximum(2 * jnp.sum(falling) - 1 + rest, 1 / jnp.log10(total))
    found = jnp.where(jnp.isnan(spread), jnp.nan, total / time)
    return jnp.where(spread == 0, 0, found)


def _checked(where: str, draws: Array) -> Array:
    draws = checks.array(where, "draws", draws, ndim=2)
    if draws.shape[1] < _LEAST_DRAWS or not draws.shape[0]:
        checks.fail(where, "draws", f"hold {_LEAST_DRAWS} draws of each chain at least", draws)
    if jnp.iscomplexobj(draws):
        checks.fail(where, "draws", "be real", draws)
    return draws


def _halves(draws: Array) -> Array:
    """Return the first and last half of every chain as chains; a draw in the middle is left out."""
    length = draws.shape[1] // 2
    return jnp.concatenate([draws[:, :length], draws[:, draws.shape[1] - length :]])


def _normal_scores(values: Array) -> Array:
    """Return the normal quantiles of the ranks; NaN everywhere where there is one."""
    flat = values.reshape(-1)
    ordered = jnp.sort(flat)
    below = jnp.searchsorted(ordered, flat, side="left", method="sort")
    up_to = jnp.searchsorted(ordered, flat, side="right", method="sort")
    rank = 0.5 * (below + up_to + 1).astype(flat.dtype)
    scores = jax.scipy.special.ndtri((rank - 0.375) / (flat.size + 0.25))
    finite = jnp.all(jnp.isfinite(flat))
    same = ordered[-1] == ordered[0]
    return jnp.where(finite, jnp.where(same, 0, scores), jnp.nan).reshape(values.shape)


def _plain_rhat(halves: Array) -> Array:
    length = halves.shape[1]
    between = length * jnp.var(jnp.mean(halves, axis=1), ddof=1)
    within = jnp.mean(jnp.var(halves, axis=1, ddof=1))
    apart = jnp.where(between > 0, jnp.inf, 1)
    ratio = jnp.where(within == 0, apart, numerics.safe_divide(between, within))
    return jnp.sqrt((ratio + length - 1) / length)


def _autocovariances(halves: Array) -> Array:
    """Return the mean over the chains of the autocovariances, each over the length."""
    length = halves.shape[1]
    centered = halves - jnp.mean(halves, axis=1, keepdims=True)
    spectrum = jnp.fft.rfft(centered, 2 * length, axis=1)
    power = jnp.mean(jnp.real(spectrum * jnp.conj(spectrum)), axis=0)
    return jnp.fft.irfft(power, 2 * length)[:length] / length
