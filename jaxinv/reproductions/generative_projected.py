"""Projected gradient descent, its accelerated form and ADMM over the range of a network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import metrics
from jaxinv.problems import generative
from jaxinv.prox import range_of
from jaxinv.reproductions._decoders import THRESHOLD, panel_of_rates, row_of_rate
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, compare_rates
from jaxinv.solvers import admm, fista, ista, levenberg_marquardt, solve
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_PROTOTYPE = {"projected": 0.90, "accelerated": 0.95, "ADMM": 0.95}  # of 20 trials, at m = 40
_MARGIN = 0.05


class ProjectedStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network.
        measurements: m.
        at: the m of the claims.
        num_trials: trials an m.
    """

    widths: tuple[int, ...] = (5, 50, 100)
    measurements: tuple[int, ...] = (15, 20, 30, 40, 60)
    at: int = 40
    num_trials: int = 1000


def _decoders(problem: Any, z0: Any) -> dict[str, Any]:
    """Return the solvers over signals; the published step suits an A that keeps norms there."""
    prox = range_of(problem.prior, levenberg_marquardt(), z0)
    return {
        "projected": ista(0.5, prox=prox),
        "accelerated": fista(0.5, prox=prox),
        "ADMM": admm(prox=prox, augmentation=0.1),
    }


def _trial(family: Any, key: Any, *, m: Any) -> dict[str, Any]:
    family = family.with_active(measurements=m)
    problem, z0 = family.sample(key), family.initial(key)
    found = {"LM": solve(levenberg_marquardt(), problem, z0, max_steps=200)}
    signals, x0 = problem._replace(prior=None), jnp.zeros_like(problem.truth.x)
    for name, solver in _decoders(problem, z0).items():
        found[name] = solve(solver, signals, x0, tol=1e-5, max_steps=500)
    results = {}
    for name, solution in found.items():
        error = metrics.relative_error(solution.x, problem.truth.x)
        results[name] = error < THRESHOLD
        results[f"{name} steps"] = solution.num_steps
    return results


def _projected(study: ProjectedStudy, settings: Settings) -> Outcome:
    family = generative(study.widths, max(study.measurements))
    found = sweep(
        jax.tree_util.Partial(_trial, family),
        {"m": study.measurements},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("m",),
        progress=settings.progress,
    )
    names = ["LM", *_PROTOTYPE]
    rows = [
        row_of_rate(
            found[name].sel(m=m).values,
            m=m,
            decoder=name,
            median_steps=float(np.median(found[f"{name} steps"].sel(m=m).values)),
        )
        for name in names
        for m in study.measurements
    ]
    claims, direct = [], found["LM"].sel(m=study.at).values.astype(float)
    for name, rate in _PROTOTYPE.items():
        success = found[name].sel(m=study.at).values
        what = f"success of {name} less that of Levenberg-Marquardt, m = {study.at}"
        claims.append(at_least(what, success.astype(float) - direct, -_MARGIN))
        what = f"success of {name}, m = {study.at}: prototype"
        claims.append(compare_rates(what, success, rate, 20))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: ProjectedStudy, path: Path) -> str:
    title = f"over the range of {study.widths}, one start"
    return draw(path, [panel_of_rates(title, "measurements m", rows, "m")])


ENTRIES = (
    Reproduction(
        name="generative-projected",
        title="projected gradient, accelerated and ADMM recover as often as the latent search",
        source="Shah, Hegde (2018); Latorre, Eftekhari, Cevher (2019); survey, section II-C",
        run=partial(_projected, ProjectedStudy()),
        cost="40 seconds",
    ),
)
