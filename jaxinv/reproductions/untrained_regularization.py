"""Learned regularization: what it gains, by the number of measurements and the noise."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators, untrained
from jaxinv.generators import dcgan
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import published_descent
from jaxinv.reproductions.claims import at_least, mean_error
from jaxinv.viz._panels import Panel, draw, named, published

_PUBLISHED_SIZE = 256**2
_PUBLISHED = {  # % of the squared error that learned regularization takes away, by σ² and m
    0: {500: 9.9, 1000: 2.9, 2000: 0.2, 4000: 2.0, 8000: 0.6},
    10: {500: 11.6, 1000: 4.6, 2000: 4.5, 4000: 2.4, 8000: 1.0},
    100: {500: 14.9, 1000: 19.2, 2000: 5.0, 4000: 3.9, 8000: 2.8},
    1000: {500: 37.4, 1000: 30.6, 2000: 19.8, 4000: 3.0, 8000: 6.2},
}
_SMOOTHING, _WEIGHT = 0.05, 100.0  # published for x-rays
_NUM_SAMPLES = 64  # weights of each tensor, in the published code


class TableStudy(NamedTuple):
    """Size of the study; measurements and noise keep their ratio to the number of pixels.

    Attributes:
        size: side of the images.
        sheet: side that the retina is shrunk to before it is cut into images.
        num_learning: images whose measurements the weights' statistics are learned from.
        num_test: other images.
        num_steps: of every fit.
        measurements, variances: columns and rows of the published table.
    """

    size: int = 64
    sheet: int = 384
    num_learning: int = 6
    num_test: int = 4
    num_steps: int = 500
    measurements: tuple[int, ...] = (500, 1000, 2000, 4000, 8000)
    variances: tuple[int, ...] = (0, 10, 100, 1000)


def retina_parts(size: int, sheet: int, count: int) -> np.ndarray:
    """Return gray squares of the retina in [-1, 1], the brightest ones, in random order."""
    x = data.image("retina", size=(sheet, sheet), gray=True)
    side = sheet // size
    parts = x[: side * size, : side * size].reshape(side, size, side, size).swapaxes(1, 2)
    parts = parts.reshape(-1, size, size)
    bright = np.argsort(-parts.mean(axis=(1, 2)), kind="stable")[:count]
    return 2 * parts[np.random.default_rng(0).permutation(bright)] - 1


def _table(study: TableStudy, settings: Settings) -> Outcome:
    num_test = trials(settings, study.num_test)
    parts = retina_parts(study.size, study.sheet, study.num_learning + num_test)
    learning, test = parts[: study.num_learning], jnp.asarray(parts[study.num_learning :])
    counter = Counter(settings, len(study.measurements) * (1 + len(study.variances)))
    drops: dict[tuple[int, int], np.ndarray] = {}
    rows = []
    for m in study.measurements:
        keys = jax.random.split(jax.random.fold_in(settings.key, m), 4)
        count = max(round(m * study.size**2 / _PUBLISHED_SIZE), 2)
        operator = operators.gaussian(keys[0], count, test.shape[1:])
        regularizer = _learned(study, keys[1], operator, learning)
        counter.next(f"m = {m}, statistics")
        for variance in study.variances:
            noise_std = math.sqrt(variance * study.size**2 / _PUBLISHED_SIZE / count)
            noise = noise_std * jax.random.normal(keys[2], (num_test, count))
            y = jax.vmap(operator)(test) + noise
            errors = [
                _errors(study, keys[3], operator, y, test, each) for each in (None, regularizer)
            ]
            drops[variance, m] = 100 * (1 - errors[1] / errors[0])
            rows.append(_row(variance, m, errors, drops[variance, m]))
            counter.next(f"m = {m}, σ² = {variance}")
    return Outcome(_claims(study, drops), rows, partial(_draw, study, drops))


def _options(study: TableStudy) -> dict[str, Any]:
    """Return the published descent; weights of a sum of squares are halved."""
    return {
        "optimizer": published_descent(),
        "num_steps": study.num_steps,
        "stop": None,
        "penalty": untrained.total_variation(_SMOOTHING / 2),
        "average": 0.95,
        "tol": 0.0,
    }


def _learned(study: TableStudy, key: Any, operator: Any, images: np.ndarray) -> Any:
    """Learn from measurements of other images, as the published code reads its weights.

    Its weight is for 256 x 256 pixels; the misfit grows with them, the penalty does not.
    """
    y = jax.vmap(operator)(jnp.asarray(images))
    weight = _WEIGHT / 2 * study.size**2 / _PUBLISHED_SIZE
    prior = dcgan("xray", images.shape[1:])
    return untrained.learned_regularizer(
        key, prior, Problem(operator, y), axes=Problem(None, 0), weight=weight,
        reading="released", num_samples=_NUM_SAMPLES, **_options(study),
    )  # fmt: skip


def _errors(
    study: TableStudy, key: Any, operator: Any, y: Any, x: Any, regularizer: Any
) -> np.ndarray:
    prior = dcgan("xray", x.shape[1:])
    found = untrained.fit(
        jax.random.split(key, len(x)), prior, Problem(operator, y), axes=Problem(None, 0),
        regularizer=regularizer, **_options(study),
    )  # fmt: skip
    return np.mean(np.square(np.asarray(found.x - x)), axis=(1, 2))


def _row(variance: int, m: int, errors: list[np.ndarray], drop: np.ndarray) -> dict[str, Any]:
    return {
        "variance": variance,
        "measurements": m,
        "squared_error": float(errors[0].mean()),
        "squared_error_learned": float(errors[1].mean()),
        "drop_percent": float(drop.mean()),
        "standard_error": mean_error(drop),
        "published_percent": _PUBLISHED[variance][m],
    }


def _claims(study: TableStudy, drops: dict[tuple[int, int], np.ndarray]) -> list[Any]:
    """Judge the two trends of the table: it helps, and most where little is known."""
    table = np.stack(
        [[drops[variance, m] for m in study.measurements] for variance in study.variances]
    )
    claims = [at_least("mean drop of the squared error, %", table.mean(axis=(0, 1)), 0.0)]
    noise = table[-1].mean(axis=0) - table[0].mean(axis=0)
    text = f"σ² = {study.variances[-1]} over σ² = {study.variances[0]}"
    claims.append(at_least(f"drop at {text}, difference in %", noise, 0.0))
    few = table[:, 0].mean(axis=0) - table[:, -1].mean(axis=0)
    text = f"m = {study.measurements[0]} over m = {study.measurements[-1]}"
    claims.append(at_least(f"drop at {text}, difference in %", few, 0.0))
    return claims


def _draw(study: TableStudy, drops: dict[tuple[int, int], np.ndarray], path: Path) -> str:
    places = list(study.measurements)
    panels = []
    for variance in study.variances:
        lines = {"measured": (places, [drops[variance, m].mean() for m in places])}
        points = {"published": (places, [_PUBLISHED[variance][m] for m in places])}
        panels.append(
            Panel(
                f"σ² = {variance}",
                "m, of 65 536 pixels",
                "% of squared error removed",
                [*named(lines), *published(points)],
                {"no gain": 0.0},
                xscale="log",
            )
        )
    title = f"learned regularization, {study.size} x {study.size} parts of the retina image"
    return draw(path, panels, title=title)


ENTRIES = (
    Reproduction(
        name="untrained-learned-regularization",
        title="learned regularization helps most with few or noisy measurements",
        source="Van Veen et al. (2018), table 1; 64 x 64 parts of one retina image for 60 x-rays "
        "of 256 x 256, 500 steps of 1000",
        run=partial(_table, TableStudy()),
        cost="12 minutes",
    ),
)
