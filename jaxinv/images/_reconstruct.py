"""Reconstruct the image behind one real measurement."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv import metrics
from jaxinv._core import Status, checks, numerics
from jaxinv.images._choice import Estimate, choose
from jaxinv.images._judges import make_judge
from jaxinv.images._measurement import Measurement, measurement
from jaxinv.images._noise import estimated_noise
from jaxinv.images._path import Progress, silent
from jaxinv.images._priors import Method, Options, candidates, check_prior
from jaxinv.operators import LinearOperator

_WHERE = "reconstruct"


class Candidate(NamedTuple):
    """One method: its name, its mean held-out error, and the standard error of that."""

    name: str
    held_out: float
    standard_error: float


class Reconstruction(NamedTuple):
    """What ``reconstruct`` returns; images are NumPy arrays in the units that y implies.

    Attributes:
        x: the reconstruction, (h, w), (h, w, c), or one image per coil; complex where A* y is.
        spread: of the shape of x, real: the standard deviation of estimates from parts of the
            measurements; for a denoised image, what the noise adds to each pixel; zeros where
            there is one estimate only.
        scores: held_out, the relative error ‖A x − y‖ / ‖y‖ on measurements that were left out;
            misfit, the same on all of them; with a truth psnr, ssim, and those of ``input``.
        status: a ``Status`` code.
        candidates: what was compared.
        chosen: the name of the one that is x.
        reason: why, in a sentence.
        input: what y shows without a prior.
        truth: as given, or None.
        seconds: wall time, compilation included.
        settings: what was done, as names and numbers.
    """

    x: np.ndarray
    spread: np.ndarray
    scores: dict[str, float]
    status: int
    candidates: tuple[Candidate, ...]
    chosen: str
    reason: str
    input: np.ndarray
    truth: np.ndarray | None
    seconds: float
    settings: dict[str, Any]


def reconstruct(
    y: Num[ArrayLike, "*out"],
    operator: LinearOperator,
    *,
    prior: Any = "auto",
    noise_std: Any = None,
    truth: Any = None,
    shape: Any = None,
    num_starts: int = 3,
    num_steps: int | None = None,
    fallback: bool = True,
    key: Any = None,
    progress: Progress | None = None,
) -> Reconstruction:
    r"""Reconstruct an image from your own measurements of it.

    .. math:: \hat x = \arg\min_x \tfrac12 \|A x - y\|^2 + \lambda R(x)

    Args:
        y: measurements, of ``operator.out_shape``; with a last axis more for channels.
        operator: A, linear, of images (h, w) or (h, w, c), or of flat ones.
        prior: auto, tv, wavelet or dct.
        noise_std: σ of the noise of each entry of y, in its units; None: not known.
        truth: the image, for scores only.
        shape: (h, w) or (h, w, c), where the operator takes flat images.
        num_starts: starts of a network.
        num_steps: steps of a network.
        key: a JAX PRNG key; default ``jax.random.key(0)``.
        progress: ``progress(text, fraction)``, called on the host between compiled stages.

    Returns:
        A ``Reconstruction``.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: shapes that do not fit, NaN, y that is zero or of 8 bits, a noise level that
            cannot be, an adjoint that is none.

    Example:
        >>> import jax, jaxinv as ji
        >>> x = ji.data.image("camera", size=32)
        >>> A = ji.operators.mask(ji.operators.random_mask(jax.random.key(0), x.shape, 0.5))
        >>> found = reconstruct(A @ x, A, prior="tv", truth=x)
        >>> found.x.shape, found.scores["psnr"] > found.scores["input_psnr"] + 5
        ((32, 32), True)

    Source: cross-validation: Stone (1974).
    """
    started = time.perf_counter()
    priors = check_prior(_WHERE, prior)
    num_starts = checks.count(_WHERE, "num_starts", num_starts)
    num_steps = None if num_steps is None else checks.count(_WHERE, "num_steps", num_steps)
    fallback = checks.boolean(_WHERE, "fallback", fallback)
    key = jax.random.key(0) if key is None else checks.key(_WHERE, key)
    report = silent if progress is None else progress
    report("looking at the measurements", 0.0)
    measured = measurement(_WHERE, y, operator, shape, noise_std)
    truth = None if truth is None else _truth(truth, measured)
    judge_key, prior_key = jax.random.split(key)
    noise = _noise_of(measured)
    judge = make_judge(measured, noise, judge_key, _WHERE)
    options = Options(num_starts, num_steps)
    methods = candidates(priors, measured, options, prior_key, fallback)
    found = [
        _judged(method, measured, judge, partial(_share, report, index, len(methods)))
        for index, method in enumerate(methods)
    ]
    best, reason = choose(found)
    settings = {
        "judge": judge.text,
        "setting": best.text,
        "noise_std": None if noise is None else noise * measured.scale * measured.gain,
        "noise_std_is": "given" if noise_std is not None else "estimated" if noise else "not used",
    }
    report("done", 1.0)
    return _outcome(found, best, measured, truth, settings, started)._replace(reason=reason)


def _noise_of(measured: Measurement) -> float | None:
    if measured.noise_std is None and measured.denoises:
        return estimated_noise(measured)
    return measured.noise_std


def _share(report: Progress, index: int, count: int, text: str, fraction: float) -> None:
    """Report the progress of one candidate as a part of the whole."""
    report(text, (index + fraction) / count)


def _judged(method: Method, measured: Measurement, judge: Any, report: Progress) -> Estimate:
    """Return the stage that the judge prefers."""
    best, least, since = None, math.inf, 0
    for stage in method.stages(measured, judge):
        report(stage.text, stage.fraction)
        errors = judge.errors(measured.operator, _signals(measured.planes(), stage.planes))
        score = float(np.mean(errors))
        since += 1
        if score < least:
            best, least, since = (stage, errors), score, 0
        if not math.isfinite(score) or since >= judge.patience:
            break
    name, is_network = method.name, method.is_network
    if best is None:
        x = jnp.zeros(measured.planes().canvas, measured.dtype)
        return Estimate(name, is_network, np.full(2, np.inf), x, jnp.abs(x), "", Status.NONFINITE)
    stage, errors = best
    spread = jnp.hypot(judge.spread(stage.planes), stage.spread)
    planes = stage.planes[0]
    return Estimate(name, is_network, errors, planes, spread, stage.text, Status.CONVERGED)


@jax.jit
def _signals(planes: Any, x: Array) -> Array:
    return jax.vmap(planes._apply)(x)


def _outcome(
    found: list[Estimate],
    best: Estimate,
    measured: Measurement,
    truth: np.ndarray | None,
    settings: dict[str, Any],
    started: float,
) -> Reconstruction:
    planes = measured.planes()
    unit = np.asarray(measured.scale, numerics.real_dtype(measured.dtype))
    x = np.asarray(planes.image(best.planes)) * unit
    shown = np.asarray(measured.shown()) * unit
    signal = planes.image(best.planes).reshape(measured.operator.in_shape)
    residual = measured.operator(signal) - measured.y
    scores = {
        "held_out": math.sqrt(max(float(np.mean(best.errors)), 0.0)),
        "misfit": float(jnp.linalg.norm(residual) / jnp.linalg.norm(measured.y)),
    }
    if truth is not None:
        scores |= _scores(x, truth, "") | _scores(shown, truth, "input_")
    return Reconstruction(
        x=x,
        spread=np.asarray(planes.image(best.spread)) * unit,
        scores=scores,
        status=int(best.status),
        candidates=tuple(_candidate(one) for one in found),
        chosen=best.name,
        reason="",
        input=shown,
        truth=truth,
        seconds=time.perf_counter() - started,
        settings=settings,
    )


def _candidate(one: Estimate) -> Candidate:
    parts = np.sqrt(np.maximum(one.errors, 0))
    return Candidate(one.name, float(parts.mean()), float(parts.std() / math.sqrt(len(parts))))


def _truth(truth: Any, measured: Measurement) -> np.ndarray:
    truth = checks.array(_WHERE, "truth", truth)
    checks.shape_is(_WHERE, "truth", truth, measured.shape, "That is the shape of the image.")
    checks.finite(_WHERE, "truth", truth)
    return np.asarray(truth)


def _scores(x: np.ndarray, truth: np.ndarray, prefix: str) -> dict[str, float]:
    """Compare with the truth; nothing before this did. Phases only count where the truth has."""
    if np.isrealobj(truth):
        x = np.abs(x) if np.iscomplexobj(x) else x
    size = np.abs(truth)
    data_range = 1.0 if 0.5 < size.max() <= 1 else float(np.ptp(size) or 1.0)
    psnr = metrics.psnr(x, truth, data_range=data_range)
    ssim = metrics.ssim(np.abs(x), np.abs(truth), data_range=data_range)
    return {f"{prefix}psnr": float(psnr), f"{prefix}ssim": float(ssim)}
