"""Phase retrieval with a generative prior: success over the measurements, by number of starts."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax

from jaxinv.metrics import relative_error
from jaxinv.problems import phase_retrieval
from jaxinv.reproductions._models import recovered
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import success_rate, sweep
from jaxinv.viz import plot_success_rates


class PhaseStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network, the latent first.
        measurements: m; success is claimed at the last.
        starts: numbers of starts; the loss chooses among them.
        num_trials: trials a cell.
    """

    widths: tuple[int, ...] = (10, 250, 500)
    measurements: tuple[int, ...] = (20, 30, 40, 50, 60, 80, 100)
    starts: tuple[int, ...] = (1, 8)
    num_trials: int = 50


def _trial(family: Any, solver: Any, key: Any, *, m: Any) -> dict[str, Any]:
    """Return the relative error of the signal from m magnitudes."""
    problem, solution = recovered(family.with_active(measurements=m), solver, key)
    return {
        "error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def _phase(study: PhaseStudy, settings: Settings) -> Outcome:
    family = phase_retrieval(study.widths, max(study.measurements))
    rates, rows, successes = {}, [], {}
    for count in study.starts:
        solver = levenberg_marquardt(num_restarts=count)
        found = sweep(
            jax.tree_util.Partial(_trial, family, solver),
            {"m": study.measurements},
            key=settings.key,
            num_trials=trials(settings, study.num_trials),
            traced=("m",),
            progress=settings.progress,
        )
        success = found["error"] < 1e-3
        name = f"{count} start{'s' if count > 1 else ''}"
        rates[name] = success_rate(success)
        successes[count] = success
        for m in study.measurements:
            cell = rates[name].sel(m=m)
            row = {key: float(cell[key]) for key in ("rate", "low", "high")}
            steps = float(found["num_steps"].sel(m=m).median())
            rows.append({"starts": count, "m": m, **row, "median_steps": steps})
    most, last = max(study.starts), study.measurements[-1]
    what = f"success rate at m = {last}, {most} starts"
    claims = [at_least(what, successes[most].sel(m=last).values, 1.0, certain=False)]
    if most > 1:
        gain = successes[most].mean("m").values.astype(float)
        gain = gain - successes[min(study.starts)].mean("m").values
        what = f"success rate over all m, {most} starts less {min(study.starts)}"
        claims.append(at_least(what, gain, 0.0))
    title = f"phase retrieval, {study.widths}"
    draw = partial(_draw, rates, title)
    return Outcome(claims, rows, draw)


def _draw(rates: dict[str, Any], title: str, path: Any) -> str:
    return plot_success_rates(path, rates, label="measurements m", title=title)


ENTRIES = (
    Reproduction(
        name="phase-retrieval",
        title="phase retrieval from m proportional to k, with starts that the loss chooses among",
        source="Hand, Leong, Voroninski (2018), theorem 1 and section 5; target of this library",
        run=partial(_phase, PhaseStudy()),
        cost="15 seconds",
    ),
)
