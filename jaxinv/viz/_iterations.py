"""Errors at every step: single runs, their mean, and a prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxinv.viz._figure import INK, MEASURED, figure, save


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
    """
    drawing, axes = figure(6.4, 4.2)
    for color, (name, (samples, law)) in zip(MEASURED, series.items(), strict=False):
        samples = np.asarray(samples, float)
        steps = np.arange(1, samples.shape[1] + 1)
        ends = 10 * np.log10(np.quantile(samples, (0.0, 1.0), axis=0))
        mean = 10 * np.log10(samples.mean(axis=0))
        runs = f"{name}: range of {samples.shape[0]} draws"
        axes.fill_between(steps, *ends, color=color, alpha=0.25, lw=0, label=runs)
        axes.plot(steps, mean, "o", color=color, ms=4.5, label=f"{name}: mean")
        predicted = 10 * np.log10(np.asarray(law, float))
        axes.plot(steps, predicted, "-", color=INK, lw=1.1, label=f"{name}: state evolution")
    axes.set(xlabel="step", ylabel=ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(frameon=False, fontsize=8.5)
    return save(drawing, path)
