"""The spectrum of a two-layer convolutional network, and its tail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._untrained_theory import (
    PAPER,
    TAIL,
    line_misfits,
    spectra,
)
from jaxinv.reproductions.claims import at_least, equals
from jaxinv.viz._panels import Panel, draw, named

_PRINTED = {  # largest and smallest λ/3 that the published notebook prints, n = 300
    "triangle, p = 1": (0.166666, 0.166666),
    "triangle, p = 10": (1.957451, 0.0048700),
    "Gaussian, s = 0.01": (0.982988, 0.0091485),
}


def _spectrum(settings: Settings) -> Outcome:
    del settings  # nothing is random
    values = spectra(300)
    claims = []
    for name, (largest, smallest) in _PRINTED.items():
        squares = values[name] ** 2 / 3
        claims.append(equals(f"largest λ/3, {name}", squares.max(), largest, 1e-4))
        claims.append(equals(f"smallest λ/3, {name}", squares.min(), smallest, 1e-4))
    shares = {name: float(np.sum(s[:11] ** 2) / np.sum(s**2)) for name, s in values.items()}
    for wide, narrow in ((10, 1), (30, 10)):
        what = f"share of Σσ² at frequencies to 10: p = {wide} over p = {narrow}"
        ratio = shares[f"triangle, p = {wide}"] / shares[f"triangle, p = {narrow}"]
        claims.append(at_least(what, ratio, 1.0))
    for width in (10, 30):
        straight, _ = line_misfits(values[f"triangle, p = {width}"])
        what = f"R² of a line in log-log, frequencies {TAIL[0]} to {TAIL[1]}, p = {width}"
        claims.append(at_least(what, 1 - straight, 0.95))
    rows = [
        {"frequency": f} | {name: float(s[f]) for name, s in values.items()} for f in range(151)
    ]
    return Outcome(claims, rows, partial(_draw_spectrum, values))


def _draw_spectrum(values: Mapping[str, np.ndarray], path: Path) -> str:
    panels = []
    for kind in ("triangle", "Gaussian"):
        lines: dict[str, Any] = {
            name.split(", ")[1]: (np.arange(1, len(s)), s[1:])
            for name, s in values.items()
            if name.startswith(kind)
        }
        slope = np.arange(20.0, 151)
        lines["1/frequency"] = (slope, 14 / slope)
        for scale in ("log", "linear"):
            title = f"{kind} kernels" + (", frequency linear" if scale == "linear" else "")
            panels.append(
                Panel(title, "frequency", "σ", named(lines), xscale=scale, yscale="log"),
            )
    return draw(path, panels, title="weights of the trigonometric functions, n = 300")


ENTRIES = (
    Reproduction(
        name="untrained-spectrum",
        title="wider kernels weigh low frequencies more; the weights fall along a log-log line",
        source=f"{PAPER}, figure 3 and equation 11; numbers of its published notebook",
        run=_spectrum,
        cost="5 seconds",
    ),
)
