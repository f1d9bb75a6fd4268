"""What the studies of decoders share: rows of several decoders, and one line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxinv.sweeps import wilson
from jaxinv.viz._panels import Line, Panel

THRESHOLD = 1e-3  # relative error of a success


def row_of_rate(success: Any, **names: Any) -> dict[str, Any]:
    """Return a row: what it is of, and the share of successes with its 95 % interval."""
    count, trials = int(np.sum(success)), int(np.size(success))
    low, high = (float(end) for end in wilson(count, trials))
    return {**names, "success": count / trials, "low": low, "high": high}


def panel_of_rates(
    title: str, xlabel: str, rows: Sequence[Mapping[str, Any]], axis: str, **options: Any
) -> Panel:
    """Return a panel with the success rates of each decoder, and their intervals as bands."""
    lines = []
    for name in dict.fromkeys(row["decoder"] for row in rows):
        chosen = [row for row in rows if row["decoder"] == name]
        band = [row["low"] for row in chosen], [row["high"] for row in chosen]
        x, y = [row[axis] for row in chosen], [row["success"] for row in chosen]
        lines.append(Line(x, y, name, marker="o", band=band))
    return Panel(title, xlabel, "success rate", lines, ylim=(-0.03, 1.03), **options)


def panel_of_errors(
    title: str, xlabel: str, rows: Sequence[Mapping[str, Any]], axis: str, **options: Any
) -> Panel:
    """Return a panel with the mean errors of each decoder, with bars of two standard errors."""
    lines = []
    for name in dict.fromkeys(row["decoder"] for row in rows):
        chosen = [row for row in rows if row["decoder"] == name]
        bars = [2 * row["standard_error"] for row in chosen]
        x, y = [row[axis] for row in chosen], [row["mean"] for row in chosen]
        lines.append(Line(x, y, name, marker="o", errors=bars))
    return Panel(title, xlabel, "relative error", lines, yscale="log", **options)
