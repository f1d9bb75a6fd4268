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
from jaxinv.images._choice import Estimate, Tried, choose, held_out, near, preferred
from jaxinv.images._judges import make_judge
from jaxinv.images._measurement import Measurement, measurement
from jaxinv.images._noise import estimated_noise
from jaxinv.images._path import Progress, silent
from jaxinv.images._priors import Method, Options, candidates, check_prior
from jaxinv.images._stages import settled
from jaxinv.operators import LinearOperator

_WHERE = "reconstruct"


class Candidate(NamedTuple):
    """One method: its name, its relative held-out error, and the standard error of that."""

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
        status: a ``Status`` code: STOPPED where stages of a weaker prior, or more steps, predict
            no better; else of the last stage: CONVERGED where the image had settled to a
            thousandth, MAX_STEPS where it had not; NONFINITE.
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

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {score:.4g}" for name, score in self.scores.items())
        ended = f"{self.chosen}, {Status(self.status).name}"
        held = f"x {self.x.shape}, fields {', '.join(self._fields)}"
        return f"{type(self).__name__}({ended}; {scores}; {held})"


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
    r"""Reconstruct an image from your own measurements of it, never worse than a classical answer.

    .. math:: \hat x = \arg\min_x \tfrac12 \|A x - y\|^2 + \lambda R(x)

    by ``solvers.fista`` along a path of falling λ (smooth: by ``solvers.cgls`` that ends early,
    which needs no λ). Nothing is chosen with the truth: λ, the steps
    of a network, the strength of a denoiser and the prior are those that predict best what was
    left out, six folds over what is sampled as one: lines of k-space, for all coils; pixels of a
    mask, in all channels; rows of a matrix. Of stages that predict alike the smoothest is taken.
    Where A is ``operators.identity`` (denoising) nothing need be left out: Stein's unbiased
    estimate of the error judges, for white noise of level ``noise_std`` or, without one, of a
    level that is estimated from second differences.

    Args:
        y: measurements in any unit, of ``operator.out_shape``; with one axis more, of at most 4
            channels, for an operator of one channel.
        operator: A, linear, of images (h, w), (h, w, c) or (c, h, w), of at least 16 pixels a
            side, real or complex (then x has a phase), or of flat images (``shape`` tells).
        prior: what is known of images:

            - "auto": tv or smooth, whichever predicts better what was left out, unless wavelet is
              far better; for denoising the best of tv, wavelet and nlm; no network, which takes
              minutes;
            - "tv", "smooth" (least second differences), "wavelet", "dct" (cycle-spun), "nlm"
              (non-local means);
            - a ``Prox``: its penalty as it is, in the units of x;
            - a denoiser ``D(x_noisy, noise_std)``: plug-and-play (``prox.denoiser``) with a
              falling level; it is called on images whose range is about 1;
            - an untrained network, by name (deep-decoder, dip, convdecoder, dcgan, coordinate)
              or one of ``generators``: the mean of several fits, alone and with TV;
            - a trained generator z -> x: latent search from several starts;
            - a tuple of these, to compare.
        noise_std: σ > 0 of an entry of y, in its units (E|η|² = σ² for complex ones); read for
            denoising, and checked.
        truth: the image, for scores only.
        shape: (h, w) or (h, w, c), where the operator takes flat images.
        num_starts: fits of a network, or latent searches; parts of the measurements get one.
        num_steps: steps of a network, a latent search or a ``Prox``; default 600, 60 (1500
            where the Jacobian is large or complex), 300.
        fallback: compare networks and generators with the classical ones, and return them only
            where they win by two standard errors of the folds, and their squared error is below
            0.7 of the other.
        key: a JAX PRNG key, of the folds and of the starts; default ``jax.random.key(0)``.
        progress: ``progress(text, fraction)``, called on the host between compiled stages.

    Returns:
        A ``Reconstruction``; ``viz.plot_reconstruction`` draws it.

    Raises:
        TypeError: an operator that is not linear, a prior of another kind.
        ValueError: shapes that do not fit, NaN, y that is zero or of 8 or 16 bits, a noise level
            that cannot be, an adjoint that fails ``operators.dot_test``, an unknown name.

    Cost: 300 products with A and A* for each of 7 lanes and each classical prior: seconds at
        64 x 64, half a minute at 256 x 256 on a CPU. A network takes 600 steps of 6 + K fits.

    Notes: a fold fits five sixths of what was measured, so a held-out error is a little too
        large. Networks get one start in the folds and K in the end, against them as well.

    Example:
        >>> import jax, jaxinv as ji
        >>> x = ji.data.image("camera", size=32)
        >>> A = ji.operators.mask(ji.operators.random_mask(jax.random.key(0), x.shape, 0.5))
        >>> found = reconstruct(A @ x, A, prior="tv", truth=x)
        >>> found.x.shape, found.scores["psnr"] > found.scores["input_psnr"] + 5
        ((32, 32), True)

    Source: cross-validation: Stone (1974); for inverse problems: Ward (2009), "Compressed
        sensing with cross validation"; Monte Carlo SURE: Ramani, Blu, Unser (2008).
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
    best, reason = choose(found, exact=judge.exact)
    settings = {
        "judge": judge.text,
        "setting": best.text,
        "noise_std": None if noise is None else noise * measured.scale * measured.gain,
        "noise_std_is": _source(noise_std, measured),
    }
    report("done", 1.0)
    return _outcome(found, best, measured, truth, settings, started)._replace(reason=reason)


def _noise_of(measured: Measurement) -> float | None:
    if measured.noise_std is None and measured.denoises:
        return estimated_noise(measured)
    return measured.noise_std


def _source(given: Any, measured: Measurement) -> str:
    if not measured.denoises:
        return "not used"
    return "estimated" if given is None else "given"


def _share(report: Progress, index: int, count: int, text: str, fraction: float) -> None:
    """Report the progress of one candidate as a part of the whole."""
    report(text, (index + fraction) / count)


def _judged(method: Method, measured: Measurement, judge: Any, report: Progress) -> Estimate:
    """Return the stage that the judge prefers.

    STOPPED says that stages of a weaker prior followed; of the last one, whether it had settled.
    """
    tried: list[Tried] = []
    least, since = math.inf, 0
    last, before = "", jnp.zeros(())
    for stage in method.stages(measured, judge):
        report(stage.text, stage.fraction)
        errors = judge.errors(measured.operator, _signals(measured.planes(), stage.planes))
        score = float(np.mean(errors))
        least, since = (score, 0) if score < least else (least, since + 1)
        if not math.isfinite(score) or since >= judge.patience:
            break
        spread = jnp.hypot(judge.spread(stage.planes), stage.spread)
        now = stage.planes[0]
        status = settled(before, now) if stage.status is None else stage.status
        tried.append(Tried(errors, now, spread, stage.text, status))
        last, before = stage.text, now
        tried = [one for one in tried if near(one, least)]
    if not tried:
        x = jnp.zeros(measured.planes().canvas, measured.dtype)
        nothing = np.full(2, np.inf), x, jnp.abs(x), "no finite estimate"
        return Estimate(method.name, method.is_network, Status.NONFINITE, *nothing)
    best = preferred(tried, not judge.exact)
    status = best.status if best.text == last else Status.STOPPED
    return Estimate(method.name, method.is_network, status, *best[:-1], method.is_even)


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
        "held_out": held_out(best)[0],
        "misfit": float(numerics.safe_norm(residual) / numerics.safe_norm(measured.y)),
    }
    if truth is not None:
        scores |= _scores(x, truth, "") | _scores(shown, truth, "input_")
    return Reconstruction(
        x=x,
        spread=np.asarray(planes.image(best.spread)) * unit,
        scores=scores,
        status=int(best.status),
        candidates=tuple(Candidate(one.name, *held_out(one)) for one in found),
        chosen=best.name,
        reason="",
        input=shown,
        truth=truth,
        seconds=time.perf_counter() - started,
        settings=settings,
    )


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
