"""Random masks."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from jaxinv._core import checks
from jaxinv.operators._require import signal_shape


def random_mask(key: Any, shape: Any, ratio: float | int) -> Bool[Array, "..."]:
    r"""Draw a mask that keeps a fixed share of the entries, uniformly at random.

    Args:
        key: a JAX PRNG key.
        shape: shape of the mask.
        ratio: share of entries to keep, in (0, 1]; their number is rounded, and at least 1.

    Returns:
        A boolean array with exactly max(1, round(ratio · size)) true entries.

    Raises:
        ValueError: a ratio outside (0, 1], or a size below 1.

    Example:
        >>> import jax
        >>> int(random_mask(jax.random.key(0), (10, 10), 0.3).sum())
        30
    """
    key = checks.key("random_mask", key)
    shape = signal_shape("random_mask", shape)
    num_kept = _num_kept("random_mask", math.prod(shape), ratio)
    return jax.random.permutation(key, jnp.arange(math.prod(shape)) < num_kept).reshape(shape)


def variable_density_mask(
    key: Any,
    shape: Any,
    ratio: float | int,
    *,
    decay: float | int = 3.0,
    center: float | int = 0.1,
    lines: bool = False,
) -> Bool[Array, "..."]:
    r"""Draw a Fourier mask that favors low frequencies, as in accelerated MRI.

    .. math:: p(k) \propto (1 - r_k)^{\text{decay}}, \qquad p = \infty \text{ for } r_k \le
        \text{center}

    where r_k is the distance from frequency 0 over the largest one. Frequency 0 has index 0, as
    ``subsampled_fourier`` expects; ``jnp.fft.fftshift`` centers it for display.

    Args:
        key: a JAX PRNG key.
        shape: shape of the mask.
        ratio: share of frequencies to keep, in (0, 1]; their number is rounded.
        decay: how fast the density falls, >= 0; 0 is uniform.
        center: radius, from 0 to 1, of the disk that is kept first (lowest frequencies first
            if it does not fit).
        lines: draw whole lines along the last axis (readouts), the same share of them.

    Returns:
        A boolean array with max(1, round(ratio · size)) true entries, or that share of lines.

    Raises:
        ValueError: a ratio outside (0, 1], a negative decay, a center outside [0, 1].

    Example:
        >>> import jax
        >>> mask = variable_density_mask(jax.random.key(0), (32, 32), 0.25)
        >>> int(mask.sum()), bool(mask[0, 0])
        (256, True)

    Source: Lustig, Donoho, Pauly (2007), "Sparse MRI", section on incoherent sampling. Drawn
    without replacement by the largest values of log p + Gumbel noise.
    """
    where = "variable_density_mask"
    key = checks.key(where, key)
    full = signal_shape(where, shape)
    decay = checks.nonnegative(where, "decay", decay, single=True)
    center = checks.scalar(where, "center", center, low=0.0, high=1.0, single=True)
    lines = checks.boolean(where, "lines", lines)
    if lines and len(full) < 2:
        checks.fail(where, "shape", "have at least two axes for lines=True", f"{full}")
    shape = full[:-1] if lines else full
    num_kept = _num_kept(where, math.prod(shape), ratio)
    axes = [jnp.fft.fftfreq(n, dtype=jnp.float32) for n in shape]
    squares = sum(f**2 for f in jnp.meshgrid(*axes, indexing="ij"))
    radius = jnp.sqrt(squares / jnp.maximum(jnp.max(squares), jnp.finfo(jnp.float32).tiny))
    noise = jax.random.gumbel(key, shape, jnp.float32)
    score = decay * jnp.log(jnp.maximum(1 - radius, 1e-6)) + noise
    score = jnp.where(radius <= center, 1e6 * (2 - radius), score).ravel()
    kept = jnp.zeros(score.size, bool).at[jnp.argsort(-score)[:num_kept]].set(True).reshape(shape)
    return jnp.broadcast_to(kept[..., None], full) if lines else kept


def _num_kept(where: str, size: int, ratio: Any) -> int:
    if not checks.is_concrete(ratio):
        checks.fail_type(where, "ratio", "be a concrete number (it sets a count)", ratio)
    ratio = checks.scalar(where, "ratio", ratio, low=0.0, high=1.0, open_low=True, single=True)
    return max(1, round(ratio * size))
