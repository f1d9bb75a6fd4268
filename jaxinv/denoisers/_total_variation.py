"""Total variation as a denoiser."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.denoisers._arguments import image_and_level
from jaxinv.prox._total_variation import TotalVariation as ProximalTotalVariation


@pytree
class TotalVariation:
    """See ``total_variation``."""

    strength: Any
    num_steps: int = static(default=50)

    def __call__(self, x_noisy: Any, noise_std: Any) -> Array:
        """Return the denoised image, in the shape and type of ``x_noisy``."""
        x, noise_std = image_and_level("total_variation", x_noisy, noise_std)
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
