"""Reconstruct one real image from few measurements."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, metrics, problems
from jaxinv._core import Status, checks, numerics
from jaxinv.data._images import to_unit
from jaxinv.experiments._measuring import OPERATORS, Measuring, Window, make_operator, minimum_norm
from jaxinv.experiments._path import MARGIN, STEPS, Progress, follow, signal_of, silent
from jaxinv.experiments._shrinking import PRIORS, Shrinking, make_prior
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers import fista

Array = jax.Array

_WHERE = "reconstruct"
_DECIBELS = 150.0  # beyond, float32 holds the signal or the noise only
_SMALLEST_SIDE = 16


class Reconstruction(NamedTuple):
    """What ``reconstruct`` returns; images are float32 NumPy arrays.

    Attributes:
        estimate: the reconstruction in [0, 1], shape (h, w) or (h, w, 3).
        baseline: what the measurements show without a prior: the solution of least norm
            (unbounded), or the blurred image itself.
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


class _Channel(NamedTuple):
    estimate: np.ndarray
    baseline: np.ndarray
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
            more densely; a complex coefficient counts once), gaussian (a dense matrix: small
            images only), mask (random pixels), blur (Gaussian, 1/√ratio pixels wide, circular),
            downsample (block averages, of round(1/√ratio) pixels a side; the image is cut to a
            multiple).
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
        ValueError: an unknown name, a ratio outside (0, 1], a Gaussian matrix above 2 GiB, fewer
            than 16 pixels a side, an image that cannot be used (see ``data.image``).

    Cost: up to 300 steps a channel, each one product with A and one with Aᵀ.

    Notes: the scores compare with the truth; nothing else reads it.

    Example:
        >>> found = reconstruct("camera", size=64, ratio=0.5)
        >>> found.estimate.shape, found.psnr > found.baseline_psnr + 5
        ((64, 64), True)

    Source: continuation: Hale, Yin, Zhang (2008); discrepancy principle: Morozov (1966).
    """
    started = time.perf_counter()
    checks.choice(_WHERE, "operator", operator, OPERATORS)
    checks.choice(_WHERE, "prior", prior, PRIORS)
    hint = "It is the number of measurements per pixel."
    ratio = checks.scalar(_WHERE, "ratio", ratio, low=0.0, high=1.0, open_low=True, hint=hint)
    if noise_db is not None:
        noise_db = checks.scalar(_WHERE, "noise_db", noise_db, low=-_DECIBELS, high=_DECIBELS)
    key = jax.random.key(0) if key is None else checks.key(_WHERE, key)
    pixels = _pixels(image, size, gray)
    report = silent if progress is None else progress
    report("measuring", 0.0)
    operator_key, prior_key, noise_key = jax.random.split(key, 3)
    measuring = make_operator(operator, pixels.shape[:2], ratio, operator_key)
    shrinking = make_prior(prior, measuring.shape, prior_key)
    truth = pixels[: measuring.shape[0], : measuring.shape[1]]
    channels = [truth] if truth.ndim == 2 else list(np.moveaxis(truth, -1, 0))
    results = []
    for index, channel in enumerate(channels):
        share = partial(_share, report, index, len(channels))
        channel_key = jax.random.fold_in(noise_key, index)
        results.append(_channel(channel, measuring, shrinking, noise_db, channel_key, share))
    estimate = np.clip(_assemble([result.estimate for result in results], truth), 0, 1)
    baseline = _assemble([result.baseline for result in results], truth)
    settings = {
        "operator": operator,
        "measurements": measuring.text,
        "ratio": measuring.ratio,
        "prior": prior,
        "prior_detail": shrinking.text,
        "noise_db": noise_db,
        "thresholds": [result.threshold for result in results],
    }
    psnr, ssim = _scores(estimate, truth)
    baseline_psnr, baseline_ssim = _scores(baseline, truth)
    report("done", 1.0)
    return Reconstruction(
        estimate=estimate,
        baseline=baseline,
        truth=truth,
        psnr=float(psnr),
        ssim=float(ssim),
        baseline_psnr=float(baseline_psnr),
        baseline_ssim=float(baseline_ssim),
        seconds=time.perf_counter() - started,
        num_steps=sum(result.num_steps for result in results),
        status=int(max(result.status for result in results)),
        settings=settings,
    )


def _channel(
    channel: np.ndarray,
    measuring: Measuring,
    shrinking: Shrinking,
    noise_db: float | None,
    key: Array,
    report: Progress,
) -> _Channel:
    operator = measuring.operator
    window = Window(shrinking.canvas, measuring.shape, operator.in_shape)
    signal = jnp.asarray(channel).reshape(operator.in_shape)
    problem, noise_norm = _measure(signal, operator, window, noise_db, key)
    shown = problem.y if measuring.shows_image else minimum_norm(operator, problem.y)
    step_size, state = _start(problem, shrinking.prox)
    solver = fista(step_size, prox=shrinking.prox)
    end = follow(solver, problem, state, float(noise_norm), report)
    estimate = np.asarray(signal_of(problem, end.unknown)).reshape(measuring.shape)
    baseline = np.asarray(shown).reshape(measuring.shape)
    return _Channel(estimate, baseline, end.threshold, STEPS * end.num_stages, end.status)


@jax.jit
def _measure(
    signal: Array, operator: Any, window: Window, noise_db: Any, key: Array
) -> tuple[Problem, Array]:
    """Return the problem without its truth, and σ√m."""
    family = problems.image(signal, operator, noise_db=noise_db, prior=window)
    problem = family.sample(key)._replace(truth=None)
    if noise_db is None:
        return problem, jnp.zeros((), jnp.float32)
    # the energy of the noisy measurements is that of the signal and of the noise
    energy = numerics.sum_squares(jnp.where(family.measured, problem.y, 0))
    return problem, jnp.sqrt(energy / (1 + 10 ** (noise_db / 10)))


@jax.jit
def _start(problem: Problem, prox: Prox) -> tuple[Array, Any]:
    """Return a safe step size, and the solver's state at zero."""
    step_size = 1 / (MARGIN * jnp.square(problem.operator.norm()))
    u0 = jnp.zeros(problem.prior.in_shape, jnp.float32)
    return step_size, fista(step_size, prox=prox).init(problem, u0)


def _pixels(image: Any, size: Any, gray: bool) -> np.ndarray:
    if isinstance(image, str | Path):
        pixels = data.image(image, size=size, gray=gray)
    elif not isinstance(image, np.ndarray | jax.Array):
        checks.fail_type(_WHERE, "image", "be a name, a path or an array", image)
    elif size is not None or gray:
        hint = "Prepare the array before the call."
        checks.fail(_WHERE, "size and gray", "be left out for an array", f"{size}, {gray}", hint)
    else:
        pixels = to_unit(image, "the array")
    if min(pixels.shape[:2]) < _SMALLEST_SIDE:
        checks.fail(_WHERE, "image", f"have at least {_SMALLEST_SIDE} pixels a side", pixels)
    return pixels


def _assemble(channels: list[np.ndarray], like: np.ndarray) -> np.ndarray:
    return channels[0] if like.ndim == 2 else np.stack(channels, axis=-1)


def _share(report: Progress, index: int, count: int, text: str, fraction: float) -> None:
    """Report the progress of one channel as a part of the whole."""
    prefix = f"channel {index + 1} of {count}, " if count > 1 else ""
    report(prefix + text, (index + fraction) / count)


@jax.jit
def _scores(estimate: Any, truth: Any) -> tuple[Array, Array]:
    return metrics.psnr(estimate, truth), metrics.ssim(estimate, truth)
