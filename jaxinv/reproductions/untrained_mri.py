"""Accelerated MRI of a head slice by a deep decoder: loss curves, and gains over zero-filling."""

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
from jaxinv.reproductions._untrained import OracleCurve, decibels, psnr_db
from jaxinv.reproductions.claims import Claim, at_least, at_most, mean_error
from jaxinv.viz._panels import Panel, Picture, draw, named

_LOSS = 0.5  # dB that running on may cost against the best iterate
_ZERO_FILLED, _REAL_PART = "zero-filled", "zero-filled, real part"
_RAW, _DECODER, _TV = "deep decoder, as fitted", "deep decoder", "tv"
_TARGETS = {(4, _DECODER): 2.3, (4, _TV): 3.5}  # dB over zero-filling


class ScanStudy(NamedTuple):
    """Size of the study of one slice.

    Attributes:
        size: side that the slice is shrunk to; the shipped file is 256 x 256.
        num_channels, num_layers: of the decoder; published for knees: 384 and 10.
        num_steps: published: 100 000, for 15 coils of 640 x 368.
        accelerations: with the share of columns that is always kept.
        num_masks: masks of the means.
        num_seeds: starts of the decoder whose images are averaged.
    """

    size: int = 256
    num_channels: int = 64
    num_layers: int = 5
    num_steps: int = 1500
    accelerations: tuple[tuple[int, float], ...] = ((4, 0.08), (8, 0.04))
    num_masks: int = 5
    num_seeds: int = 3


class _Scan(NamedTuple):
    """Of one mask: curves by look, (seeds, looks), the PSNR being the oracle's; images."""

    steps: np.ndarray
    psnr: np.ndarray
    residual: np.ndarray
    images: dict[str, np.ndarray]


def _head(study: ScanStudy, settings: Settings) -> Outcome:
    """Fit to the end, watched by an oracle, under several masks of each acceleration."""
    x = data.image("mri_head", size=(study.size, study.size))
    count = trials(settings, study.num_masks)
    counter = Counter(settings, count * len(study.accelerations))
    scans = {
        acceleration: [
            _scan(study, jax.random.fold_in(settings.key, trial), x, (acceleration, share), counter)
            for trial in range(count)
        ]
        for acceleration, share in study.accelerations
    }
    claims, rows = [], []
    for acceleration, found in scans.items():
        claims += _claims(acceleration, found, x)
        rows += _rows(acceleration, found, x)
    return Outcome(claims, rows, partial(_draw, x, scans))


def _scan(
    study: ScanStudy, key: Any, x: np.ndarray, acceleration: tuple[int, float], counter: Counter
) -> _Scan:
    """Reconstruct by each method; all but zero-filling know that the slice is real.

    Total variation and the mean of the decoder's images get back the measured coefficients.
    """
    mask_key, fit_key = jax.random.split(key)
    mask = operators.fourier_lines(mask_key, x.shape, *acceleration, kind="bernoulli")
    operator = operators.mri(mask, real=True)
    y = operator(jnp.asarray(x))
    name = f"{acceleration[0]}x"

    def report(progress: Any) -> None:
        counter.share(name, progress.step / progress.num_steps)

    # from the measurements alone: the largest pixel of the zero-filled image becomes 1
    scale = operators.measured_scale(operator, y)
    prior = deep_decoder(x.shape, study.num_channels, study.num_layers, extra_layer="none")
    found = untrained.fit(
        jax.random.split(fit_key, study.num_seeds), prior, Problem(operator, scale * y),
        num_steps=study.num_steps, stop=OracleCurve(truth=scale * x), progress=report,
    )  # fmt: skip
    estimate = found.x.mean(axis=0) / scale
    images = {
        _ZERO_FILLED: abs(operators.mri(mask).adjoint(y)),
        _REAL_PART: operator.adjoint(y),
        _RAW: estimate,
        _DECODER: operators.data_consistency(operator, y, estimate),
        _TV: operators.data_consistency(operator, y, baseline(operator, y, "tv").image),
    }
    counter.next(name)
    history = jax.tree.map(np.asarray, found.history)
    return _Scan(
        history.look_steps, decibels(history.score / float(scale) ** 2), history.residual,
        {name: np.asarray(image) for name, image in images.items()},
    )  # fmt: skip


def _claims(acceleration: int, found: list[_Scan], x: np.ndarray) -> list[Claim]:
    loss = [float(np.mean(scan.psnr.max(axis=1) - scan.psnr[:, -1])) for scan in found]
    what = f"{acceleration}x: dB lost at the last step against the best (oracle)"
    claims = [at_most(what, loss, _LOSS)]
    for method in (_DECODER, _TV):
        gain = [
            psnr_db(scan.images[method], x) - psnr_db(scan.images[_ZERO_FILLED], x)
            for scan in found
        ]
        target = _TARGETS.get((acceleration, method), 0.0)
        certain = (acceleration, method) not in _TARGETS  # an ordering, no target of a mean
        what = f"{acceleration}x: dB of {method} over zero-filling"
        claims.append(at_least(what, gain, target, certain=certain))
    return claims


def _rows(acceleration: int, found: list[_Scan], x: np.ndarray) -> list[dict[str, Any]]:
    empty = dict.fromkeys(("acceleration", "method", "step", "psnr", "standard_error", "residual"))
    rows = []
    for method in found[0].images:
        scores = [psnr_db(scan.images[method], x) for scan in found]
        values = {"psnr": float(np.mean(scores)), "standard_error": mean_error(scores)}
        rows.append({**empty, "acceleration": acceleration, "method": method, **values})
    for index, step in enumerate(found[0].steps):
        scores = [scan.psnr[:, index].mean() for scan in found]
        values = {
            "step": int(step),
            "psnr": float(np.mean(scores)),
            "standard_error": mean_error(scores),
            "residual": float(np.mean([scan.residual[:, index] for scan in found])),
        }
        rows.append({**empty, "acceleration": acceleration, "method": "curve (oracle)", **values})
    return rows


def _draw(x: np.ndarray, scans: Mapping[int, list[_Scan]], path: Path) -> str:
    steps = {a: found[0].steps for a, found in scans.items()}
    means = {
        a: (
            np.mean([scan.psnr for scan in found], axis=(0, 1)),
            np.mean([scan.residual for scan in found], axis=(0, 1)),
        )
        for a, found in scans.items()
    }
    panels: list[Any] = [
        Panel(
            "measurements", "step", "‖A x − y‖ / ‖y‖",
            named({f"{a}x": (steps[a], means[a][1]) for a in scans}), xscale="log", yscale="log",
        ),
        Panel(
            "image (seen by the oracle only)", "step", "PSNR (dB)",
            named({f"{a}x": (steps[a], means[a][0]) for a in scans}), xscale="log",
        ),
        Picture("slice", x),
    ]  # fmt: skip
    acceleration = min(scans)
    images = scans[acceleration][0].images
    for method in (_ZERO_FILLED, _DECODER, _TV):
        text = f"{acceleration}x, {method}, {psnr_db(images[method], x):.1f} dB"
        panels.append(Picture(text, images[method]))
    return draw(path, panels, title=f"head slice, {x.shape[0]} x {x.shape[1]}", num_columns=3)


ENTRIES = (
    Reproduction(
        name="untrained-mri",
        title="a deep decoder recovers a head slice from 4-fold and 8-fold undersampled k-space",
        source="Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks, "
        "figure 5; a single-coil magnitude slice for 15 coils of a knee, the mean of 3 starts of "
        "1500 steps for one of 100 000",
        run=partial(_head, ScanStudy()),
        cost="30 minutes",
    ),
)
