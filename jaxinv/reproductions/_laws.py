"""Rows and figure of a study that holds means beside a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.reproductions.claims import mean_error
from jaxinv.viz import plot_means


def law_row(axis: str, value: Any, samples: np.ndarray, law: float) -> dict[str, Any]:
    """Return one line of the table."""
    mean, error = float(np.mean(samples)), mean_error(samples)
    return {axis: value, "mean": mean, "standard_error": error, "law": law}


def draw_rows(
    rows: Sequence[Mapping[str, Any]], path: Path, *, axis: str, law: str, **texts: Any
) -> str:
    """Draw the rows; ``law`` names the curve, and ``points`` may hold published means."""
    return plot_means(
        path,
        [row[axis] for row in rows],
        [row["mean"] for row in rows],
        [row["standard_error"] for row in rows],
        curve=[row["law"] for row in rows],
        curve_label=law,
        points=texts.pop("points", {}),
        **texts,
    )
