"""Means against a size on logarithmic axes, beside a law."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxinv.viz._figure import INK, MEASURED, PUBLISHED, figure, save


def plot_scaling(
    path: str | os.PathLike[str],
    values: Sequence[Any],
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    law: Sequence[float],
    law_label: str,
    xlabel: str,
    ylabel: str,
    title: str,
) -> str:
    """Draw named means with bars of two standard errors, and a law whose slope they should have.

    Returns:
        The path as text.
    """
    drawing, axes = figure(6.0, 4.2)
    axes.plot(values, law, "--", color=PUBLISHED, lw=1.4, label=law_label)
    for color, (name, (means, errors)) in zip(MEASURED, curves.items(), strict=False):
        bars = [2 * error for error in errors]
        axes.errorbar(
            values, means, bars, fmt="o-", color=color, ms=4, lw=1.5, capsize=3, label=name
        )
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    axes.set_xticks(list(values), [str(value) for value in values])
    axes.minorticks_off()
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(frameon=False, fontsize=8.5)
    return save(drawing, path)
