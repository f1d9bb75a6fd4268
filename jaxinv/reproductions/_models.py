"""What studies that hold means beside a law share: one recovery, rows of means, their figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.problems import Problem
from jaxinv.reproductions.claims import mean_error
from jaxinv.solvers import Solution, solve
from jaxinv.viz._colors import MEASURED
from jaxinv.viz._panels import Line, Panel, draw, published


def recovered(
    family: Any, solver: Any, key: Any, *, tol: float = 1e-6, max_steps: int = 100
) -> tuple[Problem, Solution]:
    """Draw one problem, and solve it from as many starts as the solver has restarts."""
    problem = family.sample(key)
    starts = getattr(solver, "num_restarts", None)
    u0 = family.initial(key, starts)
    return problem, solve(solver, problem, u0, tol=tol, max_steps=max_steps)


def row_of_mean(samples: Any, **names: Any) -> dict[str, Any]:
    """Return a row: what it is of, and the mean with its standard error."""
    mean = float(np.mean(np.asarray(samples, float)))
    return {**names, "mean": mean, "standard_error": mean_error(samples)}


def panel_of_means(
    title: str,
    xlabel: str,
    ylabel: str,
    rows: Sequence[dict[str, Any]],
    axis: str,
    law: str = "",
    **options: Any,
) -> Panel:
    """Return a panel of means, and of the law and the published numbers beside them."""
    places = [row[axis] for row in rows]
    bars = [2 * row["standard_error"] for row in rows]
    means = [row["mean"] for row in rows]
    lines = [Line(places, means, "measured ± 2 se", MEASURED[0], "", "o", errors=bars)]
    if law:
        lines.append(Line(places, [row["law"] for row in rows], law, MEASURED[1]))
    known = [row for row in rows if row.get("published", "") != ""]
    if known:
        points = [row[axis] for row in known], [row["published"] for row in known]
        lines += published({"published": points})
    return Panel(title, xlabel, ylabel, lines, **options)


def draw_means(
    rows: Sequence[dict[str, Any]],
    path: Path,
    *,
    axis: str,
    law: str,
    xlabel: str,
    ylabel: str,
    title: str,
    scale: str = "linear",
) -> str:
    """Draw the rows of one panel, on two linear or two logarithmic axes."""
    xticks = "integer" if scale == "linear" else [row[axis] for row in rows]
    options = {"xscale": scale, "yscale": scale, "xticks": xticks}
    panel = panel_of_means(title, xlabel, ylabel, rows, axis, law, **options)
    return draw(path, [panel], size=(6.0, 4.0))
