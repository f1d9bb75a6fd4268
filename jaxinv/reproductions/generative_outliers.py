"""Robust decoding: the error over the share of measurements that are gross outliers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv import metrics
from jaxinv.misfits import absolute, trimmed
from jaxinv.problems import corrupted, generative
from jaxinv.reproductions._decoders import panel_of_errors
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import ratio_at_most
from jaxinv.solvers import levenberg_marquardt, median_descent, solve
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_WEIGHT, _TRIMMED = 0.01, 0.1
_CLEAN = "squares, no outliers"
_PROMISE, _FAILS = 1.5, 5.0  # of the error of squares without outliers


class OutlierStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network.
        num_measurements: m.
        noise_norm: ‖η‖ of the Gaussian noise; signals have norm 1, outliers the value 1.
        shares: of outliers.
        at: the share of the claims.
        block_size: of the medians.
        max_steps: of the medians.
        num_trials: trials a share.
    """

    widths: tuple[int, ...] = (5, 50, 100)
    num_measurements: int = 200
    noise_norm: float = 0.1
    shares: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1)
    at: float = 0.05
    block_size: int = 5
    max_steps: int = 3000
    num_trials: int = 40


def _trial(
    family: Any, medians: dict[str, Any], max_steps: Any, key: Any, *, share: Any
) -> dict[str, Any]:
    """Return the relative error of each decoder; the medians start where ``absolute`` ends."""
    struck = corrupted(family, outlier_share=share, outlier_value=1.0)
    problem, starts = struck.sample(key), family.initial(key, 4)
    given = {
        _CLEAN: family.sample(key),
        "squares": problem,
        "absolute": problem._replace(misfit=absolute(_WEIGHT)),
        "trimmed": problem._replace(misfit=trimmed(_TRIMMED)),
    }
    direct = levenberg_marquardt(num_restarts=4)
    found = {name: solve(direct, one, starts, max_steps=200) for name, one in given.items()}
    for name, solver in medians.items():
        start = found["absolute"].u
        found[name] = solve(solver, problem, start, tol=0.0, max_steps=max_steps)
    return {
        name: metrics.relative_error(solution.x, problem.truth.x)
        for name, solution in found.items()
    }


def _outliers(study: OutlierStudy, settings: Settings) -> Outcome:
    family = generative(study.widths, study.num_measurements, noise_norm=study.noise_norm)
    medians = {
        "median of means": median_descent(0.1, study.block_size),
        "tournament": median_descent(0.1, study.block_size, rival=True, shuffle=False),
    }
    found = sweep(
        jax.tree_util.Partial(_trial, family, medians, study.max_steps),
        {"share": study.shares},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("share",),
        progress=settings.progress,
    )
    names = (_CLEAN, "squares", "absolute", "trimmed", *medians)
    rows = [
        row_of_mean(found[name].sel(share=share), share=share, decoder=name)
        for name in names
        for share in study.shares
    ]
    struck = found.sel(share=study.at)
    clean = struck[_CLEAN].values
    at = f"with {study.at:.0%} of outliers, over that of squares without"
    claims = [
        ratio_at_most(f"error of {name} {at}", struck[name].values, clean, _PROMISE)
        for name in ("trimmed", "median of means")
    ]
    what = f"error of squares {at}"
    claims.append(ratio_at_most(what, struck["squares"].values, clean, _FAILS, below=False))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: OutlierStudy, path: Path) -> str:
    title = f"{study.widths}, m = {study.num_measurements}, ‖η‖ = {study.noise_norm:g}"
    panel = panel_of_errors(title, "share of outliers", rows, "share")
    return draw(path, [panel], one_legend=True)


ENTRIES = (
    Reproduction(
        name="generative-outliers",
        title="with 5 % of gross outliers a median of means has 1.5 times the clean error at most",
        source="Jalal, Liu, Dimakis, Caramanis (2020); Yi et al. (2018); survey, section II-C",
        run=partial(_outliers, OutlierStudy()),
        cost="40 seconds",
    ),
)
