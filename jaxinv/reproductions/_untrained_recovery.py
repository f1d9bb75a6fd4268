"""What the studies of compressed sensing with untrained networks share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv import untrained
from jaxinv.problems import Problem
from jaxinv.reproductions._untrained import decibels, published_descent
from jaxinv.reproductions.claims import Claim, at_least, mean_error
from jaxinv.viz._panels import Panel, Picture, draw, named

LASSO = ("lasso_dct", "lasso_wavelet")


NETWORK = "CS-DIP"


RATE = 0.001  # published


Scores = dict[tuple[Any, str], np.ndarray]  # by number of measurements and method


def score_rows(axis: str, found: Mapping[Any, np.ndarray], value: str) -> list[dict[str, Any]]:
    return [
        {
            axis: place,
            "method": method,
            value: float(np.mean(samples)),
            "standard_error": mean_error(samples),
        }
        for (place, method), samples in found.items()
    ]


def curves_against(
    xlabel: str, found: Mapping[Any, np.ndarray], ylabel: str, **options: Any
) -> Panel:
    """Return curves of means against the number of measurements, one a method."""
    lines: dict[str, Any] = {}
    for method in dict.fromkeys(name for _, name in found):
        places = [place for place, name in found if name == method]
        lines[method] = (places, [found[place, method].mean() for place in places])
    return Panel("mean", xlabel, ylabel, named(lines), xscale="log", **options)


def fit_network(
    prior: Any, operator: Any, y: Any, keys: Any, study: Any, *, rate: float = RATE,
    first_axis: int = 0, axes: Problem | None = None, num_restarts: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Run the published descent; the weights are those of a sum of squares, so half of them."""
    penalty = untrained.total_variation(study.smoothing / 2, first_axis=first_axis)
    found = untrained.fit(
        keys, prior, Problem(operator, y), axes=axes, optimizer=published_descent(rate),
        num_steps=study.num_steps, stop=None, penalty=penalty, average=0.95, tol=0.0,
    )  # fmt: skip
    if num_restarts is not None:
        found = untrained.least_misfit(found, num_restarts)
    return np.asarray(found.x)


def squared_errors(images: Any, x: Any) -> np.ndarray:
    """Return mean squared errors on [-1, 1], one an image."""
    gap = np.clip(np.asarray(images), -1, 1) - np.asarray(x)
    return np.mean(gap.reshape(len(gap), -1) ** 2, axis=1)


def gain_claims(text: str, found: Mapping[Any, np.ndarray], rivals: tuple[str, ...]) -> list[Claim]:
    claims = []
    for place, network in found:
        for rival in rivals if network.startswith(NETWORK) else ():
            gain = decibels(found[place, network]) - decibels(found[place, rival])
            claims.append(at_least(f"{text} {place}: dB of {network} over {rival}", gain, 0.0))
    return claims


def measured_rows(gaussian: Scores, fourier: Scores) -> list[dict[str, Any]]:
    rows = []
    for kind, found in (("gaussian", gaussian), ("fourier", fourier)):
        for row in score_rows("measurements", found, "squared_error"):
            rows.append({"kind": kind, **row})
    return rows


def draw_measured(
    x: np.ndarray, gaussian: Scores, fourier: Scores, shown: Mapping[int, Any], path: Path
) -> str:
    ylabel = "mean squared error on [-1, 1]"
    panels: list[Any] = [
        curves_against("Gaussian measurements", gaussian, ylabel, yscale="log"),
        curves_against("Fourier coefficients", fourier, ylabel, yscale="log"),
        Picture("truth", (x + 1) / 2),
    ]
    m = max(shown)
    for name, image in zip((NETWORK, "Lasso in a cosine basis"), shown[m], strict=True):
        panels.append(Picture(f"{name}, m = {m}", (image + 1) / 2))
    return draw(path, panels, title=f"{NETWORK}, image of {x.shape}", num_columns=3)


CSDIP = "Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis (2018)"
