"""The landscape of random ReLU networks: loss, gradient and ρ_d against their expectations."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import numerics
from jaxinv.generators import relu
from jaxinv.operators import gaussian
from jaxinv.problems import Problem, loss_and_gradient
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import REFUTED, REPRODUCED, Claim, compare_mean, half_width
from jaxinv.sweeps import sweep
from jaxinv.theory import expected_gradient, expected_loss, rho
from jaxinv.viz import plot_means

_LATENT, _WIDTH, _MEASUREMENTS = 3, 500, 500
_DEPTHS = (1, 2, 3)
_WIDTHS = (25, 50, 100, 200)
_TRIALS = 400


def _point(angle: float) -> jax.Array:
    return jnp.array([math.cos(angle), math.sin(angle), 0.0], jnp.float32)


_ANGLE, _RADIUS = 2.0, 0.8  # where the gradient and the loss are looked at


def _draw_problem(key: Any, depth: int) -> Problem:
    network_key, operator_key = jax.random.split(key)
    prior = relu(network_key, (_LATENT,) + (_WIDTH,) * depth)
    operator = gaussian(operator_key, _MEASUREMENTS, _WIDTH)
    return Problem(operator, operator(prior(_point(0.0))), prior)


def _trial(key: Any, *, depth: int) -> dict[str, Any]:
    """Return one draw's gradient and loss at a fixed point, and its minimizer on the ray −x*."""
    problem = _draw_problem(key, depth)
    loss, gradient = loss_and_gradient(problem, _RADIUS * _point(_ANGLE))
    # on the ray −t x* the prediction is t p, so the loss is a parabola in t
    p = problem.predict(-_point(0.0))
    best = numerics.inner(p, problem.y) / numerics.sum_squares(p)
    first, second, third = gradient
    return {"loss": loss, "first": first, "second": second, "third": third, "best": best}


def _results(settings: Settings, published: int) -> Any:
    return sweep(
        _trial,
        {"depth": _DEPTHS},
        key=settings.key,
        num_trials=trials(settings, published),
        block_size=16,
        progress=settings.progress,
    )


def _gradient(settings: Settings) -> Outcome:
    results = _results(settings, _TRIALS)
    x, x_true = _RADIUS * _point(_ANGLE), _point(0.0)
    claims, rows = [], []
    for depth in _DEPTHS:
        law = np.asarray(expected_gradient(x, x_true, depth))
        names = ("first", "second", "third")
        samples = np.stack([results[name].sel(depth=depth).values for name in names], axis=-1)
        mean = samples.mean(0)
        # the 99 % radius of the mean of a vector: chi-squared with three degrees of freedom
        spread = math.sqrt(float(np.sum(samples.var(0, ddof=1))) / len(samples))
        distance, size = float(np.linalg.norm(mean - law)), float(np.linalg.norm(law))
        allowed = 3.368 * spread + 0.05 * size * (depth > 1)
        verdict = REPRODUCED if distance <= allowed else REFUTED
        rule = "within Monte-Carlo error" + (" and 5 % (bias of order 1/width)" * (depth > 1))
        claims.append(
            Claim(
                f"relative distance of the mean gradient to h_x, depth {depth}",
                0.0,
                distance / size,
                max(distance - 3.368 * spread, 0.0) / size,
                (distance + 3.368 * spread) / size,
                verdict,
                rule,
            )
        )
        rows.append(_row(depth, mean @ law / size, spread, size))
    draw = partial(_draw, rows, ylabel="gradient along h_x", law="‖h_x‖", title=_title("gradient"))
    return Outcome(claims, rows, draw)


def _loss(settings: Settings) -> Outcome:
    results = _results(settings, _TRIALS)
    claims, rows = [], []
    for depth in _DEPTHS:
        samples = results["loss"].sel(depth=depth).values
        law = float(expected_loss(_RADIUS * _point(_ANGLE), _point(0.0), depth))
        tolerance = 0.05 if depth > 1 else 0.0
        claims.append(compare_mean(f"mean loss, depth {depth}", samples, law, tolerance=tolerance))
        rows.append(_row(depth, samples.mean(), _error(samples), law))
    draw = partial(_draw, rows, ylabel="loss", law="f_E", title=_title("loss"))
    return Outcome(claims, rows, draw)


def _rho(settings: Settings) -> Outcome:
    results = _results(settings, _TRIALS)
    claims, rows = [], []
    for depth in _DEPTHS:
        samples = results["best"].sel(depth=depth).values
        law = round(rho(depth), 12)
        claims.append(_compare_rho(depth, samples, law))
        rows.append(_row(depth, samples.mean(), _error(samples), law))
    draw = partial(_draw, rows, ylabel="minimizer on the ray −t x*", law="ρ_d", title=_title("ρ_d"))
    return Outcome(claims, rows, draw)


def _width_trial(key: Any, *, width: int) -> dict[str, Any]:
    """Return the spiked loss ¼‖y yᵀ‖² at x = 0, over its expectation for wide networks."""
    signal = relu(key, (_LATENT, width))(_point(0.0))
    law = expected_loss(jnp.zeros(_LATENT), _point(0.0), 1, model="spiked")
    return {"ratio": 0.25 * numerics.sum_squares(signal) ** 2 / law}


def _width(settings: Settings) -> Outcome:
    """Check that the bias of the spiked loss at depth 1 decays like 1/width: it is 5/n."""
    results = sweep(
        _width_trial,
        {"width": _WIDTHS},
        key=settings.key,
        num_trials=trials(settings, 20_000),
        block_size=500,
        progress=settings.progress,
    )
    claims, rows = [], []
    for width in _WIDTHS:
        samples = results["ratio"].sel(width=width).values
        law = 1 + 5 / width
        claims.append(compare_mean(f"loss ratio at width {width}", samples, law, tolerance=0.0))
        rows.append({"width": width, "mean": samples.mean() - 1, "standard_error": _error(samples)})
        rows[-1]["law"] = law - 1
    draw = partial(
        _draw,
        rows,
        axis="width",
        xlabel="width n",
        ylabel="relative bias of the loss",
        law="5/n",
        title="spiked loss at x = 0, one layer: the bias decays like 1/width",
    )
    return Outcome(claims, rows, draw)


def _compare_rho(depth: int, samples: np.ndarray, law: float) -> Claim:
    """Compare with an absolute slack of 0.02: ρ_1 is 0, and ρ_d has a bias of order 1/width."""
    mean, half = float(samples.mean()), half_width(samples)
    verdict = REPRODUCED if abs(mean - law) <= half + 0.02 else REFUTED
    what, rule = f"ρ_{depth}", "99 % interval against the formula within 0.02"
    return Claim(what, law, mean, mean - half, mean + half, verdict, rule)


def _error(samples: np.ndarray) -> float:
    return float(np.std(samples, ddof=1) / math.sqrt(samples.size))


def _row(depth: int, mean: Any, error: float, law: float) -> dict[str, Any]:
    return {"depth": depth, "mean": float(mean), "standard_error": error, "law": law}


def _title(what: str) -> str:
    return f"expected {what}: k = {_LATENT}, widths {_WIDTH}, m = {_MEASUREMENTS}"


def _draw(
    rows: list[dict[str, Any]],
    path: Path,
    *,
    ylabel: str,
    law: str,
    title: str,
    axis: str = "depth",
    xlabel: str = "depth d",
) -> str:
    return plot_means(
        path,
        [row[axis] for row in rows],
        [row["mean"] for row in rows],
        [row["standard_error"] for row in rows],
        curve=[row["law"] for row in rows],
        curve_label=law,
        points={},
        xlabel=xlabel,
        ylabel=ylabel,
        title=title,
    )


_SOURCE = "Hand, Voroninski (2019); Scarlett et al. (2023), section II-D"

ENTRIES = (
    Reproduction(
        "landscape-gradient", "the mean gradient is h_x", _SOURCE, _gradient, "20 seconds"
    ),
    Reproduction("landscape-loss", "the mean loss is f_E", _SOURCE, _loss, "20 seconds"),
    Reproduction(
        "landscape-rho",
        "the spurious critical point lies at −ρ_d x*",
        _SOURCE,
        _rho,
        "20 seconds",
    ),
    Reproduction(
        "landscape-width",
        "the bias of finite networks decays like 1/width",
        "moments of Gaussian networks; Cocola, Hand, Voroninski (2020) for the loss",
        _width,
        "10 seconds",
    ),
)
