"""Reproductions: each knows its source and the published numbers, runs, and gives a verdict."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps import Progress, wilson

REPRODUCED, BEATEN, REFUTED = "reproduced", "beaten", "refuted"
UNDECIDED = "undecided"  # the interval holds both answers: more trials are needed
_SIGNIFICANCE = 0.01


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


class Outcome(NamedTuple):
    """What running a reproduction yields.

    Attributes:
        claims: the comparisons.
        rows: the table behind the figure, one dict a row.
        draw: ``draw(path)`` writes the figure.
    """

    claims: Sequence[Claim]
    rows: Sequence[Mapping[str, Any]]
    draw: Callable[[Path], Any]


class Settings(NamedTuple):
    """How to run: ``num_trials`` None means as published."""

    key: jax.Array
    num_trials: int | None = None
    progress: Callable[[Progress], None] | None = None


class Reproduction(NamedTuple):
    """A named reproduction.

    Attributes:
        name: as the command line has it.
        title: what is reproduced, one line.
        source: paper, and figure, table or theorem.
        run: ``run(settings) -> Outcome``.
        cost: about how long it takes on two cores.
    """

    name: str
    title: str
    source: str
    run: Callable[[Settings], Outcome]
    cost: str


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
    lower_is_better: bool = False,
) -> Claim:
    """Compare a mean: reproduced when its 99 % interval meets published ± tolerance (relative).

    ``tolerance`` stands for what the law leaves out, such as terms of order 1/width.
    """
    mean = float(np.mean(samples))
    half = half_width(samples)
    slack = tolerance * abs(published)
    verdict = REPRODUCED
    if mean - half > published + slack or mean + half < published - slack:
        verdict = BEATEN if lower_is_better and mean < published else REFUTED
    rule = f"99 % interval against published within {100 * tolerance:g} %"
    return Claim(what, published, mean, mean - half, mean + half, verdict, rule)


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
    if is_target:
        verdict = REPRODUCED if measured <= bound else REFUTED
        return Claim(what, bound, measured, low, high, verdict, "target: at most this")
    verdict = REFUTED if low > bound + tolerance else REPRODUCED
    verdict = BEATEN if high < bound else verdict
    rule = f"99 % bootstrap interval against published + {tolerance:g}"
    return Claim(what, bound, measured, low, high, verdict, rule)


def half_width(samples: np.ndarray) -> float:
    """Return half of the 99 % interval of a mean, by Student's t."""
    from scipy.stats import t

    quantile = float(t.ppf(1 - _SIGNIFICANCE / 2, samples.size - 1))
    return quantile * float(np.std(samples, ddof=1)) / math.sqrt(samples.size)


def write(folder: Path, item: Reproduction, outcome: Outcome, seconds: float) -> dict[str, str]:
    """Write JSON, CSV and PNG of an outcome; returns their paths by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{item.name}.{kind}" for kind in ("json", "csv", "png")}
    summary = {
        "name": item.name,
        "title": item.title,
        "source": item.source,
        "verdict": overall(outcome.claims),
        "claims": [claim._asdict() for claim in outcome.claims],
        "seconds": round(seconds, 1),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
    _replace(paths["json"], json.dumps(summary, indent=2) + "\n")
    draft = paths["csv"].with_suffix(".csv.part")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(outcome.rows[0]))
        writer.writeheader()
        writer.writerows(outcome.rows)
    draft.replace(paths["csv"])
    outcome.draw(paths["png"])
    return {kind: str(path) for kind, path in paths.items()}


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_text(text)
    draft.replace(path)


def trials(settings: Settings, published: int) -> int:
    """Return the number of trials to run."""
    if settings.num_trials is None:
        return published
    return checks.count("reproduce", "trials", settings.num_trials, minimum=2)
