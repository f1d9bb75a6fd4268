"""How measurement noise turns into error once the right linear region is found."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks


def noise_law(noise_norm: Any, num_measurements: Any, latent_size: Any) -> Float[Array, "..."]:
    r"""Predict the error of compressed sensing with noise, for a generator of k latents.

    .. math:: \left( \mathbb{E} \|\hat y - y_*\|^2 \right)^{1/2}
              = \|\eta\| \sqrt{\frac{k}{m - k - 1}}

    Near the solution a ReLU generator is linear, so its range is a k-dimensional subspace, and
    the best estimate is Gaussian least squares on it: A restricted to the subspace is an m × k
    matrix with entries N(0, 1/m), and the inverse Wishart matrix has mean 1/(m - k - 1). The law
    is exact for that oracle, for any fixed η, and does not depend on the widths or the depth.

    Args:
        noise_norm: ‖η‖ >= 0 of the noise added to the m measurements; scalar or array.
        num_measurements: m > k + 1; integer or array.
        latent_size: k >= 1; integer or array. Arrays broadcast.

    Returns:
        Root mean square of ‖ŷ - y*‖ over A, of the broadcast shape.

    Raises:
        ValueError: a negative norm, a size that is not a positive integer, or m <= k + 1 (the
            expectation is then infinite).

    Example:
        >>> round(float(noise_law(0.01, num_measurements=300, latent_size=20)), 6)
        0.002677

    Source: the mean of the inverse Wishart matrix is in Muirhead (1982), Section 3.2; Cocola
    (2022), Appendix H, measures this error.
    """
    where = "noise_law"
    noise_norm = checks.nonnegative(where, "noise_norm", noise_norm)
    m = _sizes(where, "num_measurements", num_measurements)
    k = _sizes(where, "latent_size", latent_size)
    if checks.is_concrete((m, k)) and not np.all(np.asarray(m - k) > 1):
        got = f"{checks.show(num_measurements)} for latent_size {checks.show(latent_size)}"
        checks.fail(where, "num_measurements", "exceed latent_size + 1", got)
    return jnp.asarray(noise_norm * jnp.sqrt(k / (m - k - 1)))


def denoising_law(noise_std: Any, latent_size: Any, signal_size: Any) -> Float[Array, "..."]:
    r"""Predict the mean squared error of denoising with a generator of k latents.

    .. math:: \mathbb{E} \|\hat y - y_*\|^2 = \sigma^2 \frac{k}{n},
              \qquad \eta \sim N(0, (\sigma^2 / n) I_n)

    Near the solution the estimate is the projection of y* + η on a k-dimensional subspace, which
    keeps the fraction k/n of the noise energy E‖η‖² = σ². Heckel et al. prove this rate up to
    constants and logarithms; the constant 1 is that of the projection.

    Args:
        noise_std: σ >= 0, the root mean square norm of the whole noise vector, not the standard
            deviation of an entry (which is σ/√n); scalar or array.
        latent_size: k >= 1; integer or array.
        signal_size: n >= k; integer or array. Arrays broadcast.

    Returns:
        The squared error E‖ŷ - y*‖² (not divided by n), of the broadcast shape.

    Raises:
        ValueError: a negative deviation, a size that is not a positive integer, or k > n.

    Example:
        >>> round(float(denoising_law(0.5, latent_size=50, signal_size=1500)), 6)
        0.008333

    Source: Heckel, Huang, Hand, Voroninski (2021), Theorem 1.
    """
    where = "denoising_law"
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    k = _sizes(where, "latent_size", latent_size)
    n = _sizes(where, "signal_size", signal_size)
    if checks.is_concrete((k, n)) and not np.all(np.asarray(n - k) >= 0):
        got = f"{checks.show(signal_size)} for latent_size {checks.show(latent_size)}"
        checks.fail(where, "signal_size", "be at least latent_size", got)
    return jnp.asarray(noise_std * noise_std * (k / n))


def _sizes(where: str, argument: str, value: Any) -> Any:
    """Return counts as floating numbers; concrete ones must be positive integers."""
    if isinstance(value, numbers.Integral):
        return float(checks.count(where, argument, value, maximum=2**62))
    value = checks.array(where, argument, value)
    if jnp.iscomplexobj(value):
        checks.fail(where, argument, "hold integers >= 1", value)
    if checks.is_concrete(value):
        seen = np.asarray(value)
        if not np.all((seen >= 1) & (seen == np.floor(seen))):
            checks.fail(where, argument, "hold integers >= 1", f"{seen.tolist()}")
    return value
