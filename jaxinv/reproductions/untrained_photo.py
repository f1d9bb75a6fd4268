"""A photo from Gaussian measurements: a deep decoder against classical baselines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators, untrained
from jaxinv.generators import deep_decoder
from jaxinv.images._baseline import baseline
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import psnr_db
from jaxinv.reproductions._untrained_recovery import (
    LASSO,
    curves_against,
    score_rows,
)
from jaxinv.reproductions.claims import Claim, at_least
from jaxinv.viz._panels import Picture, draw

_OTHERS = ("tv", "damp")


class PhotoStudy(NamedTuple):
    """Size of the study of one photo: side, ratios m/n, steps, seeds that are averaged.

    ``decoders``: networks by (channels, layers, weight of total variation on the signal).
    """

    name: str = "camera"
    size: int = 128
    ratios: tuple[float, ...] = (0.05, 0.1, 0.25)
    num_steps: int = 1500
    num_seeds: int = 3
    decoders: tuple[tuple[int, int, float], ...] = ((64, 3, 0.005), (64, 3, 0.01), (128, 3, 0.005))


def _photo(study: PhotoStudy, settings: Settings) -> Outcome:
    """Compare PSNR over draws of matrix and network; which network is judged by y alone.

    Claimed is that it beats the Lasso. Total variation and D-AMP are in the table and the
    figure: on photos they may well be as good.
    """
    x = data.image(study.name, size=(study.size, study.size), gray=True)
    count = trials(settings, 3)
    counter = Counter(settings, count * len(study.ratios) * (2 + len(study.decoders)))
    scores: dict[tuple[Any, str], list[float]] = {}
    shown: dict[str, np.ndarray] = {}
    for ratio in study.ratios:
        for trial in range(count):
            key = jax.random.fold_in(settings.key, trial)
            images = _photo_images(study, key, x, ratio, counter)
            for method, image in images.items():
                scores.setdefault((ratio, method), []).append(psnr_db(image, x))
            if ratio == study.ratios[-1] and trial == 0:
                shown = images
    found = {key: np.array(values) for key, values in scores.items()}
    claims: list[Claim] = []
    for ratio in study.ratios:
        best = found[ratio, _CHOSEN]
        for method in LASSO:
            gain = best - found[ratio, method]
            claims.append(at_least(f"m/n = {ratio:g}: dB over {method}", gain, 0.0))
    rows = score_rows("ratio", found, "psnr")
    title = f"{study.name}, {study.size} x {study.size}, Gaussian A"
    return Outcome(claims, rows, partial(_draw_photo, x, found, shown, title))


_CHOSEN = "untrained, chosen by held-out y"


def _photo_images(
    study: PhotoStudy, key: Any, x: np.ndarray, ratio: float, counter: Counter
) -> dict[str, np.ndarray]:
    """Return the estimate of every method for one matrix.

    Each network is fitted to most of the measurements and judged by the others; the best is
    then fitted to all of them, from several starts, whose images are averaged.
    """
    operator_key, judge_key, fit_key = jax.random.split(key, 3)
    operator = operators.gaussian(operator_key, round(ratio * x.size), x.shape)
    problem = Problem(operator, operator(jnp.asarray(x)))
    images = {name: baseline(operator, problem.y, name).image for name in (*LASSO, *_OTHERS)}
    counter.next("baselines")
    rule = untrained.held_out(patience=study.num_steps)
    least, chosen = np.inf, study.decoders[0]
    for decoder in study.decoders:
        found = _decode(study, judge_key, x.shape, problem, decoder, rule)
        name = "deep decoder, k = {}, d = {}, TV weight {:g}".format(*decoder)
        images[name] = np.asarray(found.x)
        score = float(found.history.score[-1])  # one key: the same entries are held out
        if score < least:
            least, chosen = score, decoder
        counter.next(name)
    found = _decode(
        study, jax.random.split(fit_key, study.num_seeds), x.shape, problem, chosen, None
    )
    counter.next(_CHOSEN)
    return images | {_CHOSEN: np.asarray(found.x).mean(axis=0)}


def _decode(
    study: PhotoStudy, key: Any, shape: Any, problem: Problem, decoder: Any, rule: Any
) -> untrained.Fit:
    channels, layers, weight = decoder
    return untrained.fit(
        key, deep_decoder(shape, channels, layers), problem, num_steps=study.num_steps,
        stop=rule, penalty=untrained.total_variation(weight), tol=0.0,
    )  # fmt: skip


def _draw_photo(
    x: np.ndarray, found: Mapping[Any, np.ndarray], shown: Mapping[str, Any], title: str, path: Path
) -> str:
    methods = (*LASSO, *_OTHERS, _CHOSEN)  # the networks it was chosen from are in the table
    drawn = {key: values for key, values in found.items() if key[1] in methods}
    panels: list[Any] = [curves_against("m/n", drawn, "PSNR (dB)"), Picture("truth", x)]
    for name in ("lasso_wavelet", "tv", "damp", _CHOSEN):
        panels.append(Picture(f"{name}, {psnr_db(shown[name], x):.1f} dB", shown[name]))
    return draw(path, panels, title=title, num_columns=3)


ENTRIES = (
    Reproduction(
        name="untrained-photo",
        title="a deep decoder beats the Lasso on a photo, Gaussian A; TV and D-AMP beside it",
        source="Heckel, Soltanolkotabi (2020), section 1; baselines of Van Veen et al. (2018); "
        "128 x 128 pixels, the mean of 3 starts of 1500 steps",
        run=partial(_photo, PhotoStudy()),
        cost="60 minutes",
    ),
)
