"""One real image, any operator, random noise."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree
from jaxinv.operators import LinearOperator, Operator
from jaxinv.problems._padding import key_batch
from jaxinv.problems._problem import Problem, Truth

_PROBE = 0  # any fixed seed: a random signal excites every row of the operator
_SYNTHESIS_ERROR = 1e-3


@pytree
class ImageFamily:
    """Noisy measurements of one image; see ``image``."""

    signal: Array
    unknown: Array
    operator: Any
    prior: Any
    noise_std: Any
    measured: Array

    @property
    def axes(self) -> Problem:
        """Trials share the image and the operator; only the noise differs."""
        return Problem(operator=None, y=0, prior=None, truth=Truth(u=None, x=None, noise=0))

    def sample(self, key: Any) -> Problem:
        """Draw the noise from one key; the image and the operator stay."""
        key = checks.key("sample", key)
        y, noise = _measure(self, key)
        return Problem(self.operator, y, self.prior, Truth(self.unknown, self.signal, noise))

    def initial(self, key: Any = None) -> Array:
        """Return zeros of the unknown's shape; the key is not used."""
        return jnp.zeros_like(self.unknown)

    def batch(self, keys: Any) -> Problem:
        """Draw one problem per key: ``vmap`` of ``sample`` with the right ``out_axes``."""
        return jax.vmap(self.sample, out_axes=self.axes)(key_batch("batch", keys))


# outside jit too, each is one program
@partial(jax.jit, inline=True)
def _measure(family: ImageFamily, key: Array) -> tuple[Array, Array]:
    """Return the measurements and their noise."""
    clean = family.operator(family.signal)
    noise = jax.random.normal(key, clean.shape, clean.dtype)
    scale = jnp.asarray(family.noise_std).astype(numerics.real_dtype(clean.dtype))
    noise = jnp.where(family.measured, scale * noise, 0)
    return clean + noise, noise


@partial(jax.jit, inline=True)
def _measured_entries(operator: Operator, signal: Array) -> Array:
    """Return which entries of ``y`` measure: a random signal leaves the rest at exactly zero."""
    probe = jax.random.normal(jax.random.key(_PROBE), signal.shape, signal.dtype)
    return operator(probe) != 0


@partial(jax.jit, inline=True)
def _level(operator: Operator, signal: Array, measured: Array) -> Array:
    """Return the root mean square of the entries that measure."""
    energy = numerics.sum_squares(operator(signal))
    return jnp.sqrt(energy / jnp.maximum(jnp.sum(measured), 1))


def image(
    image: Any,
    operator: Any,
    *,
    noise_db: Any = None,
    noise_std: Any = None,
    prior: Any = None,
) -> ImageFamily:
    r"""Make the family of noisy measurements of one image.

    .. math:: y = A x + \eta, \qquad \eta_i \sim N(0, \sigma^2)

    Trials differ in the noise only: the operator and the image are shared, so a batch holds
    them once. Noise falls on the entries that the operator measures, not on those that it
    leaves at zero, such as the hidden pixels of ``operators.mask``.

    Args:
        image: x, of the shape that the operator accepts; ``data.image`` loads one.
        operator: any operator of ``jaxinv.operators``.
        noise_db: signal-to-noise ratio 10 log₁₀(‖A x‖² / (m σ²)) in decibels, m the number of
            entries that are measured; None: no noise.
        noise_std: σ >= 0 itself; complex measurements get E|η_i|² = σ². Not with ``noise_db``.
        prior: a linear operator G with G Gᵀ = I that synthesizes the image from the unknown,
            such as ``operators.wavelet(...).H``; None: the unknown is the image.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (zeros), ``batch(keys)`` and ``axes``.
        The truth's ``u`` is Gᵀ x.

    Raises:
        ValueError: an image of another shape, NaN or infinity in it, both kinds of noise, a
            prior that does not reproduce the image.

    Example:
        >>> import jax, jaxinv as ji
        >>> from jaxinv import data
        >>> x = data.image("camera", size=(32, 32))
        >>> A = ji.operators.subsampled_hadamard(jax.random.key(0), 256, (32, 32))
        >>> family = image(x, A, noise_db=30.0)
        >>> batch = family.batch(jax.random.split(jax.random.key(1), 5))
        >>> batch.y.shape, batch.truth.x.shape
        ((5, 256), (32, 32))
    """
    where = "image"
    if not isinstance(operator, Operator):
        checks.fail_type(where, "operator", "be an operator", operator, "See jaxinv.operators.")
    signal = checks.array(where, "image", image)
    checks.shape_is(where, "image", signal, operator.in_shape, "That is what the operator takes.")
    checks.finite(where, "image", signal, "Replace them first.")
    if noise_db is not None and noise_std is not None:
        checks.fail(where, "noise_db and noise_std", "not both be set", f"{noise_db}, {noise_std}")
    unknown = _unknown(where, prior, signal)
    measured = _measured_entries(operator, signal)
    if noise_db is not None:
        noise_db = checks.scalar(where, "noise_db", noise_db)
        noise_std = _level(operator, signal, measured) * 10 ** (-noise_db / 20)
    elif noise_std is None:
        noise_std = 0.0
    else:
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
    return ImageFamily(signal, unknown, operator, prior, noise_std, measured)


def _unknown(where: str, prior: Any, signal: Array) -> Array:
    if prior is None:
        return signal
    if not isinstance(prior, LinearOperator):
        hint = "Such as operators.wavelet(shape, 'db4', 3).H."
        checks.fail_type(where, "prior", "be a linear operator or None", prior, hint)
    if prior.out_shape != signal.shape:
        hint = "The prior maps the unknown to the image: an analysis transform W enters as W.H."
        checks.fail(where, "prior", f"map to shape {signal.shape}", f"{prior.out_shape}", hint)
    unknown = prior.adjoint(signal)
    error = numerics.safe_norm(prior(unknown) - signal)
    if checks.is_concrete(error):
        size = float(numerics.safe_norm(signal))
        if not math.isfinite(float(error)) or float(error) > _SYNTHESIS_ERROR * size:
            expected = "reproduce the image: G Gᵀ x = x"
            checks.fail(where, "prior", expected, f"a relative error of {float(error) / size:.2g}")
    return unknown
