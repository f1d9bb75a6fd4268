"""Figure of a calibration: histogram of ranks, and coverage against level."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._ranks import Calibration
from jaxinv.sweeps._summaries import wilson
from jaxinv.viz._colors import INK, PUBLISHED
from jaxinv.viz._panels import Line, Panel, draw

_MOST_SHOWN = 4
_BAND = 0.99


def plot_calibration(
    path: str | os.PathLike[str], calibration: Calibration, *, title: str = ""
) -> str:
    """Draw the ranks of a calibration, and how often central intervals hold the truth.

    The four quantities with the smallest p-values have a name; the others are thin and gray.

    Args:
        path: where to write; the suffix sets the format (png, pdf, svg).
        calibration: what ``sweeps.calibration`` returns.
        title: text above.

    Returns:
        The path as text.

    Raises:
        TypeError: no calibration.
        ValueError: another suffix.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0]), in_shape=1)
        >>> family = ji.problems.generative(generator=G, noise_std=0.5)
        >>> found = ji.sweeps.calibration(family, ji.samplers.laplace(0.5), num_draws=19,
        ...     key=jax.random.key(0), num_trials=50, num_bins=10, num_steps=20, block_size=50)
        >>> plot_calibration(tempfile.mkdtemp() + "/ranks.png", found)[-9:]
        'ranks.png'
    """
    if not isinstance(calibration, Calibration):
        hint = "As sweeps.calibration returns it."
        checks.fail_type("plot_calibration", "calibration", "be a Calibration", calibration, hint)
    panels = calibration_panels(calibration, title)
    return draw(path, panels, size=(4.6, 3.6))


def calibration_panels(found: Calibration, title: str = "") -> list[Panel]:
    """Return the two panels."""
    order = np.argsort(found.p_values, kind="stable")
    ranks, cover = [_uniform_band(found)], []
    levels, coverage, low, high = _curves(found)
    for place, index in enumerate(order[::-1], 1 - len(order)):
        named = -place < _MOST_SHOWN
        name = f"{found.names[index]}: p = {found.p_values[index]:.2g}" if named else ""
        look: dict[str, Any] = {"style": "-"} if named else {"style": "-", "color": "0.8"}
        ranks.append(_steps(found.histogram[index], name, look))
        band = (low[index], high[index]) if named else None
        cover.append(Line(levels, coverage[index], name, band=band, **look))
    cover.append(Line([0, 1], [0, 1], "as promised", INK, (0, (1, 1.5))))
    count = len(found.ranks)
    return [
        Panel(title, "rank of the truth, of all draws", "problems over those expected", ranks),
        Panel(f"{count} problems, {found.num_draws} draws each", "level of central intervals",
              "share that holds the truth", cover),
    ]  # fmt: skip


def _uniform_band(found: Calibration) -> Line:
    """Return where 99 % of the counts lie if all ranks are equally likely."""
    from scipy.stats import binom

    bins = found.histogram.shape[1]
    expected = len(found.ranks) / bins
    ends = binom.ppf([(1 - _BAND) / 2, (1 + _BAND) / 2], len(found.ranks), 1 / bins) / expected
    low, high = (np.full(2, end) for end in ends)
    return Line([0, 1], [1, 1], "uniform", PUBLISHED, "--", band=(low, high),
                band_label="99 % of uniform counts")  # fmt: skip


def _steps(counts: np.ndarray, name: str, look: dict[str, Any]) -> Line:
    """Return the outline of a histogram."""
    edges = np.linspace(0, 1, counts.size + 1)
    heights = counts / counts.mean()
    return Line(np.repeat(edges, 2)[1:-1], np.repeat(heights, 2), name, **look)


def _curves(found: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return levels, and the coverage of every quantity there with its 95 % interval."""
    last = found.num_draws
    left_out = np.unique(np.linspace(0, last // 2, 21).astype(int))[::-1]
    levels = 1 - 2 * left_out / (last + 1)
    ranks = found.ranks[..., None]
    counts = np.sum((ranks >= left_out) & (ranks <= last - left_out), axis=0)
    low, high = wilson(counts, len(found.ranks))
    return levels, counts / len(found.ranks), low, high
