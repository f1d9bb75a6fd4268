"""Averages over places with similar surroundings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.denoisers._arguments import image_and_level


@pytree
class NonLocalMeans:
    """See ``non_local_means``."""

    strength: Any
    patch_size: int = static(default=5)
    patch_distance: int = static(default=6)

    def __call__(self, x_noisy: Any, noise_std: Any) -> Array:
        """Return the denoised image, in the shape and type of ``x_noisy``."""
        x, noise_std = image_and_level("non_local_means", x_noisy, noise_std)
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
