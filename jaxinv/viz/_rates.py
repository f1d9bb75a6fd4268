"""Errors against layer, under their bounds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxinv.viz._figure import INK, MEASURED, figure, save


class Curve(NamedTuple):
    """One network: the errors measured, and the bound of them, at layers 0 to T."""

    measured: Sequence[float]
    bound: Sequence[float]


def plot_rates(
    path: str | os.PathLike[str],
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    columns: int,
    floor: float,
    ylabel: str,
) -> str:
    """Draw panels of errors on a logarithmic scale: bounds dashed, in the color of what they bound.

    Args:
        path: file to write.
        panels: title of each panel, and its curves by label; at most five a panel.
        columns: panels side by side.
        floor: smallest error shown; what is below is rounding.
        ylabel: of the left panels.

    Returns:
        The path as text.
    """
    rows = -(-len(panels) // columns)
    drawing, grid = figure(4.6 * columns, 3.3 * rows, rows, columns)
    for index, (axes, (title, curves)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
        _panel(axes, curves, floor)
        axes.set_title(title, fontsize=9.5, color=INK, loc="left")
        if index % columns == 0:
            axes.set_ylabel(ylabel)
        if index >= len(panels) - columns:
            axes.set_xlabel("layer t")
        if index == 0:
            axes.legend(frameon=False, fontsize=8)
    return save(drawing, path)


def _panel(axes: Any, curves: Mapping[str, Curve], floor: float) -> None:
    for (label, curve), color in zip(curves.items(), MEASURED, strict=False):
        layers = range(len(curve.bound))
        bound = [value if value >= floor else None for value in curve.bound]
        shown = [value if value >= floor else None for value in curve.measured]
        axes.plot(layers, bound, "--", color=color, lw=1.2, label=f"{label}: bound")
        axes.plot(layers, shown, "o-", color=color, lw=1.4, ms=2.5, label=f"{label}: measured")
        axes.set_xlim(-0.5, len(curve.bound) - 0.5)
    axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
