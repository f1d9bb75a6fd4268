"""How noise turns into error: compressed sensing and denoising with a ReLU prior."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv._core import numerics
from jaxinv.problems._generative import GenerativeFamily, generative
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import REFUTED, REPRODUCED, Claim, compare_mean
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import sweep
from jaxinv.theory import denoising_law, noise_law
from jaxinv.viz import plot_means

_MEASUREMENTS, _NOISE = 300, 1e-2
_SENSING_K = (5, 10, 20, 30, 45, 60)
_PUBLISHED_SENSING = {5: 1.34e-3, 20: 2.52e-3, 45: 4.05e-3}  # means of 30 trials
_DENOISING_WIDTHS = (500, 1500)
_DENOISING_K = (10, 20, 40, 60, 80, 100)
_SMALL, _LARGE = 0.05, 0.5  # σ; the published sweep over k has the large one


def _error(family: GenerativeFamily, solver: Any, key: Any, *, k: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − y*‖ and its square for one problem with ``k`` active latents."""
    family = family.with_active(latent=k)
    problem = family.sample(key)
    solution = solve(solver, problem, family.initial(key), tol=1e-6, max_steps=100)
    squared = numerics.sum_squares(solution.x - problem.truth.x)
    return {"error": squared**0.5, "squared_error": squared, "status": solution.status}


def _sensing(settings: Settings) -> Outcome:
    family = generative((max(_SENSING_K), 700, 600), _MEASUREMENTS, noise_norm=_NOISE)
    results = _sweep(family, _SENSING_K, settings, published=100)
    claims, rows = [], []
    for k in _SENSING_K:
        error = results["error"].sel(k=k).values
        law = float(noise_law(_NOISE, _MEASUREMENTS, k))
        claims.append(compare_mean(f"mean error at k = {k}: the law", error, law, tolerance=0.03))
        if k in _PUBLISHED_SENSING:
            published = _PUBLISHED_SENSING[k]
            what = f"mean error at k = {k}: published experiment"
            claims.append(compare_mean(what, error, published, tolerance=0.06))
        rows.append(_row(k, error, law))
    draw = partial(
        _draw,
        rows,
        points=_PUBLISHED_SENSING,
        ylabel="error ‖G(ẑ) − y*‖",
        law="‖η‖ √(k / (m − k − 1))",
        title=f"compressed sensing, m = {_MEASUREMENTS}, ‖η‖ = {_NOISE:g}, (k, 700, 600)",
    )
    return Outcome(claims, rows, draw)


def _denoising(settings: Settings) -> Outcome:
    """Check the law at small noise, and at the published noise level how the error grows with k.

    The law is the projection of the noise on the tangent space; noise half as large as the
    signal also moves the estimate to neighboring linear pieces, which adds to the error.
    """
    small, large = (_denoising_errors(std, settings) for std in (_SMALL, _LARGE))
    claims, rows = [], []
    for k in _DENOISING_K:
        ratio = small.sel(k=k).values / _law(_SMALL, k)
        what = f"squared error over σ² k/n at σ = {_SMALL:g}, k = {k}"
        claims.append(compare_mean(what, ratio, 1.0, tolerance=0.05))
        ratio = large.sel(k=k).values / _law(_LARGE, k)
        rows.append(_row(k, ratio * _law(_LARGE, k), _law(_LARGE, k)))
    claims.append(_slope(large))
    draw = partial(
        _draw,
        rows,
        points={},
        ylabel="squared error ‖G(ẑ) − y*‖²",
        law="σ² k / n",
        title=f"denoising, σ = {_LARGE:g}, (k, {_DENOISING_WIDTHS[0]}, {_DENOISING_WIDTHS[1]})",
    )
    return Outcome(claims, rows, draw)


def _law(std: float, k: int) -> float:
    return float(denoising_law(std, k, _DENOISING_WIDTHS[-1]))


def _denoising_errors(std: float, settings: Settings) -> Any:
    size = _DENOISING_WIDTHS[-1]
    widths = (max(_DENOISING_K), *_DENOISING_WIDTHS)
    family = generative(widths, None, noise_std=std / math.sqrt(size))
    return _sweep(family, _DENOISING_K, settings, published=30)["squared_error"]


def _slope(errors: Any) -> Claim:
    """Fit the exponent of k in the squared error; the theorem's rate is 1."""
    log_k = np.log(np.asarray(_DENOISING_K, float))
    logs = [np.log(errors.sel(k=k).values.mean()) for k in _DENOISING_K]
    spreads = [
        errors.sel(k=k).values.std(ddof=1) / errors.sel(k=k).values.mean() for k in _DENOISING_K
    ]
    weights = (log_k - log_k.mean()) / np.sum((log_k - log_k.mean()) ** 2)
    slope = float(weights @ np.asarray(logs))
    num_trials = errors.sizes["trial"]
    half = 2.576 * float(np.sqrt(np.sum((weights * np.asarray(spreads)) ** 2) / num_trials))
    verdict = REPRODUCED if abs(slope - 1) <= half + 0.1 else REFUTED
    what = f"exponent of k in the squared error at σ = {_LARGE:g}"
    rule = "99 % interval against 1 within 0.1"
    return Claim(what, 1.0, slope, slope - half, slope + half, verdict, rule)


def _sweep(family: Any, values: tuple[int, ...], settings: Settings, published: int) -> Any:
    return sweep(
        jax.tree_util.Partial(_error, family, levenberg_marquardt()),
        {"k": values},
        key=settings.key,
        num_trials=trials(settings, published),
        traced=("k",),
        progress=settings.progress,
    )


def _row(k: int, samples: np.ndarray, law: float) -> dict[str, Any]:
    error = float(np.std(samples, ddof=1) / math.sqrt(samples.size))
    return {"k": k, "mean": float(np.mean(samples)), "standard_error": error, "law": law}


def _draw(
    rows: list[dict[str, Any]], path: Path, *, points: Any, ylabel: str, law: str, title: str
) -> str:
    return plot_means(
        path,
        [row["k"] for row in rows],
        [row["mean"] for row in rows],
        [row["standard_error"] for row in rows],
        curve=[row["law"] for row in rows],
        curve_label=law,
        points=points,
        xlabel="latent dimension k",
        ylabel=ylabel,
        title=title,
    )


ENTRIES = (
    Reproduction(
        name="noise-law",
        title="error of compressed sensing with noise follows ‖η‖ √(k/(m − k − 1))",
        source="Cocola (2022), appendix H, experiment 2; Gaussian least squares",
        run=_sensing,
        cost="30 seconds",
    ),
    Reproduction(
        name="denoising-law",
        title="denoising with a two-layer prior leaves the share k/n of the noise energy",
        source="Heckel, Huang, Hand, Voroninski (2021), section 4 and theorem 2",
        run=_denoising,
        cost="60 seconds",
    ),
)
