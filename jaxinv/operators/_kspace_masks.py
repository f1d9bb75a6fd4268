"""Masks of k-space in the centered convention of MRI: frequency 0 in the middle."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool

from jaxinv._core import checks
from jaxinv.operators._require import signal_shape

_KINDS = ("random", "bernoulli", "equispaced")


def fourier_lines(
    key: Any,
    shape: Any,
    acceleration: float | int,
    center_fraction: float | int,
    kind: str = "random",
) -> Bool[Array, "h w"]:
    r"""Draw a Cartesian k-space mask of whole columns, as in accelerated MRI.

    .. math:: n_c = \mathrm{round}(f w), \qquad
        P(\text{column kept}) = \frac{w / a - n_c}{w - n_c} \text{ outside the center}

    The n_c columns about frequency 0 are always kept. ``random`` keeps round(w/a) columns in
    all, the others drawn uniformly without replacement. ``bernoulli`` is the published draw: it
    keeps each other column by itself with the probability above, so that w/a is met on average
    only (for w = 64 and a = 4, 10 to 22 columns), and an unlucky mask may be far worse than its
    acceleration says. ``equispaced`` keeps every a'-th column from a random offset,

    .. math:: a' = \frac{a (w - n_c)}{w - a n_c}

    Args:
        key: a JAX PRNG key; may be traced.
        shape: (..., h, w); columns are the entries of the last axis (the phase encodes of
            fastMRI), so the mask is constant along all other axes.
        acceleration: a >= 1, the factor by which fewer columns are kept; 1 keeps all.
        center_fraction: f in [0, 1], the share of columns that is always kept; published are
            0.08 for a = 4 and 0.04 for a = 8. With 0 the mean may go unmeasured.
        kind: random, bernoulli or equispaced.

    Returns:
        A boolean mask of ``shape``, frequency 0 at index n // 2 of each axis, for
        ``operators.mri`` and ``multicoil_mri`` (``jnp.fft.ifftshift`` moves it to index 0, where
        ``subsampled_fourier`` has it).

    Raises:
        ValueError: an acceleration below 1, a fraction outside [0, 1], one above 0 but so small
            that no column is in the center, or so large that the center alone exceeds w/a columns.

    Example:
        >>> import jax
        >>> mask = fourier_lines(jax.random.key(0), (64, 100), 4, 0.08)
        >>> mask.shape, int(mask[0, 46:54].sum()), bool((mask == mask[0]).all())
        ((64, 100), 8, True)
        >>> int(mask[0].sum())
        25

    Source: Zbontar et al. (2018), "fastMRI", section 4.9 (there bernoulli is called random); the
        equispaced spacing is that of its published code, which counts the center as part of w/a.
    """
    where = "fourier_lines"
    key = checks.key(where, key)
    shape = signal_shape(where, shape)
    checks.choice(where, "kind", kind, _KINDS)
    acceleration = _concrete(where, "acceleration", acceleration, low=1.0)
    fraction = _concrete(where, "center_fraction", center_fraction, low=0.0, high=1.0)
    width = shape[-1]
    num_center = round(width * fraction)
    if num_center < 1 and fraction > 0:
        hint = f"1 column of {width} is {1 / width:.3g}."
        checks.fail(where, "center_fraction", "keep at least one column", fraction, hint)
    if num_center > math.ceil(width / acceleration):
        expected = f"keep at most shape[-1] / acceleration = {width / acceleration:.4g} columns"
        checks.fail(where, "center_fraction", expected, f"{num_center}")
    columns = jnp.arange(width)
    first = (width - num_center + 1) // 2
    kept = (columns >= first) & (columns < first + num_center)
    if num_center < width:
        draw = {"random": _random, "bernoulli": _bernoulli, "equispaced": _equispaced}[kind]
        kept = kept | draw(key, width, num_center, acceleration)
    return jnp.broadcast_to(kept, shape)


def _random(key: Array, width: int, num_center: int, acceleration: float) -> Array:
    """Keep as many columns outside the center as are missing from round(w/a)."""
    first = (width - num_center + 1) // 2
    others = np.delete(np.arange(width), np.s_[first : first + num_center])
    missing = round(width / acceleration) - num_center  # none where negative
    return (
        jnp.zeros(width, bool)
        .at[others]
        .set(jax.random.permutation(key, np.arange(others.size) < missing))
    )


def _bernoulli(key: Array, width: int, num_center: int, acceleration: float) -> Array:
    share = (width / acceleration - num_center) / (width - num_center)  # none where negative
    return jax.random.uniform(key, (width,), jnp.float32) < share


def _equispaced(key: Array, width: int, num_center: int, acceleration: float) -> Array:
    """Keep every a'-th column, or none where the center has used up all of w/a."""
    rest = width - acceleration * num_center
    if rest <= 0:
        return jnp.zeros(width, bool)
    spacing = acceleration * (width - num_center) / rest
    offset = jax.random.randint(key, (), 0, max(1, round(spacing)))
    steps = np.round(np.arange(math.ceil(width / spacing) + 1) * spacing).astype(np.int32)
    return jnp.zeros(width, bool).at[offset + steps].set(True, mode="drop")


def radial_lines(shape: Any, num_lines: int) -> Bool[Array, "h w"]:
    r"""Make a k-space mask of straight lines through frequency 0.

    .. math:: \theta_i = \pi i / L, \qquad i = 0, \dots, L - 1

    Each line visits one pixel per row or per column, whichever it crosses more of, and is
    symmetric about the center: for an even size the most negative frequency, which has no
    mirror image, is left out.

    Args:
        shape: (h, w), each at least 2.
        num_lines: L >= 1; line 0 is the middle row.

    Returns:
        A boolean mask of ``shape``, frequency 0 at (h // 2, w // 2), equal to its mirror image,
        for ``operators.mri`` (``jnp.fft.ifftshift`` makes it one for ``subsampled_fourier``).
        It holds 2 c + 1 true entries; of a real image these are c complex coefficients and the
        mean.

    Raises:
        ValueError: another number of axes, a size below 2, no line.

    Example:
        >>> mask = radial_lines((256, 256), 5)
        >>> (int(mask.sum()) - 1) // 2
        634

    Source: Candès, Romberg, Tao (2006), figure 1. Van Veen et al. (2018), appendix A, report
        381, 634, 1260 and 2500 coefficients for 3, 5, 10 and 20 lines: exactly c of this mask
        for their images of 256 x 256.
    """
    where = "radial_lines"
    shape = signal_shape(where, shape)
    if len(shape) != 2 or min(shape) < 2:
        checks.fail(where, "shape", "be (h, w) with sizes of at least 2", f"{shape}")
    num_lines = checks.count(where, "num_lines", num_lines)
    mask = np.zeros(shape, bool)
    for angle in np.pi * np.arange(num_lines) / num_lines:
        rise, run = np.sin(angle), np.cos(angle)
        flat = abs(run) >= abs(rise) - 1e-12  # at 45 degrees one rule for both diagonals
        reach = (shape[1 if flat else 0] - 1) // 2
        steps = np.arange(-reach, reach + 1)
        across = _round_away(steps * (rise / run if flat else run / rise))
        rows, columns = (across, steps) if flat else (steps, across)
        inside = (np.abs(rows) <= (shape[0] - 1) // 2) & (np.abs(columns) <= (shape[1] - 1) // 2)
        mask[rows[inside] + shape[0] // 2, columns[inside] + shape[1] // 2] = True
    return jnp.asarray(mask)


def _round_away(values: np.ndarray) -> np.ndarray:
    """Round to the nearest integer, halves away from 0, so that lines stay symmetric."""
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(int)


def _concrete(where: str, argument: str, value: Any, *, low: float, high: float = math.inf) -> Any:
    if not checks.is_concrete(value):
        checks.fail_type(where, argument, "be a concrete number (it sets a count)", value)
    return checks.scalar(where, argument, value, low=low, high=high, single=True)
