"""Success rates against a parameter, with Wilson intervals, beside what was published."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxinv._core import checks
from jaxinv.viz._figure import INK, MEASURED, PUBLISHED, figure, save

if TYPE_CHECKING:
    import xarray as xr


def plot_success_rates(
    path: str | os.PathLike[str],
    rates: Mapping[str, xr.Dataset],
    *,
    label: str,
    title: str,
    published: Mapping[Any, float] | None = None,
    published_label: str = "published",
    transition: tuple[float, str] | None = None,
) -> str:
    """Draw one curve per solver and return the path of the figure.

    Args:
        path: where to write; the suffix sets the format (png, pdf, svg).
        rates: names to Datasets of ``success_rate``, each with one dimension.
        label: text of the horizontal axis.
        title: text above.
        published: rates to draw as points, by value.
        published_label: what the legend calls them.
        transition: a value to mark by a vertical line, and its name.

    Returns:
        The path as text.

    Raises:
        ValueError: rates over more or less than one dimension, another suffix.
    """
    drawing, axes = figure(6.4, 4.2)
    for color, (name, table) in zip(MEASURED, rates.items(), strict=False):
        if len(table.dims) != 1:
            hint = "Use plot_phase_diagram for two."
            checks.fail("plot_success_rates", "rates", "have one dimension", f"{table.dims}", hint)
        axis = next(iter(table.dims))
        values = table[axis].values
        level = f"{100 * table.attrs.get('confidence', 0.95):.0f} % interval"
        if "num_trials" in table.attrs:
            level += f", {table.attrs['num_trials']} trials"
        axes.fill_between(values, table.low, table.high, color=color, alpha=0.18, lw=0)
        axes.plot(values, table.rate, "o-", color=color, ms=4, lw=1.8, label=f"{name} ({level})")
    if published:
        points = dict(sorted(published.items()))
        axes.plot(
            list(points), list(points.values()), "s--", color=PUBLISHED, ms=4, lw=1.2, mfc="white",
            label=published_label,
        )  # fmt: skip
    if transition is not None:
        axes.axvline(transition[0], color=PUBLISHED, ls=":", lw=1.4, label=transition[1])
    axes.set(xlabel=label, ylabel="success rate", ylim=(-0.03, 1.03))
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")
    return save(drawing, path)


def plot_phase_diagram(
    path: str | os.PathLike[str],
    rates: xr.Dataset,
    *,
    title: str = "",
    curve: tuple[Any, Any, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Draw a success rate over two parameters as a map, with the transition at 1/2.

    Args:
        path: where to write; the suffix sets the format (png, pdf, svg).
        rates: a Dataset of ``success_rate`` with two dimensions; the first is vertical.
        title: text above.
        curve: horizontal and vertical values of a line to draw in, and its name.
        labels: texts of the axes, by name of dimension; default the names themselves.

    Returns:
        The path as text.

    Raises:
        ValueError: rates over more or less than two dimensions, another suffix.
    """
    rate = rates["rate"]
    if rate.ndim != 2:
        hint = "Use plot_success_rates for one."
        checks.fail("plot_phase_diagram", "rates", "have two dimensions", f"{rate.dims}", hint)
    vertical, horizontal = (str(name) for name in rate.dims)
    drawing, axes = figure(5.4, 4.2)
    axes.grid(visible=False)
    x, y = rate[horizontal].values, rate[vertical].values
    colors = axes.pcolormesh(x, y, rate.values, vmin=0, vmax=1, cmap="viridis", shading="nearest")
    drawing.colorbar(colors, ax=axes, label="success rate")
    if min(rate.shape) > 1 and rate.values.min() < 0.5 < rate.values.max():
        axes.contour(x, y, rate.values, levels=[0.5], colors="white", linewidths=1.4)
    if curve is not None:
        axes.plot(curve[0], curve[1], "--", color=MEASURED[1], lw=2.0, label=curve[2])
        axes.legend(fontsize=8.5, loc="upper left", framealpha=0.85)
    labels = labels or {}
    axes.set(xlabel=labels.get(horizontal, horizontal), ylabel=labels.get(vertical, vertical))
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    return save(drawing, path)
