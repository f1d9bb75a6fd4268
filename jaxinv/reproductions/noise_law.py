"""How noise turns into error in compressed sensing with a ReLU prior."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv.problems import generative
from jaxinv.reproductions._models import panel_of_means, row_of_mean
from jaxinv.reproductions._noise_laws import errors_over
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_mean
from jaxinv.theory import noise_law
from jaxinv.viz._panels import draw

_MEASUREMENTS, _HIDDEN = 300, (700, 600)
_NOISE = 1e-2
_K = (5, 10, 20, 30, 45, 60)
# means of 30 trials by ‖η‖ and k; those of the source's SNR labels 20, 40 and 80
_PUBLISHED = {
    1e-2: {5: 1.34e-3, 20: 2.52e-3, 45: 4.05e-3},
    1e-4: {5: 1.35e-5, 45: 4.25e-5},
    1e-8: {5: 1.29e-9, 45: 4.39e-9},
}
_SMALL = (1e-4, 1e-8)


def _sensing(settings: Settings) -> Outcome:
    """Check the law for many k at the largest level, and for the published k at the others.

    The smallest level is below the rounding of float32: these trials run in double precision.
    """
    family = generative((max(_K), *_HIDDEN), _MEASUREMENTS)
    large = errors_over(family, {"k": _K, "noise": (_NOISE,)}, settings, published=100)["error"]
    with jax.enable_x64(True):
        family = generative((45, *_HIDDEN), _MEASUREMENTS, dtype=jnp.float64)
        grid = {"k": (5, 20, 45), "noise": _SMALL}
        small = errors_over(family, grid, settings, published=30, tol=1e-12)["error"]
    claims, rows = [], []
    for noise, errors in ((_NOISE, large), *((level, small) for level in _SMALL)):
        for k in errors["k"].values:
            error = errors.sel(k=k, noise=noise).values
            law = float(noise_law(noise, _MEASUREMENTS, int(k)))
            what = f"mean error at ‖η‖ = {noise:g}, k = {k}"
            claims.append(compare_mean(f"{what}: the law", error, law, tolerance=0.03))
            published = _PUBLISHED[noise].get(int(k), "")
            if published:
                what = f"{what}: published experiment"
                claims.append(compare_mean(what, error, float(published), tolerance=0.06))
            rows.append(
                row_of_mean(error, noise_norm=noise, k=int(k), law=law, published=published)
            )
    return Outcome(claims, rows, partial(_draw, rows))


def _draw(rows: list[dict[str, Any]], path: Path) -> str:
    panels = [
        panel_of_means(
            f"‖η‖ = {noise:g}",
            "latent dimension k",
            "error ‖G(ẑ) − y*‖",
            [row for row in rows if row["noise_norm"] == noise],
            "k",
            "‖η‖ √(k / (m − k − 1))",
        )
        for noise in _PUBLISHED
    ]
    title = f"compressed sensing, m = {_MEASUREMENTS}, (k, {', '.join(map(str, _HIDDEN))})"
    return draw(path, panels, title=title)


ENTRIES = (
    Reproduction(
        name="noise-law",
        title="error of compressed sensing with noise follows ‖η‖ √(k/(m − k − 1))",
        source="Cocola (2022), appendix H, experiment 2; Gaussian least squares",
        run=_sensing,
        cost="20 seconds",
    ),
)
