"""Cocola (2022), figure 1: recovery with two- and three-layer priors, expansive or not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_rates
from jaxinv.reproductions.presets import PRESETS, Preset
from jaxinv.sweeps import quartiles, success_rate, sweep
from jaxinv.viz import plot_success_rates

_CLAIMED_TWO = (40, 100, 135, 150)
_CLAIMED_THREE = (20, 40, 50, 60)


def _run(preset_name: str, solver: str, values: tuple[int, ...], settings: Settings) -> Outcome:
    preset = PRESETS[preset_name]
    results = sweep(
        preset.trial(solver),
        {preset.axis: list(values)},
        key=settings.key,
        num_trials=trials(settings, preset.num_trials),
        traced=(preset.axis,),
        progress=settings.progress,
    )
    success = results["error"] < preset.success
    rates = success_rate(success)
    claims = [
        compare_rates(
            f"success rate at k = {value}",
            success.sel({preset.axis: value}).values,
            preset.published[value],
            preset.published_trials,
        )
        for value in values
        if value in preset.published
    ]
    steps = quartiles(results["num_steps"])
    rows = [
        {
            "k": value,
            "success": float(rates["rate"].sel({preset.axis: value})),
            "low": float(rates["low"].sel({preset.axis: value})),
            "high": float(rates["high"].sel({preset.axis: value})),
            "published": preset.published.get(value, ""),
            "median_steps": float(steps["median"].sel({preset.axis: value})),
        }
        for value in values
    ]
    return Outcome(claims, rows, partial(_draw, preset, solver, rates))


def _draw(preset: Preset, solver: str, rates: Any, path: Path) -> str:
    return plot_success_rates(
        path,
        {solver: rates},
        label=preset.label,
        title=preset.title,
        published=preset.published,
        published_label="published: Cocola (2022)",
    )


def _entry(preset_name: str, solver: str, values: tuple[int, ...], cost: str) -> Reproduction:
    preset = PRESETS[preset_name]
    how = "the published step" if solver == "subgradient" else "Levenberg-Marquardt"
    return Reproduction(
        name=f"{preset_name}-{solver}",
        title=f"{preset.title}: {how}",
        source=preset.source,
        run=partial(_run, preset_name, solver, values),
        cost=cost,
    )


_TWO = tuple(PRESETS["nonexpansive-2layer"].values)
_THREE = tuple(PRESETS["nonexpansive-3layer"].values)

ENTRIES = (
    _entry("nonexpansive-2layer", "subgradient", _CLAIMED_TWO, "1 minute"),
    _entry("nonexpansive-3layer", "subgradient", _CLAIMED_THREE, "1 minute"),
    _entry("nonexpansive-2layer", "levenberg-marquardt", _TWO, "30 seconds"),
    _entry("nonexpansive-3layer", "levenberg-marquardt", _THREE, "30 seconds"),
)
