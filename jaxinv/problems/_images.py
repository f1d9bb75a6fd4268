"""Real images, cropped at random, measured by any operator with random noise."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, numerics, pytree
from jaxinv._core.checks import as_function
from jaxinv._core.typed import PyTree
from jaxinv.operators import LinearOperator, Operator
from jaxinv.operators._require import fail_function
from jaxinv.problems._crops import Crops, packed
from jaxinv.problems._problem import Family, Problem, Truth, num_starts
from jaxinv.problems._simulate import checked_noise, measured_entries, simulate

_PLACE, _OPERATOR = 1, 2  # streams folded into the key, of which the noise is drawn itself
_SYNTHESIS_ERROR = 1e-3


@pytree
class ImageFamily(Family):
    """Noisy measurements of images; see ``images``."""

    crops: Crops
    operator: Any
    prior: Any
    noise_std: Any
    snr_db: Any
    measured: Any

    @property
    def axes(self) -> Problem:
        """Trials share the prior, the operator unless each draws its own, and a single image."""
        shared = isinstance(self.operator, Operator)
        truth = Truth(None, None, 0) if self.crops.num_places == 1 else 0
        return Problem(operator=None if shared else 0, y=0, prior=None, truth=truth)

    def sample(self, key: Any) -> Problem:
        """Draw a crop, the operator where it is random, and the noise from one key."""
        operator, y, truth = _drawn(self, checks.key("sample", key))
        operator = self.operator if isinstance(self.operator, Operator) else operator
        return Problem(operator, y, self.prior, truth)

    def initial(self, key: Any, num_restarts: int | None = None) -> Float[Array, "..."]:
        """Return zeros of the unknown's shape; the key is not used."""
        checks.key("initial", key)
        shape = self.crops.shape if self.prior is None else self.prior.in_shape
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return jnp.zeros(shape, self.crops.pixels.dtype)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _drawn(family: ImageFamily, key: Array) -> tuple[Any, Array, Truth]:
    """Return the operator where it was drawn, the measurements and the truth."""
    x = family.crops.draw(jax.random.fold_in(key, _PLACE))
    operator, measured, drawn = family.operator, family.measured, None
    if not isinstance(operator, Operator):
        operator = drawn = operator(jax.random.fold_in(key, _OPERATOR))
        measured = measured_entries(operator, x)
    y, noise = simulate(operator, x, key, measured, (family.noise_std, family.snr_db))
    u = x if family.prior is None else family.prior.adjoint(x)
    return drawn, y, Truth(u, x, noise)


def images(
    images: PyTree,
    operator: Any,
    *,
    noise_std: Any = None,
    snr_db: Any = None,
    prior: Any = None,
) -> ImageFamily:
    r"""Make the family of noisy measurements of images.

    .. math:: y = A x + \eta, \qquad \eta_i \sim N(0, \sigma^2)

    Every trial draws a crop x of the shape that the operator takes, each place in each image
    being equally likely, and the noise; with a function of a key in place of the operator, also
    that, such as another mask. What trials share is held once: the operator, and the image where
    there is a single one of just that shape. Noise falls on the entries that the operator
    measures, not on those that it leaves at zero, such as the hidden pixels of
    ``operators.mask``.

    Args:
        images: one image (h, w), (h, w, channels) or series (n,), as the operator takes it; an
            array of equal ones with a first axis; or a sequence of images of any sizes.
            ``data.image`` loads one. They are leaves of the family.
        operator: any operator of ``jaxinv.operators`` on images; or a function of a key that
            returns one, a ``jax.tree_util.Partial`` where it holds arrays.
        noise_std: σ >= 0; complex measurements get E|η_i|² = σ². None: no noise.
        snr_db: signal-to-noise ratio 10 log₁₀(‖A x‖² / (m σ²)) in decibels, m the number of
            entries that are measured; not with ``noise_std``.
        prior: a linear operator G with G Gᵀ = I that synthesizes the image from the unknown,
            such as ``operators.wavelet(...).H``; None: the unknown is the image.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (zeros), ``batch(keys)`` and ``axes``.
        The truth's ``u`` is Gᵀ x.

    Raises:
        ValueError: images smaller than the operator takes, or with NaN or infinity; both kinds
            of noise; a prior that does not reproduce an image.

    Cost: the pixels are held once; a draw takes one product with A (two where A is drawn).

    Example:
        >>> import jax, jaxinv as ji
        >>> photos = [ji.data.image(name, gray=True) for name in ("camera", "coins")]
        >>> def masks(key):
        ...     return ji.operators.mask(ji.operators.random_mask(key, (32, 32), 0.3))
        >>> family = images(photos, masks, noise_std=0.05)
        >>> batch = family.batch(jax.random.split(jax.random.key(1), 5))
        >>> batch.y.shape, batch.operator.mask.shape
        ((5, 32, 32), (5, 32, 32))

        One image and one operator, which all trials share:

        >>> A = ji.operators.subsampled_hadamard(jax.random.key(0), 256, (32, 32))
        >>> family = images(ji.data.image("camera", size=(32, 32)), A, snr_db=30.0)
        >>> batch = family.batch(jax.random.split(jax.random.key(1), 5))
        >>> batch.y.shape, batch.truth.x.shape
        ((5, 256), (32, 32))
    """
    where = "images"
    if not isinstance(operator, Operator) and not callable(operator):
        hint = "See jaxinv.operators."
        checks.fail_type(
            where, "operator", "be an operator, or a function of a key", operator, hint
        )
    shared = isinstance(operator, Operator)
    operator = operator if shared else as_function(where, "operator", operator, "operator(key)")
    shape = _in_shape(where, operator)
    crops = packed(where, images, shape, real=False)
    noise_std, snr_db = checked_noise(where, noise_std, snr_db)
    one = crops.draw(jax.random.key(0))
    _check_prior(where, prior, one)
    measured = jax.jit(measured_entries)(operator, one) if shared else None
    return ImageFamily(crops, operator, prior, noise_std, snr_db, measured)


def _in_shape(where: str, operator: Any) -> tuple[int, ...]:
    """Return the shape of the images that an operator takes."""
    made = operator
    if not isinstance(operator, Operator):
        try:
            made = jax.eval_shape(operator, jax.random.key(0))
        except (TypeError, ValueError) as error:
            fail_function(where, "operator", "a key", error)
        if not isinstance(made, Operator):
            expected, got = "return an operator", type(made).__name__
            checks.fail_type(where, "operator", expected, got, "See jaxinv.operators.")
    if not made.in_shape:
        checks.fail(where, "operator", "take arrays of one axis at least", "()")
    return tuple(made.in_shape)


def _check_prior(where: str, prior: Any, signal: Array) -> None:
    if prior is None:
        return
    if not isinstance(prior, LinearOperator):
        hint = "Such as operators.wavelet(shape, 'db4', 3).H."
        checks.fail_type(where, "prior", "be a linear operator or None", prior, hint)
    if prior.out_shape != signal.shape:
        hint = "The prior maps the unknown to the image: an analysis transform W enters as W.H."
        checks.fail(where, "prior", f"map to shape {signal.shape}", f"{prior.out_shape}", hint)
    error = numerics.safe_norm(prior(prior.adjoint(signal)) - signal)
    if checks.is_concrete(error):
        size = float(numerics.safe_norm(signal))
        if not math.isfinite(float(error)) or float(error) > _SYNTHESIS_ERROR * size:
            expected = "reproduce the image: G Gᵀ x = x"
            checks.fail(where, "prior", expected, f"a relative error of {float(error) / size:.2g}")
