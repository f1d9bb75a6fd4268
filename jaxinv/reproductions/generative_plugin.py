"""PLUGIn: how wide a network has to be for it, and what noise costs."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from jaxinv import metrics
from jaxinv.problems import generative
from jaxinv.reproductions._decoders import panel_of_errors, row_of_rate
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import (
    at_least,
    at_most,
    compare_exponent,
    compare_mean,
    compare_ratio,
    one_draw,
)
from jaxinv.solvers import levenberg_marquardt, plugin, solve
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import Map, Panel, draw

_STEP = 3 / 8  # the published 3 of three layers, weights N(0, 1/n), in He scaling
_SUCCESS = 1e-4  # the published 1e-5 is in double precision
_INSIDE, _OUTSIDE = 20, 10  # n_3 / n_0: the published boundary, and half of it
_NAMES = ("PLUGIn", "Levenberg-Marquardt")
# gradient descent on the latent, at .0526 and .105 for signals of norm 2^{-3/2}
_PUBLISHED = {0.149: 0.029, 0.297: 0.041}


class PluginStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        latents: n_0.
        sizes: n_1 = n_2 = n_3.
        noisy: the network of the noise curve.
        levels: ‖ε‖ over the norm of the signal.
        num_trials: trials a cell.
    """

    latents: tuple[int, ...] = (1, 2, 5, 10, 15, 19)
    sizes: tuple[int, ...] = (21, 61, 101, 161, 221, 321, 441)
    noisy: tuple[int, ...] = (20, 600, 500, 500)
    levels: tuple[float, ...] = (0.05, 0.149, 0.297, 0.6, 1.0)
    num_trials: int = 20


def _clean(latents: Any, key: Any, *, k: Any, n: int) -> dict[str, Any]:
    """Return the relative error for a network (k, n, n, n)."""
    family = generative((latents.size, n, n, n), active_latent=k)
    problem = family.sample(key)
    solution = solve(plugin(_STEP), problem, family.initial(key), max_steps=5000)
    return {"error": metrics.relative_error(solution.x, problem.truth.x)}


def _noisy(family: Any, key: Any, *, level: Any) -> dict[str, Any]:
    """Return the relative errors of the latent."""
    problem = family.sample(key)
    problem = problem._replace(y=problem.truth.x + level * problem.truth.noise)
    start = family.initial(key)
    found = {
        "PLUGIn": solve(plugin(_STEP), problem, start, max_steps=2000),
        "Levenberg-Marquardt": solve(levenberg_marquardt(), problem, start, max_steps=100),
    }
    return {name: metrics.relative_error(s.u, problem.truth.u) for name, s in found.items()}


def _plugin(study: PluginStudy, settings: Settings) -> Outcome:
    shared: dict[str, Any] = {
        "key": settings.key,
        "num_trials": trials(settings, study.num_trials),
        "progress": settings.progress,
    }
    most = np.zeros(max(study.latents))
    clean = sweep(
        jax.tree_util.Partial(_clean, most),
        {"k": study.latents, "n": study.sizes},
        traced=("k",),
        **shared,
    )
    success = clean["error"] < _SUCCESS
    noise = sweep(
        jax.tree_util.Partial(_noisy, generative(study.noisy, noise_norm=1.0)),
        {"level": study.levels},
        traced=("level",),
        **shared,
    )
    rows = [
        row_of_rate(success.sel(k=k, n=n), k=k, n=n) for k in study.latents for n in study.sizes
    ]
    curve = [
        row_of_mean(noise[name].sel(level=level), level=level, decoder=name)
        for name in _NAMES
        for level in study.levels
    ]
    claims = [*_boundary(study, success), *_noise(study, noise)]
    return Outcome(claims, rows, partial(_draw, study, success, curve))


def _boundary(study: PluginStudy, success: xr.DataArray) -> list[Any]:
    """Compare both sides of n_3 = 20 n_0."""
    cells = [(k, n) for k in study.latents for n in study.sizes]
    inside = [success.sel(k=k, n=n).values for k, n in cells if n >= _INSIDE * k]
    outside = [success.sel(k=k, n=n).values for k, n in cells if n <= _OUTSIDE * k]
    what = "success where n_3 {} n_0".format
    return [
        at_least(what(f">= {_INSIDE}"), np.ravel(inside), 0.9),
        at_most(what(f"<= {_OUTSIDE}"), np.ravel(outside), 0.5),
    ]


def _noise(study: PluginStudy, noise: xr.Dataset) -> list[Any]:
    """Compare the errors with the law of least squares, with the published ones, and each other."""
    ours, direct = (noise[name] for name in _NAMES)
    small = min(study.levels)
    law = small * math.sqrt(study.noisy[0] / study.noisy[-1])
    samples = direct.sel(level=small).values
    what = f"latent error of {_NAMES[1]} at noise {small:g}: ‖ε‖ √(n_0/n_3)"
    claims = [compare_mean(what, samples, law, tolerance=0.05)]
    for level, error in _PUBLISHED.items():
        if level in study.levels:
            what = f"latent error of descent at noise {level:g}: published run"
            claims.append(one_draw(what, direct.sel(level=level).values, error))
    levels = ours.transpose("level", ...).values
    what = "exponent of the noise in the error of PLUGIn"
    claims.append(compare_exponent(what, study.levels, levels, 1.0))
    what = f"latent error of {_NAMES[1]} over that of PLUGIn, all levels"
    claims.append(compare_ratio(what, direct.values.ravel(), ours.values.ravel()))
    return claims


def _draw(study: PluginStudy, success: Any, curve: list[dict[str, Any]], path: Path) -> str:
    rates = success.mean("trial").transpose("n", "k").values
    boundary = Map(study.latents, study.sizes, rates, "success rate", 0.5)
    title = "PLUGIn, (n_0, n, n, n)"
    panels = [
        Panel(title, "n_0", "n_1 = n_2 = n_3", map=boundary),
        panel_of_errors(f"{study.noisy}", "noise over signal", curve, "level", xscale="log"),
    ]
    return draw(path, panels)


ENTRIES = (
    Reproduction(
        name="generative-plugin",
        title="PLUGIn inverts networks of n_3 >= 20 n_0, with an error in proportion to the noise",
        source="Joshi, Li, Plan, Yilmaz (2021), figures of section 4",
        run=partial(_plugin, PluginStudy()),
        cost="10 seconds",
    ),
)
