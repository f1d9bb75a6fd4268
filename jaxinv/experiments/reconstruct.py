"""Reconstruct one real image from few measurements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv import data, metrics, problems
from jaxinv._core import Status, checks, numerics, replace
from jaxinv.data._images import to_unit
from jaxinv.experiments import _measuring, _shrinking
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers import fista
from jaxinv.solvers.fista import Fista

Array = jax.Array
Progress = Callable[[str, float], None]

_WHERE = "reconstruct"
_FIRST, _LAST = 0.5, 1e-3  # thresholds, in units of the image's range
_STAGES = 24  # thresholds from first to last
_HOLD = 6  # further stages at the last one
_STEPS = 10  # steps a stage
_MARGIN = 1.01  # on ‖A‖², which power iteration estimates from below


class Reconstruction(NamedTuple):
    """What ``reconstruct`` returns; images are float32 NumPy arrays in [0, 1].

    Attributes:
        estimate: the reconstruction, shape (h, w) or (h, w, 3).
        baseline: what the measurements show without a prior: the solution of least norm, or
            the blurred image itself.
        truth: the image that was measured.
        psnr, ssim: scores of the estimate; ``metrics.psnr`` and ``metrics.ssim``.
        baseline_psnr, baseline_ssim: those of the baseline.
        seconds: wall time, compilation included.
        num_steps: solver steps, summed over channels.
        status: a ``Status`` code: CONVERGED when the path ended where it should, MAX_STEPS
            when it never fitted the measurements to their noise level, NONFINITE.
        settings: what was done, as names and numbers.
    """

    estimate: np.ndarray
    baseline: np.ndarray
    truth: np.ndarray
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_ssim: float
    seconds: float
    num_steps: int
    status: int
    settings: dict[str, Any]


class _Path(NamedTuple):
    """The end of one channel's path of penalties."""

    unknown: Array
    threshold: float
    num_steps: int
    status: Status


def reconstruct(
    image: Any,
    *,
    operator: str = "hadamard",
    ratio: float = 0.25,
    prior: str = "wavelet",
    noise_db: float | None = None,
    key: Any = None,
    size: Any = None,
    gray: bool = False,
    progress: Progress | None = None,
) -> Reconstruction:
    r"""Measure an image, add noise if asked, and reconstruct it with a sparsity prior.

    .. math:: \hat x = \arg\min_x \tfrac12 \|A x - y\|^2 + \lambda R(x)

    by ``solvers.fista`` along a path of falling λ, each stage started at the last estimate.
    λ is chosen from the measurements alone: with noise, the path stops as soon as
    ‖A x − y‖ <= σ √m, the size of the noise (discrepancy principle; the noise level is known);
    without noise it ends at a threshold of 0.001 of the range, close to basis pursuit. Color
    images are measured and reconstructed by channel, with one operator. For your own
    operators, priors and stopping rules use ``problems.image`` with ``solve``.

    Args:
        image: a name or a path, as for ``data.image``, or an array (h, w) or (h, w, 3):
            unsigned integers, or floats in [0, 1].
        operator: hadamard (random rows with random signs), fourier (low frequencies sampled
            more densely), gaussian (a dense matrix: small images only), mask (random pixels),
            blur (Gaussian, 1/√ratio pixels wide, circular), downsample (block averages, of
            round(1/√ratio) pixels a side; the image is cut to a multiple).
        ratio: measurements per pixel, in (0, 1].
        prior: wavelet (sym4 wavelets), dct (8 x 8 cosine blocks), both with a random shift of
            their grid at each step and their averages not penalized; or tv (total variation).
        noise_db: signal-to-noise ratio of the measurements in decibels; None: no noise.
        key: a JAX PRNG key for the operator and the noise; default ``jax.random.key(0)``.
        size: shrink the image first, as in ``data.image`` (not for arrays).
        gray: reconstruct the luminance of a color image (not for arrays).
        progress: ``progress(text, fraction)``, called on the host between compiled stages.

    Returns:
        A ``Reconstruction``.

    Raises:
        ValueError: an unknown name, a ratio outside (0, 1], a Gaussian matrix above 2 GiB, an
            image that cannot be used (see ``data.image``).

    Cost: up to 300 steps a channel, each one product with A and one with Aᵀ.

    Notes: the scores compare with the truth; nothing else reads it.

    Example:
        >>> found = reconstruct("camera", size=64, ratio=0.5)
        >>> found.estimate.shape, found.psnr > found.baseline_psnr + 5
        ((64, 64), True)

    Source: continuation: Hale, Yin, Zhang (2008); discrepancy principle: Morozov (1966).
    """
    started = time.perf_counter()
    checks.choice(_WHERE, "operator", operator, _measuring.NAMES)
    checks.choice(_WHERE, "prior", prior, _shrinking.NAMES)
    hint = "It is the number of measurements per pixel."
    ratio = float(checks.scalar(_WHERE, "ratio", ratio, high=1.0, low=0.0, open_low=True, hint=hint))
    if noise_db is not None:
        noise_db = float(checks.scalar(_WHERE, "noise_db", noise_db))
    key = jax.random.key(0) if key is None else checks.key(_WHERE, key)
    pixels = _pixels(image, size, gray)
    report = _silent if progress is None else progress
    report("measuring", 0.0)
    operator_key, prior_key, noise_key = jax.random.split(key, 3)
    model, seen, own_ratio, measured_as = _measuring.make_operator(
        operator, pixels.shape[:2], ratio, operator_key
    )
    truth = pixels[: seen[0], : seen[1]]
    penalty, canvas, prior_text = _shrinking.make_prior(prior, seen, prior_key)
    window = _measuring.Window(canvas, seen, model.in_shape)
    channels = [truth] if truth.ndim == 2 else list(np.moveaxis(truth, -1, 0))
    paths, baselines = [], []
    for index, channel in enumerate(channels):
        family = problems.image(
            channel.reshape(model.in_shape), model, noise_db=noise_db, prior=window
        )
        problem = family.sample(jax.random.fold_in(noise_key, index))._replace(truth=None)
        baselines.append(_baseline(operator, problem, seen))
        noise_norm = _noise_norm(problem.y, family.measured, noise_db)
        share = partial(_share, report, index, len(channels))
        paths.append(_follow(problem, penalty, noise_norm, share))
    estimate = _assemble([path.unknown[: seen[0], : seen[1]] for path in paths], truth)
    baseline = _assemble(baselines, truth)
    settings = {
        "operator": operator,
        "measurements": measured_as,
        "ratio": own_ratio,
        "prior": prior,
        "prior_detail": prior_text,
        "noise_db": noise_db,
        "thresholds": [path.threshold for path in paths],
        "shape": truth.shape,
    }
    scores = _scores(estimate, truth), _scores(baseline, truth)
    report("done", 1.0)
    return Reconstruction(
        estimate,
        baseline,
        truth,
        *scores[0],
        *scores[1],
        time.perf_counter() - started,
        sum(path.num_steps for path in paths),
        int(max(path.status for path in paths)),
        settings,
    )
