"""Simulate few measurements of an image, and reconstruct it from them."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import data, metrics
from jaxinv._core import Status, checks
from jaxinv.data._images import to_unit
from jaxinv.images import _untrained
from jaxinv.images._measured import Found, Noise, measure, minimum_norm
from jaxinv.images._measuring import OPERATORS, Measuring, make_operator
from jaxinv.images._path import MARGIN, STEPS, Progress, follow, signal_of, silent
from jaxinv.images._shrinking import PRIORS, Shrinking, make_prior
from jaxinv.operators._window import Window
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers import fista

_WHERE = "simulate"
_DECIBELS = 150.0  # beyond, float32 holds the signal or the noise only
_SMALLEST_SIDE = 16


class Rival(NamedTuple):
    """Another method on the same measurements: its name and its scores."""

    name: str
    psnr: float
    ssim: float


class Simulated(NamedTuple):
    """What ``simulate`` returns; images are float32 NumPy arrays.

    Attributes:
        estimate: the reconstruction in [0, 1], shape (h, w) or (h, w, 3).
        baseline: what the measurements show without a prior: the solution of least norm
            (unbounded), or the blurred or noisy image itself.
        truth: the image that was measured.
        psnr, ssim: scores of the estimate; ``metrics.psnr`` and ``metrics.ssim``.
        baseline_psnr, baseline_ssim: those of the baseline.
        seconds: wall time, compilation included.
        num_steps: solver steps, summed over channels; of the longest fit for networks.
        status: a ``Status`` code: CONVERGED when the path ended where it should, MAX_STEPS
            when it never fitted the measurements to their noise level, NONFINITE; for networks
            that of ``untrained.fit``, the worst of the seeds.
        settings: what was done, as names and numbers.
        seed_psnr, seed_ssim: scores of each fit of a network, whose average is the estimate.
        rivals: for a network that denoises: total variation and, where scikit-image is
            installed, non-local means, which are told the noise level.
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
    seed_psnr: tuple[float, ...] = ()
    seed_ssim: tuple[float, ...] = ()
    rivals: tuple[Rival, ...] = ()


class _Channel(NamedTuple):
    estimate: np.ndarray
    baseline: np.ndarray
    threshold: float
    num_steps: int
    status: Status


def simulate(
    image: Any,
    *,
    operator: str = "hadamard",
    ratio: float = 0.25,
    prior: str = "wavelet",
    snr_db: float | None = None,
    noise_std: float | None = None,
    num_seeds: int | None = None,
    stop: Any = None,
    num_steps: int | None = None,
    num_channels: int | None = None,
    key: Any = None,
    size: Any = None,
    gray: bool = False,
    progress: Progress | None = None,
) -> Simulated:
    r"""Measure an image, add noise if asked, and reconstruct it with a prior.

    .. math:: \hat x = \arg\min_x \tfrac12 \|A x - y\|^2 + \lambda R(x)

    for sparsity, by ``solvers.fista`` along a path of falling λ, each stage started at the last
    estimate. λ is chosen from the measurements alone: with noise, the path stops as soon as
    ‖A x − y‖ <= σ √m, the size of the noise (discrepancy principle; the noise level is known);
    without noise it ends at a threshold of 0.001 of the range, close to basis pursuit. Color
    images are measured and reconstructed by channel, with one operator. For your own
    operators, priors and stopping rules use ``problems.images`` with ``solve``.

    .. math:: \hat x = G_{\hat\theta}(z), \qquad
        \hat\theta \approx \arg\min_\theta \tfrac12 \|A\, G_\theta(z) - y\|^2

    for networks, which nothing has trained: one network makes all channels at once and
    ``untrained.fit`` stops it early. Without noise the estimate is then brought into agreement
    with the measurements (``operators.data_consistency``).

    Args:
        image: a name or a path, as for ``data.image``, or an array (h, w) or (h, w, 3):
            unsigned integers, or floats in [0, 1].
        operator: hadamard (random rows with random signs), fourier (low frequencies sampled
            more densely; a complex coefficient counts once), gaussian (a dense matrix: small
            images only), mask (random pixels), blur (Gaussian, 1/√ratio pixels wide, circular),
            downsample (block averages, of round(1/√ratio) pixels a side; the image is cut to a
            multiple), identity (denoising), mri (random columns of the k-space of the real
            image and 8 % of them in the middle, 4 % at a ratio of 1/8), multicoil (the same
            columns, seen by 8 coils with simulated maps).
        ratio: measurements per pixel, in (0, 1].
        prior: wavelet (sym4 wavelets), dct (8 x 8 cosine blocks), both with a random shift of
            their grid at each step and their averages not penalized; tv (total variation); or a
            network of ``generators``: deep-decoder, dip (``unet``), convdecoder, dcgan,
            coordinate.
        snr_db: signal-to-noise ratio of the measurements in decibels; None: no noise.
        noise_std: instead, their standard deviation σ >= 0, in units of the image's range.
        num_seeds: fits of a network, each with its own input and start, run as one batch; the
            estimate is their average.
        stop: for networks: "auto", the default, stops where left out measurements are predicted
            best (``untrained.held_out``); a number runs that many steps.
        num_steps: for networks, the most steps; default 3000.
        num_channels: width of a network's layers; the default is that of the generator, but 64
            for deep-decoder. Fewer are faster.
        key: a JAX PRNG key for the operator and the noise; default ``jax.random.key(0)``.
        size: shrink the image first, as in ``data.image`` (not for arrays).
        gray: reconstruct the luminance of a color image (not for arrays).
        progress: ``progress(text, fraction)``, called on the host between compiled stages.

    Returns:
        A ``Simulated``.

    Raises:
        ValueError: an unknown name, a ratio outside (0, 1], a Gaussian matrix above 2 GiB, fewer
            than 16 pixels a side, an image that cannot be used (see ``data.image``), both kinds
            of noise, an option that the prior does not take.

    Cost: up to 300 steps a channel, each one product with A and one with Aᵀ; for networks one
        pass forward and one backward a step, which a GPU does far faster.

    Notes: the scores compare with the truth; nothing else reads it. Networks for mri and
        multicoil are fitted in units that come from the measurements alone
        (``operators.measured_scale``).

    Example:
        >>> found = simulate("camera", size=64, ratio=0.5)
        >>> found.estimate.shape, found.psnr > found.baseline_psnr + 5
        ((64, 64), True)

    Source: continuation: Hale, Yin, Zhang (2008); discrepancy principle: Morozov (1966);
        networks: see their constructors in ``generators``.
    """
    started = time.perf_counter()
    checks.choice(_WHERE, "operator", operator, OPERATORS)
    checks.choice(_WHERE, "prior", prior, (*PRIORS, *_untrained.NETWORKS))
    hint = "It is the number of measurements per pixel."
    ratio = checks.scalar(_WHERE, "ratio", ratio, low=0.0, high=1.0, open_low=True, hint=hint)
    noise = _noise(snr_db, noise_std)
    options = _untrained.Options(num_seeds, stop, num_steps, num_channels)
    plan = None if prior in PRIORS else _untrained.make_plan(prior, options)
    if plan is None:
        _untrained.refuse(prior, options)
    key = jax.random.key(0) if key is None else checks.key(_WHERE, key)
    pixels = _pixels(image, size, gray)
    report = silent if progress is None else progress
    report("measuring", 0.0)
    operator_key, prior_key, noise_key = jax.random.split(key, 3)
    measuring = make_operator(operator, pixels.shape[:2], ratio, operator_key)
    truth = pixels[: measuring.shape[0], : measuring.shape[1]]
    keys = (prior_key, noise_key)
    if plan is None:
        found = _classical(truth, measuring, prior, noise, keys, report)
    else:
        found = _untrained.restore(truth, measuring, prior, noise, plan, keys, report)
    settings = {
        "operator": operator,
        "measurements": measuring.text,
        "ratio": measuring.ratio,
        "prior": prior,
        "snr_db": noise.db,
        "noise_std": noise.std,
    }
    outcome = _scored(found, truth, settings | found.settings, started)
    report("done", 1.0)
    return outcome


def _scored(found: Found, truth: np.ndarray, settings: dict[str, Any], started: float) -> Simulated:
    """Compare with the truth; nothing before this did."""
    psnr, ssim = _scores(found.estimate, truth)
    baseline_psnr, baseline_ssim = _scores(found.baseline, truth)
    seeds = [] if found.seeds is None else [_scores(seed, truth) for seed in found.seeds]
    rivals = [(name, *_scores(image, truth)) for name, image in found.rivals]
    return Simulated(
        estimate=found.estimate,
        baseline=found.baseline,
        truth=truth,
        psnr=float(psnr),
        ssim=float(ssim),
        baseline_psnr=float(baseline_psnr),
        baseline_ssim=float(baseline_ssim),
        seconds=time.perf_counter() - started,
        num_steps=found.num_steps,
        status=int(found.status),
        settings=settings,
        seed_psnr=tuple(float(psnr) for psnr, _ in seeds),
        seed_ssim=tuple(float(ssim) for _, ssim in seeds),
        rivals=tuple(Rival(name, float(psnr), float(ssim)) for name, psnr, ssim in rivals),
    )


def _classical(
    truth: np.ndarray,
    measuring: Measuring,
    prior: str,
    noise: Noise,
    keys: tuple[Array, Array],
    report: Progress,
) -> Found:
    """Reconstruct channel by channel along a path of penalties."""
    prior_key, noise_key = keys
    shrinking = make_prior(prior, measuring.shape, prior_key)
    channels = [truth] if truth.ndim == 2 else list(np.moveaxis(truth, -1, 0))
    results = []
    for index, channel in enumerate(channels):
        share = partial(_share, report, index, len(channels))
        channel_key = jax.random.fold_in(noise_key, index)
        results.append(_channel(channel, measuring, shrinking, noise, channel_key, share))
    return Found(
        estimate=np.clip(_assemble([result.estimate for result in results], truth), 0, 1),
        baseline=_assemble([result.baseline for result in results], truth),
        num_steps=sum(result.num_steps for result in results),
        status=max(result.status for result in results),
        settings={
            "prior_detail": shrinking.text,
            "thresholds": [result.threshold for result in results],
        },
    )


def _channel(
    channel: np.ndarray,
    measuring: Measuring,
    shrinking: Shrinking,
    noise: Noise,
    key: Array,
    report: Progress,
) -> _Channel:
    operator = measuring.operator
    window = Window(shrinking.canvas, measuring.shape, operator.in_shape)
    signal = jnp.asarray(channel).reshape(operator.in_shape)
    problem, noise_norm = measure(signal, operator, noise, key, window)
    shown = problem.y if measuring.shows_image else minimum_norm(operator, problem.y)
    step_size, state = _start(problem, shrinking.prox)
    solver = fista(step_size, prox=shrinking.prox)
    end = follow(solver, problem, state, float(noise_norm), report)
    estimate = np.asarray(signal_of(problem, end.unknown)).reshape(measuring.shape)
    baseline = np.asarray(shown).reshape(measuring.shape)
    return _Channel(estimate, baseline, end.threshold, STEPS * end.num_stages, end.status)


@jax.jit
def _start(problem: Problem, prox: Prox) -> tuple[Array, Any]:
    """Return a safe step size, and the solver's state at zero."""
    step_size = 1 / (MARGIN * jnp.square(problem.operator.norm()))
    u0 = jnp.zeros(problem.prior.in_shape, jnp.float32)
    return step_size, fista(step_size, prox=prox).init(problem, u0)


def _noise(snr_db: Any, noise_std: Any) -> Noise:
    if snr_db is not None and noise_std is not None:
        got = f"{snr_db} and {noise_std}"
        checks.fail(_WHERE, "snr_db and noise_std", "not both be given", got)
    if snr_db is not None:
        snr_db = checks.scalar(_WHERE, "snr_db", snr_db, low=-_DECIBELS, high=_DECIBELS)
    if noise_std is not None:
        noise_std = checks.nonnegative(_WHERE, "noise_std", noise_std)
    return Noise(snr_db, noise_std)


def _pixels(image: Any, size: Any, gray: bool) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        pixels = data.image(image, size=size, gray=gray)
    elif not hasattr(image, "shape"):
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
