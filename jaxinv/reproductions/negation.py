"""What the sign test of descent is worth on small networks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv.metrics import relative_error
from jaxinv.problems import generative
from jaxinv.reproductions._models import recovered
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, compare_mean
from jaxinv.solvers import subgradient
from jaxinv.sweeps import success_rate, sweep
from jaxinv.viz._colors import MEASURED
from jaxinv.viz._panels import Line, Panel, draw


class Network(NamedTuple):
    """A network with its measurements, and the rates with and without the test."""

    widths: tuple[int, ...]
    measurements: int
    rates: tuple[float, float]


class NegationStudy(NamedTuple):
    """Sizes of the study."""

    networks: tuple[Network, ...] = (
        Network((2, 30, 100), 25, (0.97, 0.78)),
        Network((5, 50, 100), 50, (0.93, 0.80)),
    )
    step_size: float = 0.25
    max_steps: int = 4000
    num_trials: int = 400


def _trial(family: Any, solver: Any, max_steps: Any, key: Any) -> dict[str, Any]:
    problem, solution = recovered(family, solver, key, tol=2e-7, max_steps=max_steps)
    error = relative_error(solution.u, problem.truth.u)
    return {"error": error, "num_steps": solution.num_steps, "status": solution.status}


def _negation(study: NegationStudy, settings: Settings) -> Outcome:
    claims, rows = [], []
    for network in study.networks:
        family = generative(network.widths, network.measurements)
        name = f"{network.widths}, m = {network.measurements}"
        successes = []
        for negate, published in zip((True, False), network.rates, strict=True):
            solver = subgradient(study.step_size, negate)
            found = sweep(
                jax.tree_util.Partial(_trial, family, solver, study.max_steps),
                {},
                key=settings.key,
                num_trials=trials(settings, study.num_trials),
                progress=settings.progress,
            )
            success = found["error"] < 1e-3
            successes.append(success.values.astype(float))
            how = "with" if negate else "without"
            what = f"success rate {how} the sign test, {name}"
            claims.append(compare_mean(what, successes[-1], published, tolerance=0.03))
            rate = {key: float(value) for key, value in success_rate(success).items()}
            row = {"widths": f"{network.widths}", "m": network.measurements, "sign_test": negate}
            rows.append({**row, **rate, "published": published})
        gain = successes[0] - successes[1]
        claims.append(at_least(f"gain of the sign test, same draws, {name}", gain, 0.0))
    return Outcome(claims, rows, partial(_draw, rows))


def _draw(rows: list[dict[str, Any]], path: Path) -> str:
    lines = []
    for color, negate in zip(MEASURED, (True, False), strict=False):
        some = [row for row in rows if row["sign_test"] == negate]
        places, rates = [row["m"] for row in some], [row["rate"] for row in some]
        band = [row["low"] for row in some], [row["high"] for row in some]
        name = "with the sign test" if negate else "without"
        lines += [
            Line(places, rates, name, color, marker="o", band=band, band_label="95 % intervals"),
            Line(places, [row["published"] for row in some], "published", color, "", "s", True),
        ]
    title = "subgradient descent, " + " and ".join(dict.fromkeys(row["widths"] for row in rows))
    ticks = sorted({row["m"] for row in rows})
    panel = Panel(title, "measurements m", "success rate", lines, xticks=ticks, ylim=(0.5, 1.02))
    return draw(path, [panel], size=(6.0, 4.0))


ENTRIES = (
    Reproduction(
        name="negation",
        title="testing −x for a lower loss turns failures of small networks into recoveries",
        source="Hand, Voroninski (2019), section 5, released script; rates of this library",
        run=partial(_negation, NegationStudy()),
        cost="10 seconds",
    ),
)
