"""Error against layer, one curve a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxinv.viz._figure import INK, MEASURED, PUBLISHED, figure, save

_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^")
_FLOORS = ((0, (5, 2)), (0, (1, 1.5)), (0, (4, 1, 1, 1)))


class Panel(NamedTuple):
    """One set of axes of a figure.

    Attributes:
        title: what is above it.
        curves: networks to their values, one a layer (or one per entry of ``horizontal``).
        limits: names to a number (drawn as a line across) or to values as in ``curves``.
        horizontal: what the values belong to; None for layers 1, 2, ...
        xlabel: text of the horizontal axis.
    """

    title: str
    curves: Mapping[str, Any]
    limits: Mapping[str, Any]
    horizontal: Sequence[float] | None = None
    xlabel: str = "layer"


def plot_layers(
    path: str | os.PathLike[str],
    panels: Sequence[Panel],
    *,
    title: str,
    ylabel: str = "NMSE (dB)",
) -> str:
    """Draw panels side by side that share their curves' colors and one legend.

    Returns:
        The path as text.
    """
    panels = list(panels)
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    limits = list(dict.fromkeys(name for panel in panels for name in panel.limits))
    drawing, axes = figure(3.9 * len(panels) + 2.3, 4.2, columns=len(panels))
    for axis, panel in zip(np.atleast_1d(axes), panels, strict=True):
        for name, values in panel.curves.items():
            index = names.index(name)
            color, turn = MEASURED[index % len(MEASURED)], index // len(MEASURED)
            places = np.arange(1, len(values) + 1) if panel.horizontal is None else panel.horizontal
            axis.plot(
                places, values, color=color, lw=1.5, ms=2.6, ls=_STYLES[turn % len(_STYLES)],
                marker=_MARKERS[turn % len(_MARKERS)], label=name,
            )  # fmt: skip
        for name, value in panel.limits.items():
            _limit(axis, name, value, panel, _FLOORS[limits.index(name) % len(_FLOORS)])
        axis.set_title(panel.title, fontsize=10, color=INK, loc="left")
        axis.set_xlabel(panel.xlabel)
        _scale(axis, panel.horizontal)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel(ylabel)
    drawing.suptitle(title, fontsize=10.5, color=INK, x=0.01, ha="left")
    handles: dict[str, Any] = {}
    for axis in drawing.axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    drawing.legend(
        list(handles.values()), list(handles), loc="outside right center", frameon=False,
        fontsize=8.5,
    )  # fmt: skip
    return save(drawing, path)


def _scale(axis: Any, horizontal: Sequence[float] | None) -> None:
    """Label layers by integers, and values over more than a decade on a logarithmic axis."""
    if horizontal is None:
        axis.xaxis.get_major_locator().set_params(integer=True, steps=[1, 2, 4, 10])
        return
    if max(horizontal) > 10 * min(horizontal):
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(list(horizontal), [f"{value:g}" for value in horizontal])


def _limit(axis: Any, name: str, value: Any, panel: Panel, style: Any) -> None:
    """Draw a limit: a line across, or a curve."""
    if np.ndim(value) == 0:
        axis.axhline(float(value), color=PUBLISHED, lw=1.4, ls=style, label=name)
        return
    places = np.arange(1, len(value) + 1) if panel.horizontal is None else panel.horizontal
    axis.plot(places, value, color=INK, lw=1.2, ls=style, label=name)
