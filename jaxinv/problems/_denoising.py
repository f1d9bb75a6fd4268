"""Denoising: all of a signal of a network is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks, replace
from jaxinv.generators import Generator
from jaxinv.problems._generative import GenerativeFamily, Linear, make_family


def denoising(
    widths: Sequence[int] | None = None,
    noise_std: Any = 0.1,
    *,
    generator: Generator | None = None,
    active_latent: Any = None,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> GenerativeFamily:
    r"""Make the family of denoising with a random ReLU network, or with a given generator.

    .. math:: y = G(z^*) + \eta, \qquad \eta \sim N(0, (\sigma^2 / n) I_n)

    ``generative`` without measurements, with the noise level of ``theory.denoising_law``.

    Args:
        widths: (k, n_1, ..., n), as in ``generative``, as are ``generator``,
            ``active_latent``, ``signal_norm``, ``weight_scale`` and ``dtype``.
        noise_std: σ >= 0, the root mean square norm of the whole noise vector.

    Returns:
        A family; its operator is the identity.

    Raises:
        ValueError: as ``generative``; a negative level.

    Example:
        >>> import jax
        >>> family = denoising((5, 50, 100), 0.3)
        >>> noise = family.batch(jax.random.split(jax.random.key(0), 500)).truth.noise
        >>> round(float(jax.numpy.mean(jax.numpy.sum(noise**2, -1)) ** 0.5), 1)
        0.3

    Source: Heckel, Huang, Hand, Voroninski (2021), "Rate-optimal denoising with deep neural
        networks".
    """
    noise_std = checks.nonnegative("denoising", "noise_std", noise_std)
    family = make_family(
        "denoising",
        Linear(),
        (None, None),
        (0.0, 0.0),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )
    return replace(family, noise_std=noise_std / math.sqrt(math.prod(family.source.signal_shape)))
