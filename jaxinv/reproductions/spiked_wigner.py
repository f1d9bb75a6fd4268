"""Spiked Wigner matrices with a generative prior: errors beside the law and the published ones."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv._core import numerics, replace
from jaxinv.problems import spiked
from jaxinv.reproductions._models import panel_of_means, recovered, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_mean
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_LEVELS = (0.01, 0.287, 0.564, 0.841, 1.119, 1.396, 1.673, 1.95)
# means of 75 trials of gradient descent from a start and its negative, by k
_PUBLISHED = {
    10: (0.0023, 0.0613, 0.134, 0.204, 0.277, 0.391, 0.459, 0.600),
    30: (0.0023, 0.0667, 0.141, 0.213, 0.303, 0.387, 0.477, 0.637),
}
_LAW_UP_TO = 0.3  # p; the law is of first order in the noise


class WignerStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network behind the latent.
        latents: k.
        levels: p, noise of ν = p √(n / (k log(n_1² n))).
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    widths: tuple[int, int] = (250, 1700)
    latents: tuple[int, ...] = (10, 30)
    levels: tuple[float, ...] = _LEVELS
    num_restarts: int = 4
    num_trials: int = 60


def _level(widths: tuple[int, ...], k: Any, p: Any) -> Any:
    first, n = widths[-2:]
    return p * (n / (k * math.log(first**2 * n))) ** 0.5


def _trial(family: Any, solver: Any, key: Any, *, k: Any, p: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − y*‖ for k latents in use and noise p."""
    family = family.with_active(latent=k)
    family = replace(family, noise_std=_level(family.source.widths, k, p))
    problem, solution = recovered(family, solver, key, tol=1e-3, max_steps=40)
    error = numerics.safe_norm(solution.x - problem.truth.x)
    return {"error": error, "num_steps": solution.num_steps, "status": solution.status}


def _wigner(study: WignerStudy, settings: Settings) -> Outcome:
    family = spiked((max(study.latents), *study.widths))
    solver = levenberg_marquardt(num_restarts=study.num_restarts)
    errors = sweep(
        jax.tree_util.Partial(_trial, family, solver),
        {"k": study.latents, "p": study.levels},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("k", "p"),
        progress=settings.progress,
    )["error"]
    claims, rows = [], []
    for k in study.latents:
        published = dict(zip(_LEVELS, _PUBLISHED.get(k, ()), strict=False))
        for p in study.levels:
            error = errors.sel(k=k, p=p).values
            law = _level(study.widths, k, p) * math.sqrt((k - 0.5) / study.widths[-1])
            rows.append(row_of_mean(error, k=k, p=p, law=law, published=published.get(p, "")))
            if p <= _LAW_UP_TO:
                what = f"mean error, k = {k}, p = {p:g}: the law ν √((k − ½)/n)"
                claims.append(compare_mean(what, error, law, tolerance=0.05))
            if p in published:
                what = f"mean error, k = {k}, p = {p:g}: published"
                claims.append(compare_mean(what, error, published[p], tolerance=0.05))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: WignerStudy, path: Path) -> str:
    panels = [
        panel_of_means(
            f"Wigner, {(k, *study.widths)}",
            "noise p",
            "error ‖G(ẑ) − y*‖",
            [row for row in rows if row["k"] == k],
            "p",
            "ν √((k − ½)/n)",
        )
        for k in study.latents
    ]
    return draw(path, panels)


ENTRIES = (
    Reproduction(
        name="spiked-wigner",
        title="the error of a spiked Wigner matrix is ν √((k − ½)/n) at small noise",
        source="Cocola, Hand, Voroninski (2020), section 4: spiked matrices with generative priors",
        run=partial(_wigner, WignerStudy()),
        cost="90 seconds",
    ),
)
