"""Means with their errors against a parameter, beside a law."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxinv.viz._figure import INK, MEASURED, PUBLISHED, figure, save


def plot_means(
    path: str | os.PathLike[str],
    values: Sequence[Any],
    means: Sequence[float],
    errors: Sequence[float],
    *,
    curve: Sequence[float],
    curve_label: str,
    points: Mapping[Any, float],
    xlabel: str,
    ylabel: str,
    title: str,
) -> str:
    """Draw measured means with bars of two standard errors, a law, and published points.

    Args:
        path: where to write; the suffix sets the format (png, pdf, svg).
        values: of the horizontal axis, one a mean.
        means, errors: what was measured, and its standard errors.
        curve, curve_label: the law at the same values, and what the legend calls it.
        points: published means, by value.
        xlabel, ylabel: texts of the axes.
        title: text above.

    Returns:
        The path as text.
    """
    drawing, axes = figure(6.0, 4.0)
    axes.plot(values, curve, "-", color=MEASURED[1], lw=1.6, label=curve_label)
    bars = [2 * error for error in errors]
    axes.errorbar(
        values, means, bars, fmt="o", color=MEASURED[0], ms=4, capsize=3, label="measured ± 2 se"
    )
    if points:
        axes.plot(
            list(points), list(points.values()), "s", color=PUBLISHED, mfc="white", ms=6,
            label="published",
        )  # fmt: skip
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(frameon=False, fontsize=8.5)
    return save(drawing, path)
