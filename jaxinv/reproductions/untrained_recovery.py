"""Untrained priors against classical ones, from Gaussian and Fourier measurements of photos."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators, untrained
from jaxinv.generators import dcgan, deep_decoder
from jaxinv.images._baseline import baseline
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Claim, Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import (
    at_least,
    color_lasso,
    decibels,
    mean_error,
    psnr_db,
    published_descent,
)
from jaxinv.viz._untrained import Curves, Picture, plot_row

_LASSO = ("lasso_dct", "lasso_wavelet")
_OTHERS = ("tv", "damp")
_NETWORK = "CS-DIP"
_RATE = 0.001  # published

Scores = dict[tuple[Any, str], np.ndarray]  # by number of measurements and method


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


class ColorStudy(NamedTuple):
    """Size of CS-DIP on the retina image: measurements, radial lines, steps, TV weights, rates.

    Published: 500 to 8000 measurements, 1000 steps, 60 images, TV weight 0.02 on the sum, rate
    0.001. At this rate the first steps are larger than the weights are, and from Gaussian
    measurements most starts end in saturated pixels; a tenth of it is run beside.
    """

    size: int = 128
    measurements: tuple[int, ...] = (500, 1000, 2000, 4000)
    lines: tuple[int, ...] = (3, 5, 10, 20)
    num_steps: int = 1000
    smoothing: float = 0.02
    rates: tuple[float, ...] = (_RATE, _RATE / 10)


class DigitStudy(NamedTuple):
    """Size of CS-DIP on digits: measurements, radial lines, steps, digits of one batch, restarts.

    Published: 28 x 28 digits, 1000 steps, five restarts, 100 digits, TV weight 0.01.
    """

    measurements: tuple[int, ...] = (25, 50, 100, 200)
    lines: tuple[int, ...] = (3, 5, 10)
    num_steps: int = 500
    num_digits: int = 4
    num_restarts: int = 5
    smoothing: float = 0.01


# ----------------------------------------------------------------------- a photo, Gaussian matrices


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
        for method in _LASSO:
            gain = best - found[ratio, method]
            claims.append(at_least(f"m/n = {ratio:g}: dB over {method}", gain, 0.0))
    rows = _score_rows("ratio", found, "psnr")
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
    images = {name: baseline(operator, problem.y, name).image for name in (*_LASSO, *_OTHERS)}
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


def _score_rows(axis: str, found: Mapping[Any, np.ndarray], value: str) -> list[dict[str, Any]]:
    return [
        {
            axis: place,
            "method": method,
            value: float(np.mean(samples)),
            "standard_error": mean_error(samples),
        }
        for (place, method), samples in found.items()
    ]


def _draw_photo(
    x: np.ndarray, found: Mapping[Any, np.ndarray], shown: Mapping[str, Any], title: str, path: Path
) -> str:
    methods = (*_LASSO, *_OTHERS, _CHOSEN)  # the networks it was chosen from are in the table
    drawn = {key: values for key, values in found.items() if key[1] in methods}
    panels: list[Any] = [_against("m/n", drawn, "PSNR (dB)"), Picture("truth", x)]
    for name in ("lasso_wavelet", "tv", "damp", _CHOSEN):
        panels.append(Picture(f"{name}, {psnr_db(shown[name], x):.1f} dB", shown[name]))
    return plot_row(path, panels, title=title, num_columns=3)


def _against(xlabel: str, found: Mapping[Any, np.ndarray], ylabel: str, **options: Any) -> Curves:
    """Return curves of means against the number of measurements, one a method."""
    lines: dict[str, Any] = {}
    for method in dict.fromkeys(name for _, name in found):
        places = [place for place, name in found if name == method]
        lines[method] = (places, [found[place, method].mean() for place in places])
    return Curves("mean", xlabel, ylabel, lines, xscale="log", **options)


# --------------------------------------------------------------------------- CS-DIP, color images


def _color(study: ColorStudy, settings: Settings) -> Outcome:
    """Fit the published network to the retina image, and the Lasso in a cosine basis.

    The image that is shown is that of the last rate.
    """
    x = 2 * data.image("retina", size=(study.size, study.size)) - 1
    count = trials(settings, 3)
    num_cases = len(study.measurements) + len(study.lines)
    counter = Counter(settings, num_cases * len(study.rates))
    gaussian: Scores = {}
    fourier: Scores = {}
    shown = {}
    for m in study.measurements:
        operator_key, fit_key = jax.random.split(jax.random.fold_in(settings.key, m))
        operator = operators.gaussian(operator_key, m, x.shape)
        y = operator(jnp.asarray(x))
        prior = dcgan("retino", x.shape)
        lasso = color_lasso(operator, y)
        gaussian[m, "lasso_dct"] = _errors(lasso[None], x).repeat(count)
        for rate in study.rates:
            images = _fit(prior, operator, y, jax.random.split(fit_key, count), study, rate=rate)
            gaussian[m, _named(rate)] = _errors(images, x)
            shown[m] = (images[0], lasso)
            counter.next(f"m = {m}")
    planes = np.moveaxis(x, -1, 0)
    for lines in study.lines:
        mask = operators.radial_lines(x.shape[:2], lines)
        operator = operators.multicoil_mri(mask, num_coils=3)
        y = operator(jnp.asarray(planes))
        prior = dcgan("retino", planes.shape, channels_first=True)
        keys = jax.random.split(jax.random.fold_in(settings.key, lines), count)
        coefficients = 3 * (int(mask.sum()) + 1) // 2
        for rate in study.rates:
            images = _fit(prior, operator, y, keys, study, rate=rate, first_axis=1)
            fourier[coefficients, _named(rate)] = _errors(images, planes)
            counter.next(f"{lines} lines")
        for method in ("lasso_dct", "tv"):
            image = np.real(baseline(operator, y, method).image)
            fourier[coefficients, method] = _errors(image[None], planes).repeat(count)
    claims = _gain_claims("Gaussian, m =", gaussian, ("lasso_dct",))
    claims += _gain_claims("radial Fourier, coefficients =", fourier, ("lasso_dct",))
    rows = _measured_rows(gaussian, fourier)
    return Outcome(claims, rows, partial(_draw_measured, x, gaussian, fourier, shown))


def _fit(
    prior: Any, operator: Any, y: Any, keys: Any, study: Any, *, rate: float = _RATE,
    first_axis: int = 0, axes: Problem | None = None, num_restarts: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Run the published descent; the weights are those of a sum of squares, so half of them."""
    penalty = untrained.total_variation(study.smoothing / 2, first_axis=first_axis)
    found = untrained.fit(
        keys, prior, Problem(operator, y), axes=axes, optimizer=published_descent(rate),
        num_steps=study.num_steps, stop=None, penalty=penalty, average=0.95, tol=0.0,
    )  # fmt: skip
    if num_restarts is not None:
        found = untrained.least_misfit(found, num_restarts)
    return np.asarray(found.x)


def _errors(images: Any, x: Any) -> np.ndarray:
    """Return mean squared errors on [-1, 1], one an image."""
    gap = np.clip(np.asarray(images), -1, 1) - np.asarray(x)
    return np.mean(gap.reshape(len(gap), -1) ** 2, axis=1)


def _gain_claims(
    text: str, found: Mapping[Any, np.ndarray], rivals: tuple[str, ...]
) -> list[Claim]:
    claims = []
    for place, network in found:
        for rival in rivals if network.startswith(_NETWORK) else ():
            gain = decibels(found[place, network]) - decibels(found[place, rival])
            claims.append(at_least(f"{text} {place}: dB of {network} over {rival}", gain, 0.0))
    return claims


def _named(rate: float) -> str:
    """Return the name of the network; with the rate where it is not the published one."""
    return _NETWORK if rate == _RATE else f"{_NETWORK}, rate {rate:g}"


def _measured_rows(gaussian: Scores, fourier: Scores) -> list[dict[str, Any]]:
    rows = []
    for kind, found in (("gaussian", gaussian), ("fourier", fourier)):
        for row in _score_rows("measurements", found, "squared_error"):
            rows.append({"kind": kind, **row})
    return rows


def _draw_measured(
    x: np.ndarray, gaussian: Scores, fourier: Scores, shown: Mapping[int, Any], path: Path
) -> str:
    ylabel = "mean squared error on [-1, 1]"
    panels: list[Any] = [
        _against("Gaussian measurements", gaussian, ylabel, yscale="log"),
        _against("Fourier coefficients", fourier, ylabel, yscale="log"),
        Picture("truth", (x + 1) / 2),
    ]
    m = max(shown)
    for name, image in zip((_NETWORK, "Lasso in a cosine basis"), shown[m], strict=True):
        panels.append(Picture(f"{name}, m = {m}", (image + 1) / 2))
    return plot_row(path, panels, title=f"{_NETWORK}, image of {x.shape}", num_columns=3)


# --------------------------------------------------------------------------------- CS-DIP, digits


def enlarged_digits(count: int) -> np.ndarray:
    """Return 28 x 28 digits in [-1, 1]: those of 8 x 8, as strokes of 20 x 20 with a border.

    The published digits were black and white before they were shrunk, so that their edges are
    sharp. Interpolated ones would be smooth: sparse in a cosine basis, which favors the Lasso.
    """
    small = jnp.asarray(data.digits()[0][:count])
    fine = jax.image.resize(small, (count, 160, 160), "cubic") > 0.5
    strokes = fine.reshape(count, 20, 8, 20, 8).mean((2, 4))
    return np.asarray(2 * jnp.pad(strokes, ((0, 0), (4, 4), (4, 4))) - 1)


def _digits(study: DigitStudy, settings: Settings) -> Outcome:
    count = trials(settings, study.num_digits)
    x = enlarged_digits(count)
    counter = Counter(settings, len(study.measurements) + len(study.lines))
    prior = dcgan("mnist")
    cases: dict[str, dict[int, Any]] = {
        "gaussian": {
            m: operators.gaussian(jax.random.fold_in(settings.key, m), m, x.shape[1:])
            for m in study.measurements
        },
        "fourier": {
            lines: operators.mri(operators.radial_lines(x.shape[1:], lines), real=True)
            for lines in study.lines
        },
    }
    scores: dict[str, Scores] = {kind: {} for kind in cases}
    shown = {}
    for kind, group in cases.items():
        for label, operator in group.items():
            y = jax.vmap(operator)(jnp.asarray(x))
            restarts = study.num_restarts
            keys = jax.random.split(jax.random.fold_in(settings.key, label), count * restarts)
            images = _fit(
                prior, operator, jnp.repeat(y, restarts, axis=0), keys, study,
                axes=Problem(None, 0), num_restarts=restarts,
            )  # fmt: skip
            place = label if kind == "gaussian" else (int(operator.mask.sum()) + 1) // 2
            scores[kind][place, _NETWORK] = _errors(images, x)
            for method in (*_LASSO, "tv"):
                rival = [baseline(operator, each, method, shape=x.shape[1:]).image for each in y]
                scores[kind][place, method] = _errors(np.stack(rival), x)
                if kind == "gaussian" and method == "lasso_dct":
                    shown[place] = (images[0], rival[0])
            counter.next(f"{kind}, {place}")
    claims = _gain_claims("Gaussian, m =", scores["gaussian"], _LASSO)
    claims += _gain_claims("radial Fourier, coefficients =", scores["fourier"], ("lasso_dct",))
    rows = _measured_rows(scores["gaussian"], scores["fourier"])
    draw = partial(_draw_measured, x[0], scores["gaussian"], scores["fourier"], shown)
    return Outcome(claims, rows, draw)


_CSDIP = "Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis (2018)"

ENTRIES = (
    Reproduction(
        name="untrained-photo",
        title="a deep decoder beats the Lasso on a photo, Gaussian A; TV and D-AMP beside it",
        source="Heckel, Soltanolkotabi (2020), section 1; baselines of Van Veen et al. (2018); "
        "128 x 128 pixels, the mean of 3 starts of 1500 steps",
        run=partial(_photo, PhotoStudy()),
        cost="60 minutes",
    ),
    Reproduction(
        name="untrained-retina",
        title="CS-DIP against the Lasso on a color image, Gaussian and radial Fourier",
        source=f"{_CSDIP}, figure 3; one image instead of 60, up to 4000 measurements of 8000; the "
        "published rate and a tenth of it",
        run=partial(_color, ColorStudy()),
        cost="50 minutes",
    ),
    Reproduction(
        name="untrained-digits",
        title="CS-DIP against Lasso and TV on digits, Gaussian and radial Fourier",
        source=f"{_CSDIP}, figure 1b; enlarged 8 x 8 digits, 4 of 100, 500 steps of 1000",
        run=partial(_digits, DigitStudy()),
        cost="30 minutes",
    ),
)
