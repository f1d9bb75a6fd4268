"""Single-index models with a generative prior: an unknown link costs a noise, a known one none."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.metrics import relative_error
from jaxinv.problems import single_index
from jaxinv.reproductions._models import panel_of_means, recovered, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, compare_mean
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_SLOPE = math.sqrt(2 / math.pi)  # μ = E[g sign(g)]


class IndexStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network, the latent first.
        measurements: m; the known link has the first.
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    widths: tuple[int, ...] = (10, 250, 500)
    measurements: tuple[int, ...] = (200, 800, 3200)
    num_restarts: int = 4
    num_trials: int = 50


def _unknown(family: Any, solver: Any, key: Any, *, m: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − μ x‖ over σ √(k/m), from signs with no dither and no word of it."""
    problem, solution = recovered(family.with_active(measurements=m), solver, key, tol=1e-5)
    error = numerics.safe_norm(solution.x - _SLOPE * problem.truth.x)
    law = jnp.sqrt((1 - _SLOPE**2) * family.source.widths[0] / m)
    return {"ratio": error / law, "status": solution.status}


def _known(family: Any, solver: Any, key: Any) -> dict[str, Any]:
    problem, solution = recovered(family, solver, key)
    return {"error": relative_error(solution.x, problem.truth.x), "status": solution.status}


def _index(study: IndexStudy, settings: Settings) -> Outcome:
    solver = levenberg_marquardt(num_restarts=study.num_restarts)
    options = {
        "key": settings.key,
        "num_trials": trials(settings, study.num_trials),
        "progress": settings.progress,
    }
    family = single_index(study.widths, max(study.measurements), jnp.sign, known=False)
    trial = jax.tree_util.Partial(_unknown, family, solver)
    ratios = sweep(trial, {"m": study.measurements}, traced=("m",), **options)["ratio"]
    claims, rows = [], []
    for m in study.measurements:
        ratio = ratios.sel(m=m).values
        claims.append(compare_mean(f"error over σ √(k/m), m = {m}", ratio, 1.0, tolerance=0.1))
        rows.append(row_of_mean(ratio, m=m, law=1.0))
    family = single_index(study.widths, study.measurements[0], jnp.tanh)
    trial = jax.tree_util.Partial(_known, family, solver)
    success = (sweep(trial, {}, **options)["error"] < 1e-3).values
    what = f"success rate with the link known, tanh, m = {study.measurements[0]}"
    claims.append(at_least(what, success, 1.0, certain=False))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: IndexStudy, path: Path) -> str:
    panel = panel_of_means(
        f"signs as an unknown link, {study.widths}",
        "measurements m",
        "error ‖G(ẑ) − μ x‖ / (σ √(k/m))",
        rows,
        "m",
        "law",
        xscale="log",
        xticks=study.measurements,
    )
    return draw(path, [panel], size=(6.0, 4.0))


ENTRIES = (
    Reproduction(
        name="single-index",
        title="least squares that does not know the link finds μ x with an error of σ √(k/m)",
        source="Plan, Vershynin (2016), theorem 1.4; Liu, Scarlett (2020)",
        run=partial(_index, IndexStudy()),
        cost="15 seconds",
    ),
)
