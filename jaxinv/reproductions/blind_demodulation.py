"""Blind demodulation with two random networks: recovery over the size of the product."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxinv.metrics import relative_error
from jaxinv.problems import blind_demodulation
from jaxinv.reproductions._models import recovered
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, at_most
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import success_rate, sweep
from jaxinv.viz import plot_success_rates

_EXACT = 1e-5  # relative error of the product


class BlindStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        first, second: widths of the networks but for the last, which is the size.
        sizes: l of the product; recovery is claimed at the last. One compile each.
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    first: tuple[int, ...] = (5, 50)
    second: tuple[int, ...] = (8, 60)
    sizes: tuple[int, ...] = (20, 40, 80, 160)
    num_restarts: int = 8
    num_trials: int = 50


def _trial(
    first: tuple[int, ...], second: tuple[int, ...], solver: Any, key: Any, *, size: int
) -> dict[str, Any]:
    """Return the relative error of the product of size l."""
    family = blind_demodulation((*first, size), (*second, size))
    problem, solution = recovered(family, solver, key, max_steps=300)
    return {
        "error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def _blind(study: BlindStudy, settings: Settings) -> Outcome:
    solver = levenberg_marquardt(num_restarts=study.num_restarts)
    found = sweep(
        jax.tree_util.Partial(partial(_trial, study.first, study.second), solver),
        {"size": study.sizes},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        progress=settings.progress,
    )
    success = found["error"] < _EXACT
    rates = success_rate(success)
    rows = [
        {
            "l": size,
            **{name: float(rates[name].sel(size=size)) for name in ("rate", "low", "high")},
            "median_error": float(found["error"].sel(size=size).median()),
            "median_steps": float(found["num_steps"].sel(size=size).median()),
        }
        for size in study.sizes
    ]
    last = study.sizes[-1]
    errors = found["error"].sel(size=last)
    claims = [
        at_least(f"share recovered to {_EXACT:g} at l = {last}", success.sel(size=last), 1.0,
                 certain=False),
        at_most(f"median relative error at l = {last}", float(errors.median()), _EXACT),
    ]  # fmt: skip
    title = f"blind demodulation, {study.first} and {study.second}, then l"
    return Outcome(claims, rows, partial(_draw, rates, title))


def _draw(rates: Any, title: str, path: Path) -> str:
    curves = {"Levenberg-Marquardt": rates}
    return plot_success_rates(path, curves, label="size l of the product", title=title)


ENTRIES = (
    Reproduction(
        name="blind-demodulation",
        title="the product of two networks' signals is recovered, and both factors with it",
        source="Hand, Joshi (2019), theorem 1; target of this library",
        run=partial(_blind, BlindStudy()),
        cost="15 seconds",
    ),
)
