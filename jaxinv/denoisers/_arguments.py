"""What every denoiser checks when it is called."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks


def image_and_level(where: str, x_noisy: Any, noise_std: Any) -> tuple[Array, Array]:
    """Return a real image (h, w), and its noise level in the same type."""
    x = checks.array(where, "x_noisy", x_noisy, ndim=2)
    if jnp.iscomplexobj(x):
        hint = "Denoise the real and the imaginary part."
        checks.fail(where, "x_noisy", "be real", x, hint)
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    return x, jnp.asarray(noise_std).astype(x.dtype)
