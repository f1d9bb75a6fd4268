"""Landscape, rate and noise of subgradient descent with random networks, as theorems have them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.problems import generative
from jaxinv.reproductions._models import draw_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, at_most, compare_mean, holds
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import sweep
from jaxinv.theory import check_descent, check_landscape, noise_gain

_WIDE, _MANY = (3, 400, 1600), 1000
_LATENT, _HIDDEN, _SIGNAL, _NUM_MEASUREMENTS, _NOISE = 5, 200, 400, 150, 1e-3
_DEPTHS = (1, 2, 3, 4, 6)
_STEP = 0.25  # 1/d² for two layers
_SHOWN = 40  # draws in the figure


def _landscape(key: jax.Array, *, depth: int) -> dict[str, Any]:
    family = generative((_WIDE[0], *_WIDE[1:]), _MANY)
    problem = family.sample(key)
    found = check_landscape(problem, jax.random.fold_in(key, 1))
    descent = check_descent(problem, family.initial(key), _STEP, num_steps=100)
    return {
        "descends": found.descends,
        "slope": found.measured / found.predicted,
        "at_zero": found.slope_at_zero - found.bound,
        "spurious": found.spurious_loss,
        "rate": descent.rate,
        "entered": descent.entered,
        "last": descent.measured[-1],
    }


def _theorem(settings: Settings) -> Outcome:
    found = sweep(
        jax.tree_util.Partial(_landscape),
        {"depth": (2,)},
        key=settings.key,
        num_trials=trials(settings, 1000),
        progress=settings.progress,
    ).sel(depth=2)
    values = {name: found[name].values for name in found.data_vars}
    least = float(values["slope"].min())
    zero = float(values["at_zero"].max())
    late, last = float(values["entered"].max()), float(values["last"].max())
    rate = 1 - 0.875 * _STEP
    claims = [
        at_least("share of points that descend along −h", values["descends"], 0.999),
        holds("least slope over its expectation", 0.0, least, least > 0, "above 0 in every draw"),
        holds("slope at 0 less −‖z*‖/(8π)", 0.0, zero, zero < 0, "below in every draw"),
        compare_mean("f(−ρ z*) over its expectation", values["spurious"], 1.0, tolerance=0.05),
        holds("steps to a fifth of ‖x*‖", 100.0, late, late < 100, "reached in every draw"),
        holds("distance after 100 steps", 1e-5, last, last < 1e-5, "at most, in every draw"),
        at_most("factor per step, on average: C = 1 − 7/8 α", values["rate"], rate),
    ]
    rows = [row_of_mean(values["rate"][i], draw=i, law=rate) for i in range(len(found.trial))]
    draw = partial(
        draw_means,
        rows[:_SHOWN],
        axis="draw",
        law="C = 1 − 7/8 α",
        xlabel="draw",
        ylabel="factor of the distance per step",
        title=f"subgradient descent near the solution, {_WIDE}, m = {_MANY}",
    )
    return Outcome(claims, rows, draw)


def _noise(key: jax.Array, *, depth: int) -> dict[str, Any]:
    """Return the error of the signal and of the latent over ‖η‖ √(k/m)."""
    widths = (_LATENT, *[_HIDDEN] * (depth - 1), _SIGNAL)
    family = generative(widths, _NUM_MEASUREMENTS, noise_norm=_NOISE)
    problem = family.sample(key)
    starts = family.initial(key, num_restarts=4)

    def one(u0: jax.Array) -> tuple[jax.Array, ...]:
        found = solve(levenberg_marquardt(), problem, u0, tol=1e-6, max_steps=100)
        return problem.loss(found.u), found.x, found.u

    losses, x, u = jax.lax.map(one, starts)
    best = jnp.argmin(losses)
    unit = _NOISE * math.sqrt(_LATENT / _NUM_MEASUREMENTS)
    latent = numerics.safe_norm(u[best] - problem.truth.u)
    signal = numerics.safe_norm(x[best] - problem.truth.x)
    return {"signal": signal / unit, "latent": latent / unit}


def _gain(settings: Settings) -> Outcome:
    found = sweep(
        jax.tree_util.Partial(_noise),
        {"depth": _DEPTHS},
        key=settings.key,
        num_trials=trials(settings, 60),
        progress=settings.progress,
    )
    claims, rows = [], []
    law = math.sqrt(_NUM_MEASUREMENTS / (_NUM_MEASUREMENTS - _LATENT - 1))
    for depth in _DEPTHS:
        samples = found["signal"].sel(depth=depth).values
        what = f"signal error over ‖η‖ √(k/m), depth {depth}"
        claims.append(compare_mean(what, samples, 1.0, tolerance=0.1))
        widths = (_LATENT, *[_HIDDEN] * (depth - 1), _SIGNAL)
        unit = math.sqrt(_LATENT / _NUM_MEASUREMENTS)
        bound = 1.2 * noise_gain(widths, _NUM_MEASUREMENTS) / unit
        printed = bound / 2 ** (depth / 2)
        what = f"largest of them, at most 1.2 ω of scale 2, depth {depth}"
        largest = float(samples.max())
        claims.append(holds(what, bound, largest, largest <= bound, "at most this"))
        rows.append(row_of_mean(samples, depth=depth, law=law, bound=bound, printed=printed))
    draw = partial(
        draw_means,
        rows,
        axis="depth",
        law="√(m/(m − k − 1))",
        xlabel="depth d",
        ylabel="signal error / (‖η‖ √(k/m))",
        title="the noise that stays in the signal does not depend on depth",
    )
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        name="descent-guarantee",
        title="wide random networks have the promised landscape, and descent its rate",
        source="Huang, Hand, Heckel, Voroninski (2021); Theorems 5, 6 of Scarlett et al. (2022)",
        run=_theorem,
        cost="2 minutes",
    ),
    Reproduction(
        name="noise-gain",
        title="noise leaves the share √(k/m) in the signal at every depth",
        source="Cocola (2022), Theorem 5.4, with the factor 2^{d/2} that its ω lacks",
        run=_gain,
        cost="40 seconds",
    ),
)
