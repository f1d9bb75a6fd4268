"""Theory of untrained networks: trigonometric modes, their weights, and the denoising curve."""

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
from jaxinv.reproductions._registry import Claim, Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import (
    at_least,
    at_most,
    equals,
    gaussian_kernel,
    mean_error,
    smooth_signal,
    triangle,
)
from jaxinv.viz._untrained import Curves, Picture, plot_row

_SHOWN = (0, 1, 5, 20)  # the 1st, 2nd, 6th and 21st function of the figure
_WELL = 0.9  # energy from which on "well approximated" counts as reproduced
_PRINTED = {  # largest and smallest λ/3 that the published notebook prints, n = 300
    "triangle, p = 1": (0.166666, 0.166666),
    "triangle, p = 10": (1.957451, 0.0048700),
    "Gaussian, s = 0.01": (0.982988, 0.0091485),
}
_TAIL = (20, 100)  # frequencies of the straight line, beyond the main lobe


class BasisStudy(NamedTuple):
    """Sizes of the study of singular vectors: outputs, kernel width, channels, functions."""

    size: int = 300
    width: int = 10
    num_channels: int = 4096
    num_functions: int = 21


class DenoisingStudy(NamedTuple):
    """Sizes of the study of the denoising theorem."""

    size: int = 128
    width: int = 10
    num_channels: int = 4096
    num_functions: tuple[int, ...] = (5, 9, 17)  # p
    noise_std: float = 0.5
    num_steps: int = 400


# ------------------------------------------------------------------------- trigonometric functions


def _basis(study: BasisStudy, settings: Settings) -> Outcome:
    n, p = study.size, study.num_functions
    basis = np.asarray(ntk.trigonometric_basis(n), float)
    departure = float(np.max(np.abs(basis.T @ basis - np.eye(n))))
    claims = [at_most("largest entry of |WᵀW − I|", departure, 1e-5)]
    shown = [index for index in _SHOWN if index < n // 2]
    for index in shown:
        turns = _sign_changes(basis[:, index])
        claims.append(equals(f"sign changes of w_{index}", turns, 2 * index, 0))
    energies, vectors = [], None
    keys = jax.random.split(settings.key, trials(settings, 5))
    counter = Counter(settings, len(keys))
    low = basis[:, ntk.frequency_order(n)[:p]]
    kernel = jnp.asarray(triangle(n, study.width), jnp.float32)
    for key in keys:
        matrix = ntk.empirical_kernel(two_layer(kernel, study.num_channels, key=key))
        vectors = np.linalg.eigh(np.asarray(matrix, float))[1][:, ::-1][:, :p]
        energies.append(float(np.mean(np.sum((low.T @ vectors) ** 2, axis=0))))
        counter.next("two-layer")
    what = f"energy of the {p} leading singular vectors of J in the {p} smoothest functions"
    claims.append(at_least(what, energies, _WELL))
    names = [f"w_{index}" for index in shown]
    rows = [
        {"entry": j} | {name: basis[j, i] for name, i in zip(names, shown, strict=True)}
        for j in range(n)
    ]
    return Outcome(claims, rows, partial(_draw_basis, basis, shown, vectors))


def _sign_changes(values: np.ndarray) -> int:
    """Return how often a periodic sequence changes its sign; zeros have the sign before them."""
    signs = np.sign(np.where(np.abs(values) < 1e-9, 0, values))
    signs = signs[signs != 0]
    return int(np.sum(signs != np.roll(signs, 1)))


def _draw_basis(basis: np.ndarray, shown: list[int], vectors: Any, path: Path) -> str:
    """Draw the functions, and where in frequency the energy of each singular vector lies."""
    n, places = len(basis), np.arange(len(basis))
    panels: list[Any] = [
        Curves(f"function {i + 1}", "entry j", "[w]_j", {f"w_{i}": (places, basis[:, i])})
        for i in shown
    ]
    energy = (basis.T @ vectors) ** 2
    frequency = np.minimum(places, n - places)
    num_shown = vectors.shape[1] // 2 + 3
    by_frequency = np.stack([energy[frequency == f].sum(axis=0) for f in range(num_shown)])
    text = f"frequency 0 to {num_shown - 1} (down) of\nsingular vector 1 to {vectors.shape[1]}"
    panels.append(Picture(f"{text}: energy, black is 1", 1 - by_frequency))
    title = f"trigonometric functions and singular vectors of a two-layer network, n = {n}"
    return plot_row(path, panels, title=title, num_columns=5)


# ------------------------------------------------------------------------------ singular values


def _kernels(size: int) -> dict[str, np.ndarray]:
    return {f"triangle, p = {p}": triangle(size, p) for p in (1, 10, 30)} | {
        f"Gaussian, s = {s:g}": gaussian_kernel(size, s) for s in (0.005, 0.01, 0.05)
    }


def _values(size: int) -> dict[str, np.ndarray]:
    """Return σ at frequencies 0 to size / 2 of every kernel."""
    return {
        name: np.asarray(ntk.spectrum(jnp.asarray(taps, jnp.float32)), float)[: size // 2 + 1]
        for name, taps in _kernels(size).items()
    }


def _spectrum(settings: Settings) -> Outcome:
    del settings  # nothing is random
    values = _values(300)
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
        straight, _ = _misfits(values[f"triangle, p = {width}"])
        what = f"R² of a line in log-log, frequencies {_TAIL[0]} to {_TAIL[1]}, p = {width}"
        claims.append(at_least(what, 1 - straight, 0.95))
    rows = [
        {"frequency": f} | {name: float(s[f]) for name, s in values.items()} for f in range(151)
    ]
    return Outcome(claims, rows, partial(_draw_spectrum, values))


def _misfits(sigma: np.ndarray) -> tuple[float, float]:
    """Return 1 − R² of log σ over log f (a power law) and over f (geometric decay)."""
    frequency = np.arange(_TAIL[0], _TAIL[1] + 1, dtype=float)
    logs = np.log(sigma[_TAIL[0] : _TAIL[1] + 1])
    found = []
    for places in (np.log(frequency), frequency):
        line = np.polynomial.Polynomial.fit(places, logs, 1)
        found.append(float(np.var(logs - line(places)) / np.var(logs)))
    return found[0], found[1]


def power_law_claims() -> list[Claim]:
    """Compare the decay of σ with the geometric one of the text; the plot itself is log-log."""
    claims = []
    for width in (10, 30):
        straight, geometric = _misfits(_values(300)[f"triangle, p = {width}"])
        what = f"misfit of geometric decay over that of a power law, triangle, p = {width}"
        claims.append(at_most(what, geometric / straight, 1.0))
    return claims


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
                Curves(title, "frequency", "σ", lines, xscale=scale, yscale="log"),
            )
    return plot_row(path, panels, title="weights of the trigonometric functions, n = 300")


# ------------------------------------------------------------------------------------- denoising


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
            Curves(
                f"p = {p}, mean of {len(curves[p])}",
                "step t + 1",
                "‖G(C_t) − x*‖ / √n",
                lines,
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
    panels.append(Curves("against p", "p", ylabel, lines, xscale="log", yscale="log"))
    title = f"denoising by descent, two layers, n = {study.size}, k = {study.num_channels}"
    return plot_row(path, panels, title=title)


_PAPER = "Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks"

ENTRIES = (
    Reproduction(
        name="untrained-basis",
        title="singular vectors of a wide two-layer network are trigonometric functions",
        source=f"{_PAPER}, figure 2 and equation 10",
        run=partial(_basis, BasisStudy()),
        cost="10 seconds",
    ),
    Reproduction(
        name="untrained-spectrum",
        title="wider kernels weigh low frequencies more; the weights fall along a log-log line",
        source=f"{_PAPER}, figure 3 and equation 11; numbers of its published notebook",
        run=_spectrum,
        cost="5 seconds",
    ),
    Reproduction(
        name="untrained-denoising",
        title="the linear model predicts the error of early-stopped denoising at every step",
        source="Heckel, Soltanolkotabi (2020), theorem 2; theorem 7 of Scarlett et al. (2022)",
        run=partial(_denoising, DenoisingStudy()),
        cost="1 minute",
    ),
)
