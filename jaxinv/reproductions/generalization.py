"""How the generalization gap of a learned dictionary network scales: samples, layers, size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv._core import replace
from jaxinv.reproductions._generalization import Cell, gap_trial
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import REFUTED, REPRODUCED, Claim
from jaxinv.sweeps import sweep
from jaxinv.theory import generalization_bound
from jaxinv.viz._panels import PUBLISHED, Line, Panel, draw

_SEEDS = 10
_SAMPLES = (32, 64, 128, 256, 512, 1024)
_LAYERS = (1, 2, 4, 8, 16, 32)
_CONVERGED = 8  # layers from which the untrained iteration has settled
_SIZES = (16, 24, 32, 48)
_SLACK = 0.1  # on an exponent, for sizes that are not yet large
_QUANTITIES = {"gap": "gap after training", "discrepancy": "discrepancy of the class"}


def _samples(settings: Settings) -> Outcome:
    """The class has discrepancy m^(-1/2); the gap of the network that is trained falls faster."""
    cell = Cell(num_samples=max(_SAMPLES))
    found = _sweep(cell, "num_samples", _SAMPLES, settings, traced=True)
    values, bound = np.asarray(_SAMPLES), _bounds(found, cell, "num_samples", _SAMPLES)
    claims = [
        _equal("exponent of m in the discrepancy of the class", found.discrepancy, values, -0.5),
        _at_most("exponent of m in the gap after training", found.gap, values, -0.5),
    ]
    title = f"N = {cell.signal_size}, n = {cell.signal_size // 2}, L = {cell.num_layers}"
    return _outcome(claims, found, values, bound, "training samples m", title)


def _layers(settings: Settings) -> Outcome:
    """Layers beyond those that the iteration needs to converge cost next to nothing."""
    cell = Cell(num_samples=128, num_layers=max(_LAYERS))
    found = _sweep(cell, "num_layers", _LAYERS, settings, traced=True)
    values, bound = np.asarray(_LAYERS), _bounds(found, cell, "num_layers", _LAYERS)
    late = values >= _CONVERGED
    published = float(np.polyfit(np.log(values[late]), np.log(bound[late]), 1)[0])
    claims = [
        _at_most(f"exponent of L in the {name}, L >= {_CONVERGED}", error, values, published, late)
        for name, error in ((_QUANTITIES[q], found[q]) for q in _QUANTITIES)
    ]
    title = f"N = {cell.signal_size}, n = {cell.signal_size // 2}, m = {cell.num_samples}"
    return _outcome(claims, found, values, bound, "layers L", title)


def _size(settings: Settings) -> Outcome:
    """At n/N fixed the bound is linear in the size."""
    cell = Cell(num_samples=512)
    found = _sweep(cell, "signal_size", _SIZES, settings, traced=False)
    values, bound = np.asarray(_SIZES), _bounds(found, cell, "signal_size", _SIZES)
    claims = [
        _at_most(f"exponent of N in the {name}", error, values, 1.0)
        for name, error in ((_QUANTITIES[q], found[q]) for q in _QUANTITIES)
    ]
    title = f"n = N / 2, L = {cell.num_layers}, m = {cell.num_samples}"
    return _outcome(claims, found, values, bound, "signal size N", title)


def _sweep(cell: Cell, axis: str, values: Any, settings: Settings, *, traced: bool) -> Any:
    num_trials = trials(settings, _SEEDS)
    return sweep(
        jax.tree_util.Partial(gap_trial, cell),
        {axis: values},
        key=settings.key,
        num_trials=num_trials,
        traced=(axis,) if traced else (),
        block_size=min(num_trials, _SEEDS),
        progress=settings.progress,
    ).rename({axis: "value"})


def _bounds(found: Any, cell: Cell, axis: str, values: Any) -> np.ndarray:
    """Return the bound at each value, with the mean norms that were drawn."""
    rows = []
    for value in values:
        sizes = replace(cell, **{axis: value})
        norms = found.sel(value=value).mean("trial")
        bound = generalization_bound(
            sizes.num_samples,
            sizes.signal_size // 2,
            sizes.signal_size,
            sizes.num_layers,
            operator_norm=float(norms.operator_norm),
            measurement_norm=float(norms.measurement_norm),
        )
        rows.append(float(bound.total))
    return np.asarray(rows)


def _exponent(error: Any, values: np.ndarray, keep: Any = None) -> tuple[float, float]:
    """Return the exponent of the mean over trials, and half of its 99 % interval."""
    samples = np.asarray(error.transpose("value", "trial").values, np.float64)
    if keep is not None:
        samples, values = samples[keep], values[keep]
    means = samples.mean(axis=1)
    log_values = np.log(values) - np.mean(np.log(values))
    weights = log_values / np.sum(log_values**2)
    if np.any(means <= 0):
        return float("nan"), float("nan")
    deviations = samples.std(axis=1, ddof=1) / means / np.sqrt(samples.shape[1])
    half = 2.576 * float(np.sqrt(np.sum((weights * deviations) ** 2)))
    return float(weights @ np.log(means)), half


def _equal(what: str, error: Any, values: np.ndarray, published: float) -> Claim:
    slope, half = _exponent(error, values)
    verdict = REPRODUCED if abs(slope - published) <= half + _SLACK else REFUTED
    rule = f"99 % interval against {published:g} within {_SLACK:g}"
    return Claim(what, published, slope, slope - half, slope + half, verdict, rule)


def _at_most(
    what: str, error: Any, values: np.ndarray, published: float, keep: Any = None
) -> Claim:
    slope, half = _exponent(error, values, keep)
    verdict = REPRODUCED if slope - half <= published + _SLACK else REFUTED
    rule = f"an upper bound: 99 % interval not above {published:.3g} by {_SLACK:g}"
    return Claim(what, published, slope, slope - half, slope + half, verdict, rule)


def _outcome(
    claims: list[Claim], found: Any, values: np.ndarray, bound: np.ndarray, label: str, title: str
) -> Outcome:
    rows = []
    for index, value in enumerate(values):
        row: dict[str, Any] = {"value": int(value), "bound": float(bound[index])}
        for name in ("train_loss", "test_loss", *_QUANTITIES):
            samples = found[name].sel(value=value).values
            row[name] = float(samples.mean())
            row["seeds"] = samples.size
            row[f"{name}_standard_error"] = float(samples.std(ddof=1) / np.sqrt(samples.size))
        rows.append(row)
    draw: Callable[[Path], Any] = partial(_draw, rows, label=label, title=title)
    return Outcome(claims, rows, draw)


def _draw(rows: list[dict[str, Any]], path: Path, *, label: str, title: str) -> str:
    values = [row["value"] for row in rows]
    bound = np.asarray([row["bound"] for row in rows])
    scale = rows[-1]["discrepancy"] / bound[-1]
    lines = [Line(values, scale * bound, f"bound × {scale:.1e}", PUBLISHED, "--")]
    for key, name in _QUANTITIES.items():
        bars = [2 * row[f"{key}_standard_error"] for row in rows]
        lines.append(Line(values, [row[key] for row in rows], name, marker="o", errors=bars))
    title = f"orthogonal dictionary network, {title}, {rows[0]['seeds']} seeds"
    panel = Panel(
        title, label, "gap, discrepancy", lines, xscale="log", yscale="log", xticks=values
    )
    return draw(path, [panel], size=(6.0, 4.2))


_SOURCE = "Behboodi, Rauhut, Schnoor (2022), theorem 2"

ENTRIES = (
    Reproduction(
        name="generalization-samples",
        title="the generalization gap falls like 1/√m at worst with the number of samples",
        source=_SOURCE,
        run=_samples,
        cost="60 seconds",
    ),
    Reproduction(
        name="generalization-layers",
        title="the generalization gap grows at most like a logarithm with the number of layers",
        source=_SOURCE,
        run=_layers,
        cost="60 seconds",
    ),
    Reproduction(
        name="generalization-size",
        title="the generalization gap grows at most linearly with the size",
        source=_SOURCE,
        run=_size,
        cost="60 seconds",
    ),
)
