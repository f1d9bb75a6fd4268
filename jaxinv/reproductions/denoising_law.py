"""How noise turns into error in denoising with a ReLU prior."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from jaxinv.problems._generative import generative
from jaxinv.reproductions._laws import draw_rows, law_row
from jaxinv.reproductions._noise_laws import errors_over_k
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_exponent, compare_mean
from jaxinv.theory import denoising_law

_WIDTHS = (500, 1500)
_K = (10, 20, 40, 60, 80, 100)
_SMALL, _LARGE = 0.05, 0.5  # σ; the published sweep over k has the large one


def _denoising(settings: Settings) -> Outcome:
    """Check the law at small noise, and at the published noise level how the error grows with k.

    The law is the projection of the noise on the tangent space; noise half as large as the
    signal also moves the estimate to neighboring linear pieces, which adds to the error.
    """
    small, large = (_errors(std, settings) for std in (_SMALL, _LARGE))
    claims, rows = [], []
    for k in _K:
        ratio = small.sel(k=k).values / _law(_SMALL, k)
        what = f"squared error over σ² k/n at σ = {_SMALL:g}, k = {k}"
        claims.append(compare_mean(what, ratio, 1.0, tolerance=0.05))
        rows.append(law_row("k", k, large.sel(k=k).values, _law(_LARGE, k)))
    what = f"exponent of k in the squared error at σ = {_LARGE:g}"
    samples = np.stack([large.sel(k=k).values for k in _K])
    claims.append(compare_exponent(what, _K, samples, 1.0))
    draw = partial(
        draw_rows,
        rows,
        axis="k",
        xlabel="latent dimension k",
        ylabel="squared error ‖G(ẑ) − y*‖²",
        law="σ² k / n",
        title=f"denoising, σ = {_LARGE:g}, (k, {_WIDTHS[0]}, {_WIDTHS[1]})",
    )
    return Outcome(claims, rows, draw)


def _law(std: float, k: int) -> float:
    return float(denoising_law(std, k, _WIDTHS[-1]))


def _errors(std: float, settings: Settings) -> Any:
    widths = (max(_K), *_WIDTHS)
    family = generative(widths, None, noise_std=std / math.sqrt(_WIDTHS[-1]))
    return errors_over_k(family, _K, settings, published=30)["squared_error"]


ENTRIES = (
    Reproduction(
        name="denoising-law",
        title="denoising with a two-layer prior leaves the share k/n of the noise energy",
        source="Heckel, Huang, Hand, Voroninski (2021), section 4 and theorem 2",
        run=_denoising,
        cost="60 seconds",
    ),
)
