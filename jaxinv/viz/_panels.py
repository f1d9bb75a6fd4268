"""Panels of lines, maps, images and bars: declared as data, drawn here in one style."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv._core import checks, files
from jaxinv.viz._colors import INK, PUBLISHED, looks
from jaxinv.viz._legends import place_legends

_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^")
_ACROSS = ((0, (5, 2)), (0, (1, 1.5)), (0, (4, 1, 1, 1)))
_DIGIT, _BETWEEN = 0.09, 0.07  # inches, at the size of ticks
_FORMATS = (".png", ".pdf", ".svg")


class Line(NamedTuple):
    """Values against places.

    Attributes:
        x, y: places and values.
        label: its name in the legend; lines of one name have one color in all of a figure.
        color: default that of the method of this name, or the next of the palette.
        style: of matplotlib, "" for none; default another one where the palette begins again.
        marker: of matplotlib, "" for none.
        hollow: markers are white inside, as those of published numbers.
        errors: half of the length of the bars.
        band: low and high end of a shaded range.
        band_label: its name in the legend.
    """

    x: Any
    y: Any
    label: str = ""
    color: str | None = None
    style: Any = None
    marker: str = ""
    hollow: bool = False
    errors: Any = None
    band: tuple[Any, Any] | None = None
    band_label: str | None = None


class Map(NamedTuple):
    """Values in [0, 1] over places, rows upward, and the level of a line drawn into them."""

    x: Any
    y: Any
    values: Any
    label: str
    level: float


class Panel(NamedTuple):
    """Axes with lines.

    Attributes:
        title: what is above.
        xlabel, ylabel: texts of the axes.
        lines: what is drawn.
        levels: names to numbers, drawn as lines across.
        marks: names to places, drawn as lines upward.
        map: what lies under the lines.
        xscale, yscale: linear, log or symlog.
        ylim: ends of the vertical axis.
        xticks: the places to be labeled, "integer" for whole numbers only; of a map, and where
            they would be too many, those of them that have room.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Sequence[Line] = ()
    levels: Mapping[str, float] = {}
    marks: Mapping[str, float] = {}
    map: Map | None = None
    xscale: str = "linear"
    yscale: str = "linear"
    ylim: tuple[float, float] | None = None
    xticks: Any = None


class Picture(NamedTuple):
    """An image, (h, w) or (h, w, 3), with values from 0 to ``largest``; ``bar`` shows the scale."""

    title: str
    pixels: Any
    largest: float = 1.0
    colors: str = "gray"
    bar: bool = False


class Bars(NamedTuple):
    """Groups of positive numbers, names to names to numbers, on a logarithmic axis."""

    title: str
    ylabel: str
    groups: Mapping[str, Mapping[str, float]]


def named(lines: Mapping[str, tuple[Any, Any]], **options: Any) -> list[Line]:
    """Return lines by name, from pairs of places and values."""
    return [Line(x, y, name, **options) for name, (x, y) in lines.items()]


def published(points: Mapping[str, tuple[Any, Any]]) -> list[Line]:
    """Return single points by name, as published numbers are drawn."""
    return [
        Line(x, y, name, PUBLISHED, "", "so^dv"[index % 5], hollow=True)
        for index, (name, (x, y)) in enumerate(points.items())
    ]


def over_layers(
    title: str,
    curves: Mapping[str, Any],
    limits: Mapping[str, Any] | None = None,
    *,
    places: Sequence[float] | None = None,
    xlabel: str = "layer",
    ylabel: str = "NMSE (dB)",
) -> Panel:
    """Return a panel of networks' values at layers 1, 2, ..., or at places.

    A limit is a number, or has values as the curves. Places over more than a decade are drawn
    on a logarithmic axis.
    """

    def at(values: Any) -> Any:
        return np.arange(1, len(values) + 1) if places is None else places

    limits = limits or {}
    lines = [Line(at(values), values, name, marker="o") for name, values in curves.items()]
    for name, value in limits.items():
        if np.ndim(value) == 1:
            lines.append(Line(at(value), value, name, INK, _ACROSS[1]))
    wide = places is not None and max(places) > 10 * min(places)
    return Panel(
        title, xlabel, ylabel, lines,
        levels={name: float(value) for name, value in limits.items() if np.ndim(value) == 0},
        xscale="log" if wide else "linear",
        xticks="integer" if places is None else places,
    )  # fmt: skip


def draw(path: str | os.PathLike[str], panels: Sequence[Any], **options: Any) -> str:
    """Write the figure of panels; returns the path."""
    return _save(figure(panels, **options), path)


def figure(
    panels: Sequence[Panel | Picture | Bars],
    *,
    size: tuple[float, float] = (3.6, 3.4),
    num_columns: int = 4,
    title: str = "",
    one_legend: bool = False,
) -> Any:
    """Draw panels side by side, in as many rows as they need.

    ``size`` is that of a panel in inches. A legend is not repeated from panel to panel, and
    ``one_legend`` stands for all panels at the right. A label of a vertical axis is not repeated
    within a row.
    """
    from matplotlib.figure import Figure

    columns = min(num_columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = size[0] * columns + 2.3 * one_legend, size[1] * rows + 0.3 * bool(title)
    drawing = Figure(figsize=(width, height), layout="constrained")
    grid = drawing.subplots(rows, columns, squeeze=False).ravel()
    of_lines = [panel for panel in panels if isinstance(panel, Panel)]
    names = [line.label for panel in of_lines for line in panel.lines if line.color is None]
    names += [
        n for p in panels if isinstance(p, Bars) for group in p.groups.values() for n in group
    ]
    look = looks(names)
    handles: dict[str, Any] = {}
    legends: dict[Any, dict[str, Any]] = {}
    for index, (axis, panel) in enumerate(zip(grid, panels, strict=False)):
        axis.spines[["top", "right"]].set_visible(False)
        if isinstance(panel, Picture):
            _picture(axis, panel)
            continue
        if isinstance(panel, Bars):
            _bars(axis, panel, look)
        else:
            _panel(axis, panel, look)
        found = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        if one_legend:
            handles = {**found, **handles}
        elif found and found.keys() != handles.keys():
            handles = legends[axis] = found
        before = panels[index - 1] if index % columns else None
        if getattr(before, "ylabel", None) != panel.ylabel:
            axis.set_ylabel(panel.ylabel)
    for axis in grid[len(panels) :]:
        axis.set_axis_off()
    if title:
        drawing.suptitle(title, fontsize=10.5, color=INK, x=0.01, ha="left")
    if one_legend:
        drawing.legend(
            list(handles.values()), list(handles), loc="outside right center", frameon=False,
            fontsize=8.5,
        )  # fmt: skip
    place_legends(drawing, legends)
    return drawing


def _panel(axis: Any, panel: Panel, look: Mapping[str, tuple[str, int]]) -> None:
    if panel.map is None:
        axis.grid(alpha=0.25, lw=0.6)
    else:
        _map(axis, panel.map)
    edges = axis.get_xlim(), axis.get_ylim()
    for line in panel.lines:
        _line(axis, line, *look.get(line.label, (INK, 0)))
    straight = ((0, panel.levels, axis.axhline), (1, panel.marks, axis.axvline))
    for first, values, draw_line in straight:
        for index, (name, value) in enumerate(values.items(), first):
            style = _ACROSS[index % len(_ACROSS)]
            draw_line(value, color=PUBLISHED, lw=1.4, ls=style, label=name)
    axis.set(xscale=panel.xscale, yscale=panel.yscale, xlabel=panel.xlabel, ylim=panel.ylim)
    width = _inches(axis)[0]
    if isinstance(panel.xticks, str):
        axis.xaxis.get_major_locator().set_params(integer=True, steps=[1, 2, 4, 5, 10])
    elif panel.xticks is not None:
        _tick(axis.xaxis, panel.xticks, math.inf if panel.xscale == "log" else width)
    if panel.map is not None:  # a line may go on beyond what was measured; the axes do not
        axis.set(xlim=edges[0], ylim=edges[1])
        _tick(axis.xaxis, panel.map.x, width)
        _tick(axis.yaxis, panel.map.y, _inches(axis)[1])
    _entitle(axis, panel.title)


def _tick(axis: Any, values: Any, inches: float) -> None:
    """Label the values that were measured, as far as their texts stay apart."""
    values = sorted(float(value) for value in values)
    texts = {value: f"{value:g}" for value in values}
    scale = (values[-1] - values[0]) / inches

    def room(one: float, other: float) -> float:
        if axis.axis_name == "y":
            return 2 * _DIGIT * scale
        return (_DIGIT * (len(texts[one]) + len(texts[other])) / 2 + _BETWEEN) * scale

    kept = values[-1:]
    for value in values[-2::-1]:
        if kept[-1] - value >= room(value, kept[-1]):
            kept.append(value)
    axis.set_ticks(kept, [texts[value] for value in kept])
    axis.set_tick_params(which="minor", bottom=False, labelbottom=False, left=False)


def _inches(axis: Any) -> tuple[float, float]:
    """Return the width and height of axes, about."""
    place, (width, height) = axis.get_position(), axis.figure.get_size_inches()
    return place.width * width, place.height * height


def _entitle(axis: Any, title: str) -> None:
    """Write a title from the left, in as many lines as the width asks."""
    axis.set_title(
        textwrap.fill(title, int(15 * _inches(axis)[0])), fontsize=10, color=INK, loc="left"
    )


def _line(axis: Any, line: Line, color: str, turn: int) -> None:
    color = line.color or color
    style = _STYLES[turn % len(_STYLES)] if line.style is None else line.style
    marker = _MARKERS[turn % len(_MARKERS)] if line.marker == "o" else line.marker
    if line.band is not None:
        low, high = line.band
        axis.fill_between(line.x, low, high, color=color, alpha=0.2, lw=0, label=line.band_label)
    how = {"color": color, "ls": style, "marker": marker, "lw": 1.5, "label": line.label}
    how |= {"ms": 5, "mfc": "white"} if line.hollow else {"ms": 3.5}
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    if line.errors is None:
        axis.plot(x, y, **how)
    else:
        axis.errorbar(x, y, line.errors, capsize=3, **how)


def _map(axis: Any, drawn: Map) -> None:
    values = np.asarray(drawn.values)
    colors = axis.pcolormesh(
        drawn.x, drawn.y, values, vmin=0, vmax=1, cmap="viridis", shading="nearest"
    )
    bar = axis.figure.colorbar(colors, ax=axis, label=drawn.label)
    if min(values.shape) > 1 and values.min() < drawn.level < values.max():
        from matplotlib.patheffects import withStroke

        # white within black: seen on every color
        edged = [withStroke(linewidth=3.2, foreground="black")]
        name = f"{drawn.label} {'1/2' if drawn.level == 0.5 else f'{drawn.level:g}'}"
        bar.ax.axhline(drawn.level, color="white", lw=1.6, path_effects=edged)
        line = axis.contour(drawn.x, drawn.y, values, [drawn.level], colors="white", linewidths=1.6)
        line.set(path_effects=edged)
        axis.plot([], [], color="white", lw=1.6, path_effects=edged, label=name)


def _picture(axis: Any, picture: Picture) -> None:
    pixels = np.clip(picture.pixels, 0, picture.largest)
    shown = axis.imshow(pixels, cmap=picture.colors, vmin=0, vmax=picture.largest)
    axis.set_axis_off()
    axis.set_title(picture.title, fontsize=10, color=INK)
    if picture.bar:
        bar = axis.figure.colorbar(shown, ax=axis, shrink=0.9, pad=0.03, extend="max")
        bar.ax.tick_params(labelsize=8)


def _bars(axis: Any, bars: Bars, look: Mapping[str, tuple[str, int]]) -> None:
    axis.grid(alpha=0.25, lw=0.6)
    names = list(dict.fromkeys(name for group in bars.groups.values() for name in group))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = np.arange(len(bars.groups)) + (index - (len(names) - 1) / 2) * width
        heights = [group[name] for group in bars.groups.values()]
        axis.bar(places, heights, width, color=look[name][0], label=name)
    axis.set_yscale("log")
    axis.set_xticks(range(len(bars.groups)), bars.groups, fontsize=8.5)
    _entitle(axis, bars.title)


def check_path(where: str, path: str | os.PathLike[str], argument: str = "plot") -> Path:
    """Check before a long run that a figure can be written there.

    Args:
        where: what asks, for the text of the error.
        path: of the figure; its folder may still be missing, the one above may not.
        argument: what the error calls the path.

    Returns:
        The path.

    Raises:
        ValueError: a suffix other than png, pdf and svg; a folder that cannot be written to.

    Example:
        >>> import jaxinv as ji
        >>> ji.viz.check_path("my_study", "results/map.png").name
        'map.png'
    """
    target = files.as_path(where, argument, path)
    if target.suffix.lower() not in _FORMATS:
        checks.fail(where, argument, f"end in {', '.join(_FORMATS)}", repr(str(path)))
    files.writable(where, argument, target, folder_is_made=True)
    return target


def _save(drawing: Any, path: str | os.PathLike[str]) -> str:
    """Write a figure: whole, or not at all."""
    target = check_path("plot", path, "path")
    try:
        target.parent.mkdir(exist_ok=True)
        with files.writing(target) as stream:
            drawing.savefig(stream, dpi=150, format=target.suffix[1:].lower())
    except OSError as error:
        raise OSError(f"plot: {target} cannot be written ({error.strerror}).") from None
    return str(target)
