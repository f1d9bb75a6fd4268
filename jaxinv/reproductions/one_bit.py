"""Dithered one-bit measurements with a generative prior: error over the measurements, and bias."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv._core import numerics, replace
from jaxinv.problems import back_projected, one_bit
from jaxinv.reproductions._models import panel_of_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_mean
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_LOW, _HIGH = 1.0, 1.15  # of the error over λ √(k/m)


class OneBitStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network, the latent first.
        measurements: m.
        dithers: λ, the wide one first; signals have norm 1.
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    widths: tuple[int, ...] = (10, 250, 500)
    measurements: tuple[int, ...] = (200, 800, 3200)
    dithers: tuple[float, float] = (3.0, 1.0)
    num_restarts: int = 4
    num_trials: int = 75


def _trial(family: Any, solver: Any, key: Any, *, m: Any, dither: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − x‖ √(m/k) / λ, and ⟨G(ẑ), x⟩, from m signs with dithers up to λ."""
    k = family.source.widths[0]
    family = replace(family, model=replace(family.model, dither=dither))
    problem = family.with_active(measurements=m).sample(key)
    u0 = family.initial(key, solver.num_restarts)
    solution = solve(solver, back_projected(problem, dither / m), u0, tol=1e-4, max_steps=60)
    error = numerics.safe_norm(solution.x - problem.truth.x)
    along = numerics.inner(solution.x, problem.truth.x)
    return {"ratio": error * (m / k) ** 0.5 / dither, "along": along, "status": solution.status}


def _one_bit(study: OneBitStudy, settings: Settings) -> Outcome:
    wide, narrow = study.dithers
    family = one_bit(study.widths, max(study.measurements), dither=wide)
    found = sweep(
        jax.tree_util.Partial(_trial, family, levenberg_marquardt(num_restarts=study.num_restarts)),
        {"m": study.measurements, "dither": study.dithers},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("m", "dither"),
        progress=settings.progress,
    )
    claims, rows = [], []
    middle, reach = (_LOW + _HIGH) / 2, (_HIGH - _LOW) / (_HIGH + _LOW)
    for m in study.measurements:
        ratio = found["ratio"].sel(m=m, dither=wide).values
        what = f"error √(m/k)/λ at λ = {wide:g}, m = {m}: in [{_LOW:g}, {_HIGH:g}]"
        claims.append(compare_mean(what, ratio, middle, tolerance=reach))
        rows += [
            row_of_mean(found["ratio"].sel(m=m, dither=dither).values, m=m, dither=dither, law=1.0)
            for dither in study.dithers
        ]
    last = max(study.measurements)
    kept = math.erf(narrow / math.sqrt(2))
    along = found["along"].sel(m=last, dither=narrow).values
    what = f"share of the signal that is kept at λ = {narrow:g}, m = {last}: P(|N(0, 1)| < λ)"
    claims.append(compare_mean(what, along, kept, tolerance=0.05))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: OneBitStudy, path: Path) -> str:
    panels = [
        panel_of_means(
            f"one-bit, {study.widths}, λ = {dither:g}",
            "measurements m",
            "error √(m/k) / λ",
            [row for row in rows if row["dither"] == dither],
            "m",
            "λ √(k/m)",
            xscale="log",
            xticks=study.measurements,
        )
        for dither in study.dithers
    ]
    return draw(path, panels)


ENTRIES = (
    Reproduction(
        name="one-bit",
        title="the error from m dithered signs is λ √(k/m); a narrow dither shrinks the signal",
        source="Qiu, Wei, Yang (2020), theorem 1; targets of this library",
        run=partial(_one_bit, OneBitStudy()),
        cost="15 seconds",
    ),
)
