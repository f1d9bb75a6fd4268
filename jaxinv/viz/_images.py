"""A reconstruction beside its truth."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxinv.viz._figure import INK, MEASURED, figure, save

_PANEL = 3.4  # inches a side
_NARROWEST = 2.3  # so that neighboring titles stay apart
_TITLES = 0.62
_SHOWN = {"blur": "Blurred", "identity": "Noisy"}


def plot_reconstruction(reconstruction: Any, path: str | os.PathLike[str]) -> str:
    """Draw truth, what the measurements show by themselves, estimate and error side by side.

    Args:
        reconstruction: what ``jaxinv.reconstruct`` returns.
        path: figure to write; the suffix (.png, .pdf, .svg) chooses the format.

    Returns:
        The path.

    Raises:
        ValueError: another suffix.
    """
    found = reconstruction
    height, width = found.truth.shape[:2]
    scale = _PANEL / max(height, width)
    panel = max(scale * width, _NARROWEST)
    # four panels and a color bar
    drawing, axes = figure(4 * panel + 1.0, scale * height + _TITLES, columns=4)
    first = _SHOWN.get(found.settings["operator"], "Without a prior")
    panels = (
        (found.truth, "Truth", f"{height} x {width}"),
        (found.baseline, first, _score(found.baseline_psnr, found.baseline_ssim)),
        (found.estimate, "Reconstruction", _score(found.psnr, found.ssim)),
    )
    for axis, (pixels, title, detail) in zip(axes, panels, strict=False):
        axis.imshow(np.clip(pixels, 0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{title}\n{detail}", fontsize=10, color=INK)
    error = np.abs(found.estimate - found.truth)
    error = error if error.ndim == 2 else error.mean(axis=-1)
    shown = axes[3].imshow(error, cmap="magma", vmin=0, vmax=max(_quantile(error), 1e-6))
    axes[3].set_title(f"Absolute error\nmean {error.mean():.3f}", fontsize=10, color=INK)
    bar = drawing.colorbar(shown, ax=axes[3], shrink=0.9, pad=0.03, extend="max")
    bar.ax.tick_params(labelsize=8)
    for axis in axes:
        axis.set_axis_off()
    return save(drawing, path)


def plot_panels(path: str | os.PathLike[str], panels: Mapping[str, Any], *, title: str) -> str:
    """Draw gray images in [0, 1] side by side, each under its name; returns the path."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    drawing, axes = figure(_PANEL * columns, (_PANEL + 0.3) * rows + 0.3, rows, columns)
    flat = np.atleast_1d(axes).reshape(-1)
    for axis in flat:
        axis.set_axis_off()
    for axis, (name, pixels) in zip(flat, panels.items(), strict=False):
        axis.imshow(np.clip(pixels, 0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=10, color=INK)
    drawing.suptitle(title, fontsize=10.5, color=INK)
    return save(drawing, path)


def plot_bars(
    path: str | os.PathLike[str],
    groups: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    ylabel: str,
) -> str:
    """Draw groups of positive numbers as bars on a logarithmic axis; returns the path."""
    drawing, axis = figure(1.9 * len(groups) + 1.5, 4.0)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = np.arange(len(groups)) + (index - (len(names) - 1) / 2) * width
        heights = [group[name] for group in groups.values()]
        axis.bar(places, heights, width, color=MEASURED[index % len(MEASURED)], label=name)
    axis.set_yscale("log")
    axis.set_xticks(range(len(groups)), groups, fontsize=8.5)
    axis.set(ylabel=ylabel)
    axis.set_title(title, fontsize=10, color=INK, loc="left")
    axis.legend(frameon=False, fontsize=8.5)
    return save(drawing, path)


def _score(psnr: float, ssim: float) -> str:
    return f"PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"


def _quantile(error: np.ndarray) -> float:
    """Return the level below which all but 0.5 % of the errors lie, for the color scale."""
    return float(np.quantile(error, 0.995)) if np.all(np.isfinite(error)) else 1.0
