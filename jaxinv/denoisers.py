"""Image denoisers: functions of a noisy image and its noise level, for plug-and-play solvers.

Each is a pytree that is called as ``denoiser(x_noisy, noise_std) -> x``. ``solvers.damp`` takes
these, and any function of that form.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.prox._total_variation import TotalVariation as ProximalTotalVariation

__all__ = ["NonLocalMeans", "TotalVariation", "non_local_means", "total_variation"]


@pytree
class NonLocalMeans:
    """See ``non_local_means``."""

    strength: Any
    patch_size: int = static(default=5)
    patch_distance: int = static(default=6)

    def __call__(self, x_noisy: Any, noise_std: Any) -> Array:
        """Return the denoised image, in the shape and type of ``x_noisy``."""
        x, noise_std = _arguments("non_local_means", x_noisy, noise_std)
        strength = jnp.asarray(self.strength).astype(x.dtype)
        sizes = (np.int32(self.patch_size), np.int32(self.patch_distance))
        kind = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(
            _non_local_means, kind, x, noise_std, strength, *sizes, vmap_method="sequential"
        )


def _non_local_means(
    x: Any, noise_std: Any, strength: Any, patch_size: Any, patch_distance: Any
) -> np.ndarray:
    """Denoise on the host; NumPy only, since JAX may be waiting for the result."""
    from skimage.restoration import denoise_nl_means

    x, noise_std = np.asarray(x), float(noise_std)
    width = float(strength) * noise_std
    if not width > 0 or not np.isfinite(x).all():
        return x
    estimate = denoise_nl_means(
        x,
        patch_size=int(patch_size),
        patch_distance=int(patch_distance),
        h=width,
        sigma=noise_std,
        fast_mode=True,
        preserve_range=True,
    )
    return np.asarray(estimate, x.dtype)


def non_local_means(
    strength: Any = 0.8, *, patch_size: int = 5, patch_distance: int = 6
) -> NonLocalMeans:
    r"""Denoise by averages over places with similar surroundings, as scikit-image does.

    .. math:: \hat x_p = \sum_q w_{pq} x_q / \sum_q w_{pq}, \qquad
        w_{pq} = \exp\bigl(-\max(\|P_p x - P_q x\|^2 - 2 \sigma^2, 0) / h^2\bigr)

    with h = strength · σ, patches P, and mean squares in the norm. It runs on the host, one
    image after another, also inside ``jit`` and ``vmap``; it has no derivative. On a GPU
    prefer ``total_variation``, or a trained network.

    Args:
        strength: h/σ >= 0; more smooths more.
        patch_size: side of a patch in pixels, >= 1.
        patch_distance: how far apart two patches may be, >= 1.

    Returns:
        A denoiser for real images (h, w).

    Raises:
        ValueError: a negative strength; at the call, another number of axes, complex images.
        ImportError: at the call, scikit-image is not installed.

    Cost: about 4 n (2 patch_distance + 1)² operations on one core.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.zeros((24, 24)).at[:, 12:].set(1.0)
        >>> noisy = x + 0.1 * jax.random.normal(jax.random.key(0), x.shape)
        >>> better = non_local_means()(noisy, 0.1)
        >>> float(jnp.sum((better - x) ** 2)) < 0.2 * float(jnp.sum((noisy - x) ** 2))
        True

    Source: Buades, Coll, Morel (2005); fast: Darbon, Cunha, Chan, Osher, Jensen (2008).
    """
    where = "non_local_means"
    return NonLocalMeans(
        checks.nonnegative(where, "strength", strength),
        checks.count(where, "patch_size", patch_size),
        checks.count(where, "patch_distance", patch_distance),
    )


@pytree
class TotalVariation:
    """See ``total_variation``."""

    strength: Any
    num_steps: int = static(default=50)

    def __call__(self, x_noisy: Any, noise_std: Any) -> Array:
        """Return the denoised image, in the shape and type of ``x_noisy``."""
        x, noise_std = _arguments("total_variation", x_noisy, noise_std)
        strength = jnp.asarray(self.strength).astype(x.dtype)
        return ProximalTotalVariation(1.0, num_steps=self.num_steps)(x, strength * noise_std)


def total_variation(strength: Any = 1.0, *, num_steps: int = 50) -> TotalVariation:
    r"""Denoise by the proximal operator of total variation: quick, and it runs on any device.

    .. math:: \hat x = \arg\min_w \tfrac12 \|w - x\|^2 + c\, \sigma\, \mathrm{TV}(w)

    Args:
        strength: c >= 0; more smooths more.
        num_steps: dual steps a call, >= 1.

    Returns:
        A denoiser for real images (h, w).

    Raises:
        ValueError: a negative strength, no step; at the call, another number of axes, complex
            images.

    Example:
        >>> import jax.numpy as jnp
        >>> total_variation()(jnp.eye(3), 10.0).round(3)[0]
        Array([0.333, 0.333, 0.333], dtype=float32)

    Source: Rudin, Osher, Fatemi (1992); see ``prox.tv``.
    """
    where = "total_variation"
    strength = checks.nonnegative(where, "strength", strength)
    return TotalVariation(strength, checks.count(where, "num_steps", num_steps))


def _arguments(where: str, x_noisy: Any, noise_std: Any) -> tuple[Array, Array]:
    x = checks.array(where, "x_noisy", x_noisy, ndim=2)
    if jnp.iscomplexobj(x):
        hint = "Denoise the real and the imaginary part."
        checks.fail(where, "x_noisy", "be real", x, hint)
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    return x, jnp.asarray(noise_std).astype(x.dtype)
