"""How noise turns into error in compressed sensing with a ReLU prior."""

from __future__ import annotations

from functools import partial

from jaxinv.problems._generative import generative
from jaxinv.reproductions._laws import draw_rows, law_row
from jaxinv.reproductions._noise_laws import errors_over_k
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_mean
from jaxinv.theory import noise_law

_MEASUREMENTS, _NOISE = 300, 1e-2
_K = (5, 10, 20, 30, 45, 60)
_PUBLISHED = {5: 1.34e-3, 20: 2.52e-3, 45: 4.05e-3}  # means of 30 trials


def _sensing(settings: Settings) -> Outcome:
    family = generative((max(_K), 700, 600), _MEASUREMENTS, noise_norm=_NOISE)
    results = errors_over_k(family, _K, settings, published=100)
    claims, rows = [], []
    for k in _K:
        error = results["error"].sel(k=k).values
        law = float(noise_law(_NOISE, _MEASUREMENTS, k))
        claims.append(compare_mean(f"mean error at k = {k}: the law", error, law, tolerance=0.03))
        if k in _PUBLISHED:
            what = f"mean error at k = {k}: published experiment"
            claims.append(compare_mean(what, error, _PUBLISHED[k], tolerance=0.06))
        rows.append(law_row("k", k, error, law))
    draw = partial(
        draw_rows,
        rows,
        axis="k",
        points=_PUBLISHED,
        xlabel="latent dimension k",
        ylabel="error ‖G(ẑ) − y*‖",
        law="‖η‖ √(k / (m − k − 1))",
        title=f"compressed sensing, m = {_MEASUREMENTS}, ‖η‖ = {_NOISE:g}, (k, 700, 600)",
    )
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        name="noise-law",
        title="error of compressed sensing with noise follows ‖η‖ √(k/(m − k − 1))",
        source="Cocola (2022), appendix H, experiment 2; Gaussian least squares",
        run=_sensing,
        cost="30 seconds",
    ),
)
