"""Single-index models with a generative prior: an unknown link costs a noise, a known one none."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import numerics
from jaxinv.metrics import relative_error
from jaxinv.problems import single_index
from jaxinv.reproductions._models import panel_of_means, recovered, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, compare_mean
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_LINKS = {"signs": jnp.sign, "tanh": jnp.tanh}


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


def moments(link: Any) -> tuple[float, float, float]:
    """Return μ = E[g f(g)], σ² = E[(f(g) − μ g)²] and τ² = E[(f(g) − μ g)² g²] by midpoints."""
    step = 1e-3
    g = np.arange(-10 + step / 2, 10, step)
    density = np.exp(-(g**2) / 2) * step / np.sqrt(2 * np.pi)
    values = np.asarray(link(jnp.asarray(g)), np.float64)
    slope = float(density @ (g * values))
    squares = density * (values - slope * g) ** 2
    return slope, float(np.sum(squares)), float(squares @ g**2)


def _unknown(
    family: Any, solver: Any, law: tuple[float, float, float], key: Any, *, m: Any
) -> dict[str, Any]:
    """Return ‖G(ẑ) − μ x‖ over √(((k − 1) σ² + τ²)/m), from measurements with no word of f."""
    slope, across, along = law
    problem, solution = recovered(family.with_active(measurements=m), solver, key, tol=1e-5)
    error = numerics.safe_norm(solution.x - slope * problem.truth.x)
    size = jnp.sqrt(((family.source.widths[0] - 1) * across + along) / m)
    return {"ratio": error / size, "status": solution.status}


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
    claims, rows = [], []
    for name, link in _LINKS.items():
        family = single_index(study.widths, max(study.measurements), link, known=False)
        trial = jax.tree_util.Partial(_unknown, family, solver, moments(link))
        ratios = sweep(trial, {"m": study.measurements}, traced=("m",), **options)["ratio"]
        for m in study.measurements:
            ratio = ratios.sel(m=m).values
            what = f"error over its law, link unknown, {name}, m = {m}"
            claims.append(compare_mean(what, ratio, 1.0, tolerance=0.1))
            rows.append(row_of_mean(ratio, link=name, m=m, law=1.0))
    family = single_index(study.widths, study.measurements[0], jnp.tanh)
    trial = jax.tree_util.Partial(_known, family, solver)
    success = (sweep(trial, {}, **options)["error"] < 1e-3).values
    what = f"success rate with the link known, tanh, m = {study.measurements[0]}"
    claims.append(at_least(what, success, 1.0, certain=False))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: IndexStudy, path: Path) -> str:
    panels = [
        panel_of_means(
            f"{name} as an unknown link, {study.widths}",
            "measurements m",
            "error ‖G(ẑ) − μ x‖ over its law",
            [row for row in rows if row["link"] == name],
            "m",
            "law",
            xscale="log",
            xticks=study.measurements,
        )
        for name in _LINKS
    ]
    return draw(path, panels, size=(4.6, 3.8))


ENTRIES = (
    Reproduction(
        name="single-index",
        title="least squares that does not know the link finds μ x, with the error of a law",
        source="Plan, Vershynin (2016), theorem 1.4; Liu, Scarlett (2020)",
        run=partial(_index, IndexStudy()),
        cost="30 seconds",
    ),
)
