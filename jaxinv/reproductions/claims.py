"""Verdicts: every way to compare a measured number with a published or a promised one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxinv import unfolded
from jaxinv.sweeps import wilson
from jaxinv.unfolded._scoring import ratio

REPRODUCED, BEATEN, REFUTED = "reproduced", "beaten", "refuted"
UNDECIDED = "undecided"  # the interval holds both answers: more trials are needed
_SIGNIFICANCE = 0.01
_RESAMPLES = 1000


class Claim(NamedTuple):
    """One published number beside ours.

    Attributes:
        what: what is measured.
        published: the number in the source.
        measured: ours.
        low, high: interval of ours.
        verdict: reproduced, beaten, refuted or undecided.
        rule: how the verdict was reached.
    """

    what: str
    published: float
    measured: float
    low: float
    high: float
    verdict: str
    rule: str


def overall(claims: Iterable[Claim]) -> str:
    """Return the verdict over all claims.

    One that is refuted refutes, else one that is undecided leaves all so, else one beaten beats.
    """
    verdicts = {claim.verdict for claim in claims}
    return next(v for v in (REFUTED, UNDECIDED, BEATEN, REPRODUCED) if v in verdicts)


def above(low: float, high: float, bound: float) -> str:
    """Return the verdict on "this lies above the bound", given its interval."""
    if low >= bound:
        return REPRODUCED
    return REFUTED if high < bound else UNDECIDED


def lies_above(
    what: str, measured: float, low: float, high: float, bound: float, rule: str
) -> Claim:
    """Claim that a number lies above a bound, given its interval."""
    return Claim(what, bound, measured, low, high, above(low, high, bound), rule)


def lies_below(
    what: str, measured: float, low: float, high: float, bound: float, rule: str
) -> Claim:
    """Claim that a number lies below a bound, given its interval."""
    return Claim(what, bound, measured, low, high, above(-high, -low, -bound), rule)


def holds(
    what: str,
    published: float,
    measured: float,
    condition: Any,
    rule: str,
    *,
    interval: tuple[float, float] | None = None,
) -> Claim:
    """Claim what a condition decides that no single number shows, as a bound at every layer."""
    low, high = (measured, measured) if interval is None else interval
    return Claim(what, published, measured, low, high, REPRODUCED if condition else REFUTED, rule)


def compare_rates(what: str, success: np.ndarray, published: float, published_trials: int) -> Claim:
    """Compare success rates by Fisher's exact test at 1 %: not rejected is reproduced."""
    from scipy.stats import fisher_exact

    count, trials = int(np.sum(success)), int(np.size(success))
    theirs = round(published * published_trials)
    table = [[count, trials - count], [theirs, published_trials - theirs]]
    probability = float(np.asarray(fisher_exact(table)[1]))
    verdict = REPRODUCED
    if probability < _SIGNIFICANCE:
        verdict = BEATEN if count / trials > published else REFUTED
    low, high = wilson(count, trials)
    rule = f"Fisher's exact test, p = {probability:.3g} against 0.01"
    return Claim(what, published, count / trials, float(low), float(high), verdict, rule)


def compare_mean(
    what: str,
    samples: np.ndarray,
    published: float,
    *,
    tolerance: float,
    slack: float = 0.0,
    lower_is_better: bool = False,
) -> Claim:
    """Compare a mean: reproduced when its 99 % interval meets published ± tolerance (relative).

    ``tolerance`` stands for what the law leaves out, such as terms of order 1/width; ``slack``
    is an absolute one, for laws that may be 0. Boolean samples are successes, as everywhere here.
    """
    mean, low, high = _interval(samples)
    slack += tolerance * abs(published)
    verdict = UNDECIDED if math.isnan(mean) else REPRODUCED
    if low > published + slack or high < published - slack:
        verdict = BEATEN if lower_is_better and mean < published else REFUTED
    rule = f"99 % interval against published within {slack:.3g}"
    return Claim(what, published, mean, low, high, verdict, rule)


def compare_prediction(
    what: str, samples: np.ndarray, predicted: float, *, tolerance: float, standard_errors: float
) -> Claim:
    """Compare a mean with its prediction: within a share of it, or not beyond the noise.

    A mean further off than the share is undecided where the noise explains it, else refuted.
    """
    mean, half = float(np.mean(samples)), standard_errors * mean_error(samples)
    off = abs(mean - predicted)
    verdict = UNDECIDED if math.isnan(off) or off <= half else REFUTED
    verdict = REPRODUCED if off <= tolerance * predicted else verdict
    rule = f"mean within {100 * tolerance:g} %; refuted beyond {standard_errors:g} standard errors"
    return Claim(what, predicted, mean, mean - half, mean + half, verdict, rule)


def compare_vectors(what: str, samples: np.ndarray, law: np.ndarray, *, tolerance: float) -> Claim:
    """Compare the mean of vectors (num_samples, k) with a law by their relative distance.

    The squared norm of the mean's error is taken as the multiple of a chi-squared variable that
    has its mean and variance (Satterthwaite).
    """
    from scipy.stats import chi2

    covariance, size = np.cov(samples.T) / len(samples), float(np.linalg.norm(law))
    total = float(np.trace(covariance))
    unit = float(np.sum(covariance**2)) / total
    radius = math.sqrt(unit * float(chi2.ppf(1 - _SIGNIFICANCE, total / unit))) / size
    distance = float(np.linalg.norm(samples.mean(0) - law)) / size
    rule = f"99 % radius of the mean, and {100 * tolerance:g} %"
    interval = (max(distance - radius, 0.0), distance + radius)
    return holds(what, 0.0, distance, distance <= radius + tolerance, rule, interval=interval)


def compare_ratio(what: str, ours: np.ndarray, theirs: np.ndarray, *, below: bool = True) -> Claim:
    """Claim that the mean of positive samples is below that of paired others, or above it."""
    return ratio_at_most(what, ours, theirs, 1.0, below=below)


def ratio_at_most(
    what: str, ours: np.ndarray, theirs: np.ndarray, bound: float, *, below: bool = True
) -> Claim:
    """Claim that the mean of positive samples is at most a multiple of that of others, or more."""

    def ratio_of(chosen: Any) -> float:
        return float(ours[chosen].mean() / theirs[chosen].mean())

    low, high = bootstrap(ratio_of, ours.size)
    claim = lies_below if below else lies_above
    rule = f"99 % bootstrap interval {'below' if below else 'above'} {bound:g}"
    return claim(what, ratio_of(slice(None)), low, high, bound, rule)


def compare_exponent(
    what: str,
    values: Any,
    samples: Any,
    published: float,
    *,
    slack: float = 0.1,
    is_bound: bool = False,
) -> Claim:
    """Compare the exponent of means (num_values, num_trials) over values with a published one.

    ``slack`` stands for sizes that are not yet large; with ``is_bound`` a smaller exponent is
    also right. Means that are not positive have none, which refutes; successes that are too few
    to tell the exponent from 0 leave it undecided.
    """
    samples = np.asarray(samples)
    slope, half = _exponent(np.asarray(values, float), samples)
    close = slope - half <= published + slack and (is_bound or slope + half >= published - slack)
    side = "not above" if is_bound else "at"
    rule = f"99 % interval {side} {published:.3g} within {slack:g}"
    claim = holds(what, published, slope, close, rule, interval=(slope - half, slope + half))
    untold = samples.dtype == bool and not abs(slope) > half
    return claim._replace(verdict=UNDECIDED) if untold else claim


def compare_at_most(
    what: str,
    measured: float,
    bound: float,
    *,
    low: float,
    high: float,
    is_target: bool = True,
    tolerance: float = 0.0,
) -> Claim:
    """Compare a number that should be small with a bound, given the number's interval.

    A target is met (reproduced) when the number is at most the bound. A published number is
    beaten when the whole interval is below it, reproduced when the interval reaches below it
    plus ``tolerance``.
    """
    if math.isnan(measured):
        return Claim(what, bound, measured, low, high, UNDECIDED, "no number")
    if is_target:
        verdict = REPRODUCED if measured <= bound else REFUTED
        return Claim(what, bound, measured, low, high, verdict, "target: at most this")
    verdict = REFUTED if low > bound + tolerance else REPRODUCED
    verdict = BEATEN if high < bound else verdict
    rule = f"99 % bootstrap interval against published + {tolerance:g}"
    return Claim(what, bound, measured, low, high, verdict, rule)


def at_least(what: str, samples: Any, bound: float, *, certain: bool = True) -> Claim:
    """Claim that a mean is at least a bound, given its samples.

    ``certain``: the whole 99 % interval must lie above, as where an ordering is claimed, and
    one that holds the bound leaves it undecided; else the mean must lie above, as where a
    number was set as a target.
    """
    mean, low, high = _interval(samples)
    rule = f"{'99 % interval' if certain else 'mean'} at least this"
    verdict = above(low, high, bound) if certain else above(mean, mean, bound)
    return Claim(what, bound, mean, low, high, verdict, rule)


def at_most(what: str, samples: Any, bound: float, *, certain: bool = True) -> Claim:
    """Claim that a mean is at most a bound; as ``at_least``."""
    mean, low, high = _interval(samples)
    verdict = above(-high, -low, -bound) if certain else above(-mean, -mean, -bound)
    rule = f"{'99 % interval' if certain else 'mean'} at most this"
    return Claim(what, bound, mean, low, high, verdict, rule)


def within_factor(what: str, samples: Any, published: float, factor: float) -> Claim:
    """Claim that the geometric mean of positive samples is published up to a factor."""
    mean, low, high = (math.exp(value) for value in _interval(np.log(np.asarray(samples, float))))
    close = low <= published * factor and high >= published / factor
    rule = f"99 % interval against published within a factor {factor:g}"
    return holds(what, published, mean, close, rule, interval=(low, high))


def one_draw(what: str, samples: Any, published: float) -> Claim:
    """Claim that a single published run could be one of ours: 99 % of new ones would lie so near.

    By Student's t of the logarithms of positive samples.
    """
    from scipy.stats import t

    logs = np.log(np.asarray(samples, float))
    spread = float(logs.std(ddof=1)) * math.sqrt(1 + 1 / logs.size)
    half = float(t.ppf(1 - _SIGNIFICANCE / 2, logs.size - 1)) * spread
    mean = float(logs.mean())
    low, middle, high = (math.exp(mean + sign * half) for sign in (-1, 0, 1))
    rule = "99 % prediction interval of one more run"
    return holds(what, published, middle, low <= published <= high, rule, interval=(low, high))


def equals(what: str, value: float, published: float, tolerance: float) -> Claim:
    """Claim that a computed number is the published one within a relative tolerance."""
    value = float(value)
    close = abs(value - published) <= tolerance * max(abs(published), 1e-30)
    rule = f"equal within {tolerance:g} (relative)"
    return holds(what, published, value, close, rule)


def nmse_at_most(
    what: str, found: unfolded.Evaluation, bound: float, *, is_target: bool = True
) -> Claim:
    """Compare a network's NMSE over all problems with a bound, both in dB."""
    low, high = _bootstrapped(found, _ratio_db)
    return compare_at_most(
        what, found.nmse_db, bound, low=low, high=high, is_target=is_target, tolerance=0.25
    )


def median_at_most(what: str, found: unfolded.Evaluation, bound: float) -> Claim:
    """Compare the median of the NMSE of single problems with a bound, both in dB."""
    low, high = _bootstrapped(found, _median_db)
    return compare_at_most(what, found.median_db, bound, low=low, high=high)


def half_width(samples: np.ndarray) -> float:
    """Return half of the 99 % interval of a mean, by Student's t."""
    from scipy.stats import t

    quantile = float(t.ppf(1 - _SIGNIFICANCE / 2, samples.size - 1))
    return quantile * float(np.std(samples, ddof=1)) / math.sqrt(samples.size)


def mean_error(samples: Any) -> float:
    """Return the standard error of a mean; 0 for a single number."""
    samples = np.atleast_1d(np.asarray(samples, float))
    return float(samples.std(ddof=1) / math.sqrt(samples.size)) if samples.size > 1 else 0.0


def bootstrap(statistic: Callable[[np.ndarray], float], size: int) -> tuple[float, float]:
    """Return the 99 % bootstrap interval of a statistic of chosen samples, by their indices."""
    generator = np.random.default_rng(0)
    values = [statistic(generator.integers(size, size=size)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(values, (0.005, 0.995))
    return float(low), float(high)


def _exponent(values: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """Return the exponent of the mean over trials, and half of its 99 % interval."""
    intervals = np.array([_interval(row) for row in samples])
    means = intervals[:, 0]
    if np.any(means <= 0):
        return float("nan"), float("nan")
    logs = np.log(values) - np.mean(np.log(values))
    weights = logs / np.sum(logs**2)
    halves = (intervals[:, 2] - intervals[:, 1]) / 2 / means
    return float(weights @ np.log(means)), float(np.linalg.norm(weights * halves))


def _interval(samples: Any) -> tuple[float, float, float]:
    """Return the mean and its 99 % interval: of successes Wilson's, of others Student's.

    A single number stands for itself.
    """
    samples = np.atleast_1d(np.asarray(samples))
    mean = float(samples.mean())
    if samples.dtype == bool:
        low, high = wilson(int(samples.sum()), samples.size, confidence=1 - _SIGNIFICANCE)
        return mean, float(low), float(high)
    half = half_width(samples) if samples.size > 1 else 0.0
    return mean, mean - half, mean + half


def _bootstrapped(found: unfolded.Evaluation, statistic: Any) -> tuple[float, float]:
    """Return the 99 % bootstrap interval of a statistic of the test problems."""
    errors, energies = found.errors, found.energies
    return bootstrap(lambda chosen: statistic(errors[chosen], energies[chosen]), errors.size)


def _ratio_db(errors: np.ndarray, energies: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(errors) / np.sum(energies)))


def _median_db(errors: np.ndarray, energies: np.ndarray) -> float:
    return float(10 * np.log10(np.median(ratio(errors, energies))))
