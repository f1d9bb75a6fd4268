"""Sample covariances with a generative prior: errors beside the law and the published ones."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv._core import numerics
from jaxinv.problems import spiked
from jaxinv.reproductions._models import panel_of_means, recovered, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_mean
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

# means of 75 trials of gradient descent from a start and its negative, by N, at k = 10, σ = 1
_PUBLISHED = {82: 0.67, 34: 0.89, 18: 1.10, 11: 1.28, 8: 1.42, 5: 1.64, 4: 1.72, 3: 1.91}


class WishartStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network, the latent first.
        samples: N as published.
        law_samples: N at which the law, of many samples, is claimed; padded apart.
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    widths: tuple[int, ...] = (10, 250, 1700)
    samples: tuple[int, ...] = tuple(_PUBLISHED)
    law_samples: tuple[int, ...] = (1000, 2000, 4000)
    num_restarts: int = 4
    num_trials: int = 48


def _trial(family: Any, solver: Any, key: Any, *, N: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − y*‖ for N samples in use."""
    family = family.with_active(measurements=N)
    problem, solution = recovered(family, solver, key, tol=1e-3, max_steps=40)
    error = numerics.safe_norm(solution.x - problem.truth.x)
    return {"error": error, "num_steps": solution.num_steps, "status": solution.status}


def _wishart(study: WishartStudy, settings: Settings) -> Outcome:
    solver = levenberg_marquardt(num_restarts=study.num_restarts)
    claims, rows = [], []
    for samples in (study.samples, study.law_samples):
        family = spiked(study.widths, max(samples), model="wishart")
        errors = sweep(
            jax.tree_util.Partial(_trial, family, solver),
            {"N": samples},
            key=settings.key,
            num_trials=trials(settings, study.num_trials),
            traced=("N",),
            progress=settings.progress,
        )["error"]
        for count in samples:
            error = errors.sel(N=count).values
            law = math.sqrt(2 * study.widths[0] / count)  # σ √((1 + σ²) k/N) at σ = 1
            published = _PUBLISHED.get(count, "")
            rows.append(row_of_mean(error, N=count, law=law, published=published))
            if count in _PUBLISHED:
                what = f"mean error, N = {count}: published"
                claims.append(compare_mean(what, error, _PUBLISHED[count], tolerance=0.05))
            if samples == study.law_samples:
                what = f"mean error, N = {count}: the law σ √((1 + σ²) k/N)"
                claims.append(compare_mean(what, error, law, tolerance=0.05))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: WishartStudy, path: Path) -> str:
    panel = panel_of_means(
        f"Wishart, {study.widths}, σ = 1",
        "samples N",
        "error ‖G(ẑ) − y*‖",
        sorted(rows, key=lambda row: row["N"]),
        "N",
        "σ √((1 + σ²) k/N)",
        xscale="log",
        yscale="log",
    )
    return draw(path, [panel], size=(6.0, 4.0))


ENTRIES = (
    Reproduction(
        name="spiked-wishart",
        title="the error of a sample covariance is σ √((1 + σ²) k/N) for many samples",
        source="Cocola, Hand, Voroninski (2020), section 4: spiked matrices with generative priors",
        run=partial(_wishart, WishartStudy()),
        cost="30 seconds",
    ),
)
