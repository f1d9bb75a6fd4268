"""How noise turns into error in denoising with a ReLU prior."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.problems import generative
from jaxinv.reproductions._models import panel_of_means, row_of_mean
from jaxinv.reproductions._noise_laws import errors_over
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import Claim, at_most, compare_exponent, compare_mean
from jaxinv.theory import denoising_law
from jaxinv.viz._panels import draw

_WIDTHS = (500, 1500)
_K = (10, 20, 40, 60, 80, 100)
_LARGE = 0.5  # σ of the published sweep over k
_FIXED_K = 50  # of the published sweep over σ
_STDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_LAW_UP_TO = 0.1


def _denoising(settings: Settings) -> Outcome:
    """Check the law at small noise, and how the error grows with k and with σ².

    The law is the projection of the noise on the tangent space; noise half as large as the
    signal also moves the estimate to neighboring linear pieces, which adds to the error.
    """
    family = generative((max(_K), *_WIDTHS), None)
    over_k = errors_over(family, {"k": _K, "noise": (0.05, _LARGE)}, settings, published=30)
    over_std = errors_over(family, {"k": (_FIXED_K,), "noise": _STDS}, settings, published=30)
    signal = over_k["squared_error"]
    claims, rows = [], []
    for k in _K:
        ratio = signal.sel(k=k, noise=0.05).values / _law(0.05, k)
        what = f"squared error over σ² k/n at σ = 0.05, k = {k}"
        claims.append(compare_mean(what, ratio, 1.0, tolerance=0.05))
        error = signal.sel(k=k, noise=_LARGE).values
        rows.append(row_of_mean(error, k=k, noise_std=_LARGE, law=_law(_LARGE, k)))
    what = f"exponent of k in the squared error at σ = {_LARGE:g}"
    samples = np.stack([signal.sel(k=k, noise=_LARGE).values for k in _K])
    claims.append(compare_exponent(what, _K, samples, 1.0))
    claims += _claims_over_std(over_std.sel(k=_FIXED_K), rows)
    return Outcome(claims, rows, partial(_draw, rows))


def _claims_over_std(found: Any, rows: list[dict[str, Any]]) -> list[Claim]:
    """Check the sweep over σ, of the signal and of the latent; its rows are added."""
    claims = []
    noisy = np.asarray(_STDS[1:])
    for name, label in (("squared_error", "signal"), ("squared_latent_error", "latent")):
        errors = found[name]
        what = f"squared error of the {label} at σ = 0, k = {_FIXED_K}"
        claims.append(at_most(what, errors.sel(noise=0.0).values, 1e-10))
        what = f"exponent of σ² in the squared error of the {label}, k = {_FIXED_K}"
        samples = np.stack([errors.sel(noise=std).values for std in noisy])
        claims.append(compare_exponent(what, noisy**2, samples, 1.0))
    for std in _STDS:
        error, law = found["squared_error"].sel(noise=std).values, _law(std, _FIXED_K)
        rows.append(row_of_mean(error, k=_FIXED_K, noise_std=std, law=law))
        if 0 < std <= _LAW_UP_TO:
            what = f"squared error over σ² k/n at σ = {std:g}, k = {_FIXED_K}"
            claims.append(compare_mean(what, error / law, 1.0, tolerance=0.05))
    return claims


def _law(std: float, k: int) -> float:
    return float(denoising_law(std, k, _WIDTHS[-1]))


def _draw(rows: list[dict[str, Any]], path: Path) -> str:
    title = f"denoising, (k, {_WIDTHS[0]}, {_WIDTHS[1]})"
    at_level = [row for row in rows if row["k"] in _K]
    at_k = [{**row, "power": row["noise_std"] ** 2} for row in rows if row["k"] == _FIXED_K]
    label = "squared error ‖G(ẑ) − y*‖²"
    panels = [
        panel_of_means(
            f"{title}, σ = {_LARGE:g}", "latent dimension k", label, at_level, "k", "σ² k/n"
        ),
        panel_of_means(f"k = {_FIXED_K}", "noise energy σ²", label, at_k, "power", "σ² k/n"),
    ]
    return draw(path, panels)


ENTRIES = (
    Reproduction(
        name="denoising-law",
        title="denoising with a two-layer prior leaves the share k/n of the noise energy",
        source="Heckel, Huang, Hand, Voroninski (2021), section 4 and theorem 2",
        run=_denoising,
        cost="30 seconds",
    ),
)
