"""Denoising by a wide two-layer network, stopped early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import ntk, theory
from jaxinv.generators import two_layer
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import smooth_signal, triangle
from jaxinv.reproductions.claims import Claim, at_least, at_most, mean_error
from jaxinv.viz._panels import Panel, draw, named


class DenoisingStudy(NamedTuple):
    """Sizes of the study of the denoising theorem."""

    size: int = 128
    width: int = 10
    num_channels: int = 4096
    num_functions: tuple[int, ...] = (5, 9, 17)  # p
    noise_std: float = 0.5
    num_steps: int = 400


def _denoising(study: DenoisingStudy, settings: Settings) -> Outcome:
    """Compare the network with its linear model, and the least error with the rate p/n.

    Closeness needs a width that grows with the time that the best step takes: for p = 33 of
    n = 128, a signal far from smooth, 4096 channels depart by 17 %.
    """
    count = trials(settings, 8)
    counter = Counter(settings, count * len(study.num_functions))
    curves = {
        p: [_denoise(study, jax.random.fold_in(settings.key, trial), p, counter)
            for trial in range(count)]
        for p in study.num_functions
    }  # fmt: skip
    energy = study.size * study.noise_std**2
    best = {
        p: np.array([curve.measured.min() ** 2 / energy for curve in found])
        for p, found in curves.items()
    }
    claims = []
    for p, found in curves.items():
        worst = [float(curve.worst) for curve in found]
        over = [float(np.max(curve.measured / curve.bound)) for curve in found]
        gain = [float((curve.measured[-1] / curve.measured.min()) ** 2) for curve in found]
        what = f"p = {p}: departure from the linear model, to 3 times the best step"
        claims.append(at_most(what, worst, 0.05, certain=False))
        claims.append(at_most(f"p = {p}: largest error over the bound, all steps", over, 1.0))
        what = f"p = {p}: squared error at the last step over that at the best (oracle)"
        claims.append(at_least(what, gain, 1.0))
    claims.append(_rate(best))
    rows = [row for p, found in curves.items() for row in _denoising_rows(p, found)]
    return Outcome(claims, rows, partial(_draw_denoising, study, curves, best))


def _denoise(study: DenoisingStudy, key: Any, num_functions: int, counter: Counter) -> Any:
    kernel = jnp.asarray(triangle(study.size, study.width), jnp.float32)
    step = 1 / float(jnp.max(ntk.spectrum(kernel))) ** 2
    for_prior, for_signal, for_noise = jax.random.split(key, 3)
    prior = two_layer(kernel, study.num_channels, key=for_prior)
    signal = smooth_signal(for_signal, study.size, num_functions)
    noise = study.noise_std * jax.random.normal(for_noise, (study.size,), signal.dtype)
    curve = theory.check_denoising_curve(prior, signal, noise, step, study.num_steps)
    counter.next(f"p = {num_functions}")
    return jax.tree.map(np.asarray, curve)


def _rate(best: Mapping[int, np.ndarray]) -> Claim:
    """Claim that the least error grows no faster than p; trials share their draws over p."""
    logs = np.log(np.array(list(best.values())))
    slopes = np.polyfit(np.log(list(best)), logs, 1)[0]
    return at_most("exponent of p in the least squared error; O(p/n) allows 1", slopes, 1.0)


def _denoising_rows(num_functions: int, found: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "p": num_functions,
            "step": t,
            **{
                name: float(np.mean([getattr(curve, name)[t] for curve in found]))
                for name in ("measured", "predicted", "bound")
            },
            "standard_error": mean_error([curve.measured[t] for curve in found]),
        }
        for t in range(found[0].measured.size)
    ]


def _draw_denoising(
    study: DenoisingStudy, curves: Mapping[int, Any], best: Mapping[int, np.ndarray], path: Path
) -> str:
    scale = math.sqrt(study.size)
    names = {"measured": "network", "predicted": "linear model", "bound": "bound of the theorem"}
    panels = []
    for p in (min(curves), max(curves)):
        steps = np.arange(study.num_steps + 1) + 1
        lines = {
            text: (steps, np.mean([getattr(curve, name) for curve in curves[p]], axis=0) / scale)
            for name, text in names.items()
        }
        levels = {"noise": study.noise_std}
        panels.append(
            Panel(
                f"p = {p}, mean of {len(curves[p])}",
                "step t + 1",
                "‖G(C_t) − x*‖ / √n",
                named(lines),
                levels=levels,
                xscale="log",
                yscale="log",
            )
        )
    places = np.array(list(best), float)
    lines = {
        "least error (oracle), network": (places, [best[p].mean() for p in best]),
        "p/n": (places, places / study.size),
    }
    ylabel = "share of the noise energy"
    panels.append(Panel("against p", "p", ylabel, named(lines), xscale="log", yscale="log"))
    title = f"denoising by descent, two layers, n = {study.size}, k = {study.num_channels}"
    return draw(path, panels, title=title)


ENTRIES = (
    Reproduction(
        name="untrained-denoising",
        title="the linear model predicts the error of early-stopped denoising at every step",
        source="Heckel, Soltanolkotabi (2020), theorem 2; theorem 7 of Scarlett et al. (2022)",
        run=partial(_denoising, DenoisingStudy()),
        cost="1 minute",
    ),
)
