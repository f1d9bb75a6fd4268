"""Figures of a kind: steps, success rates, phase diagrams, reconstructions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv._core import checks
from jaxinv.viz._colors import INK, MEASURED, PUBLISHED, looks
from jaxinv.viz._panels import Line, Map, Panel, Picture, draw

if TYPE_CHECKING:
    import xarray as xr

_PANEL = 3.4  # inches a side of an image
_NARROWEST = 2.3  # so that neighboring titles stay apart
_BASELINES = {"blur": "Blurred", "identity": "Noisy"}


def plot_iterations(
    path: str | os.PathLike[str],
    series: Mapping[str, tuple[Any, Any]],
    *,
    ylabel: str = "NMSE (dB)",
    title: str = "",
) -> str:
    """Draw runs in decibels against the step: their range, their mean, and a law.

    Args:
        path: where to write; the suffix sets the format (png, pdf, svg).
        series: names to pairs (samples, law): samples of shape (num_runs, num_steps) and a law
            of shape (num_steps,), all positive and not in decibels.
        ylabel: text of the vertical axis.
        title: text above.

    Returns:
        The path as text.

    Example:
        >>> import tempfile, numpy as np, jaxinv as ji
        >>> folder = tempfile.mkdtemp()
        >>> series = {"amp": (np.ones((3, 5)) / np.arange(1, 6), 1 / np.arange(1.0, 6))}
        >>> ji.viz.plot_iterations(folder + "/amp.png", series)[-7:]
        'amp.png'
    """
    lines = []
    look = looks(series)
    for name, (samples, law) in series.items():
        samples = np.asarray(samples, float)
        steps = np.arange(1, samples.shape[1] + 1)
        low, high, mean, predicted = (
            10 * np.log10(value)
            for value in (samples.min(0), samples.max(0), samples.mean(0), np.asarray(law, float))
        )
        runs = f"{name}: range of {samples.shape[0]} draws"
        color, band = look[name][0], (low, high)
        lines += [
            Line(steps, mean, f"{name}: mean", color, "", "o", band=band, band_label=runs),
            Line(steps, predicted, f"{name}: state evolution", INK),
        ]
    return draw(path, [Panel(title, "step", ylabel, lines, xticks="integer")], size=(6.4, 4.2))


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

    Example:
        >>> import tempfile, numpy as np, xarray as xr, jaxinv as ji
        >>> won = xr.DataArray(np.arange(12).reshape(3, 4) > 5, {"k": [1, 2, 3]}, ("k", "trial"))
        >>> rates = ji.sweeps.success_rate(won)
        >>> path = tempfile.mkdtemp() + "/k.png"
        >>> ji.viz.plot_success_rates(path, {"mine": rates}, label="latents k", title="")[-5:]
        'k.png'
    """
    lines = []
    for name, table in rates.items():
        if len(table.dims) != 1:
            hint = "Use plot_phase_diagram for two."
            checks.fail("plot_success_rates", "rates", "have one dimension", f"{table.dims}", hint)
        values = table[next(iter(table.dims))].values
        level = f"{100 * table.attrs.get('confidence', 0.95):.0f} % interval"
        if "num_trials" in table.attrs:
            level += f", {table.attrs['num_trials']} trials"
        band = (table.low.values, table.high.values)
        lines.append(Line(values, table.rate.values, f"{name} ({level})", marker="o", band=band))
    if published:
        x, y = zip(*sorted(published.items()), strict=True)
        lines.append(Line(x, y, published_label, PUBLISHED, "--", "s", hollow=True))
    marks = {} if transition is None else {transition[1]: transition[0]}
    places = sorted({float(x) for line in lines for x in line.x})
    panel = Panel(
        title, label, "success rate", lines, marks=marks, ylim=(-0.03, 1.03), xticks=places
    )
    return draw(path, [panel], size=(6.4, 4.2))


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
        rates: a Dataset of ``success_rate``, or a DataArray in [0, 1] of a metric of your own
            (its mean over ``trial``), with two dimensions; the first is vertical.
        title: text above.
        curve: horizontal and vertical values of a line to draw in, and its name.
        labels: texts of the axes, by name of dimension; default the names themselves.

    Returns:
        The path as text.

    Raises:
        TypeError: rates of another kind, such as the whole Dataset of a sweep.
        ValueError: rates over more or less than two dimensions, another suffix.

    Example:
        >>> import tempfile, numpy as np, xarray as xr, jaxinv as ji
        >>> won = np.arange(24).reshape(3, 2, 4) > 10
        >>> won = xr.DataArray(won, {"k": [1, 2, 3], "m": [5, 9]}, ("k", "m", "trial"))
        >>> path = tempfile.mkdtemp() + "/map.png"
        >>> ji.viz.plot_phase_diagram(path, ji.sweeps.success_rate(won))[-7:]
        'map.png'
    """
    rate, name = _values(rates)
    if rate.ndim != 2:
        hint = "Use plot_success_rates for one."
        checks.fail("plot_phase_diagram", "rates", "have two dimensions", f"{rate.dims}", hint)
    vertical, horizontal = (str(name) for name in rate.dims)
    labels = labels or {}
    panel = Panel(
        title,
        labels.get(horizontal, horizontal),
        labels.get(vertical, vertical),
        [] if curve is None else [Line(*curve, MEASURED[1], "--")],
        map=Map(rate[horizontal].values, rate[vertical].values, rate.values, name, 0.5),
    )
    return draw(path, [panel], size=(5.4, 4.2))


def _values(rates: Any) -> tuple[Any, str]:
    """Return the DataArray to draw, and what its color is called."""
    if "rate" in getattr(rates, "data_vars", ()):
        return rates["rate"], "success rate"
    where = "plot_phase_diagram"
    if hasattr(rates, "data_vars"):
        names = ", ".join(map(str, rates.data_vars))
        hint = (
            f"It holds {names}: take one, as ji.sweeps.success_rate(found[name]), or found[name]."
        )
        checks.fail_type(
            where, "rates", "be a Dataset of success_rate, or a DataArray", rates, hint
        )
    if not hasattr(rates, "dims") or not hasattr(rates, "coords"):
        hint = "The path comes first."
        checks.fail_type(
            where, "rates", "be a Dataset of success_rate, or a DataArray", rates, hint
        )
    values = rates.mean("trial") if "trial" in rates.dims else rates
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        hint = "Such as (found[name] < 0.01).mean('trial')."
        checks.fail(where, "rates", "lie in [0, 1]", f"values from {low:.3g} to {high:.3g}", hint)
    return values, str(rates.name or "value")


def plot_reconstruction(reconstruction: Any, path: str | os.PathLike[str]) -> str:
    """Draw side by side what the measurements show by themselves, the estimate, and what is unsure.

    Args:
        reconstruction: what ``jaxinv.reconstruct`` or ``images.simulate`` returns. With a truth
            that is drawn too, and the error in place of the spread. Magnitudes of complex images,
            the root sum of squares of several coils.
        path: figure to write; the suffix (.png, .pdf, .svg) chooses the format.

    Returns:
        The path.

    Raises:
        ValueError: another suffix.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> found = ji.images.simulate("camera", size=32, ratio=0.5)
        >>> ji.viz.plot_reconstruction(found, tempfile.mkdtemp() + "/camera.png")[-10:]
        'camera.png'
    """
    shown = _simulated if hasattr(reconstruction, "estimate") else _measured
    panels = shown(reconstruction)
    height, width = panels[0].pixels.shape[:2]
    scale = _PANEL / max(height, width)
    side = max(scale * width, _NARROWEST) + 0.25
    size = side, scale * height + 0.62
    return draw(path, panels, size=size, num_columns=len(panels))


def _simulated(found: Any) -> list[Picture]:
    first = _BASELINES.get(found.settings["operator"], "Without a prior")
    height, width = found.truth.shape[:2]
    return [
        Picture(f"Truth\n{height} x {width}", found.truth),
        Picture(f"{first}\n{_scored(found.baseline_psnr, found.baseline_ssim)}", found.baseline),
        Picture(f"Reconstruction\n{_scored(found.psnr, found.ssim)}", found.estimate),
        _errors("Absolute error", np.abs(found.estimate - found.truth)),
    ]


def _measured(found: Any) -> list[Picture]:
    scores = found.scores
    x, shown, spread = (_as_picture(one) for one in (found.x, found.input, found.spread))
    largest = max(float(np.max(x)), 1e-30)
    first = "Without a prior"
    last = f"{found.chosen}\nheld-out error {scores['held_out']:.3g}"
    if found.truth is None:
        return [
            Picture(f"{first}\n", shown / largest),
            Picture(last, x / largest),
            _errors("Spread", spread),
        ]
    truth = _as_picture(found.truth)
    largest = max(float(np.max(truth)), 1e-30)
    height, width = truth.shape[:2]
    before = _scored(scores["input_psnr"], scores["input_ssim"])
    after = _scored(scores["psnr"], scores["ssim"])
    return [
        Picture(f"Truth\n{height} x {width}", truth / largest),
        Picture(f"{first}\n{before}", shown / largest),
        Picture(f"{found.chosen}\n{after}", x / largest),
        _errors("Absolute error", np.abs(x - truth)),
        _errors("Spread", spread),
    ]


def _as_picture(x: Any) -> np.ndarray:
    """Return an image of real numbers, (h, w) or (h, w, 3)."""
    x = np.abs(x) if np.iscomplexobj(x) else np.asarray(x)
    if x.ndim == 3 and x.shape[-1] > 4:
        return np.sqrt(np.sum(x**2, axis=0))
    return x if x.ndim == 2 or x.shape[-1] == 3 else x.mean(axis=-1)


def _scored(psnr: float, ssim: float) -> str:
    return f"PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"


def _errors(title: str, error: np.ndarray) -> Picture:
    error = error if error.ndim == 2 else error.mean(axis=-1)
    # all but 0.5 % of them lie below the end of the color scale
    largest = float(np.quantile(error, 0.995)) if np.all(np.isfinite(error)) else 1.0
    title = f"{title}\nmean {error.mean():.3g}"
    return Picture(title, error, max(largest, 1e-30), "magma", bar=True)
