"""Curves and pictures side by side, for runs of untrained networks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxinv.viz._figure import INK, MEASURED, PUBLISHED, figure, save

_STYLES = ("-", "--", "-.", ":")
_SIDE = 3.6  # inches


class Curves(NamedTuple):
    """Axes with curves.

    Attributes:
        title: what is above.
        xlabel, ylabel: texts of the axes.
        lines: names to (horizontal, vertical) values.
        points: the same, for published numbers and other single points.
        levels: names to numbers, drawn as lines across.
        xscale, yscale: linear, log or symlog.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Mapping[str, tuple[Any, Any]]
    points: Mapping[str, tuple[Any, Any]] = {}
    levels: Mapping[str, float] = {}
    xscale: str = "linear"
    yscale: str = "linear"


class Picture(NamedTuple):
    """Axes with an image in [0, 1], gray or (h, w, 3)."""

    title: str
    pixels: Any


def plot_row(
    path: str | os.PathLike[str],
    panels: Sequence[Curves | Picture],
    *,
    title: str,
    num_columns: int = 4,
) -> str:
    """Draw curves and pictures side by side, in as many rows as they need; returns the path."""
    columns = min(num_columns, len(panels))
    rows = -(-len(panels) // columns)
    drawing, axes = figure(_SIDE * columns + 0.6, (_SIDE - 0.2) * rows + 0.4, rows, columns)
    flat = np.atleast_1d(axes).reshape(-1)
    for axis in flat[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(flat, panels, strict=False):
        if isinstance(panel, Picture):
            axis.imshow(np.clip(panel.pixels, 0, 1), cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
        else:
            _draw(axis, panel)
        axis.set_title(panel.title, fontsize=9.5, color=INK, loc="left")
    drawing.suptitle(title, fontsize=10.5, color=INK, x=0.01, ha="left")
    return save(drawing, path)


def _draw(axis: Any, panel: Curves) -> None:
    for index, (name, (places, values)) in enumerate(panel.lines.items()):
        color = MEASURED[index % len(MEASURED)]
        style = _STYLES[index // len(MEASURED) % len(_STYLES)]
        axis.plot(places, values, color=color, ls=style, lw=1.4, label=name)
    for index, (name, (places, values)) in enumerate(panel.points.items()):
        marker = "so^dv"[index % 5]
        axis.plot(places, values, marker, color=PUBLISHED, mfc="white", ms=5, label=name)
    for index, (name, value) in enumerate(panel.levels.items()):
        style = _STYLES[(index + 1) % len(_STYLES)]
        axis.axhline(value, color=PUBLISHED, lw=1.2, ls=style, label=name)
    axis.set_xscale(panel.xscale)
    axis.set_yscale(panel.yscale)
    axis.set_xlabel(panel.xlabel, fontsize=9)
    axis.set_ylabel(panel.ylabel, fontsize=9)
    axis.tick_params(which="both", labelsize=8)
    axis.legend(framealpha=0.85, edgecolor="none", fontsize=7)
