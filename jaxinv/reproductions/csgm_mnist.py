"""Digits of MNIST from few measurements: a trained VAE against tuned Lassos."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data
from jaxinv.reproductions import _csgm
from jaxinv.reproductions._csgm import FLOOR, PIXELS, TUNED, WAVELET, CsgmStudy
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import at_most, ratio_at_most

STUDY = CsgmStudy(
    measurements=(10, 25, 50, 100, 200, 300, 400, 500, 750),
    repeated=(50, 100),
    hidden=(480, 480),
)
TARGETS = {50: 0.018, 100: 0.009}
_FEW, _MANY = 50, 400
_OFF = 200  # measurements of the signals unlike those of training


def _mnist(study: CsgmStudy, settings: Settings, targets: Any = TARGETS) -> Outcome:
    images, _ = data.mnist()
    found = _csgm.run(study, images, settings)
    claims = [
        at_most(f"VAE, m = {m}: squared error per pixel, mean of {study.num_seeds} trainings",
                found.scores[m, TUNED].mean(1), bound)
        for m, bound in targets.items()
    ]  # fmt: skip
    if _FEW in targets:
        for name in (PIXELS, WAVELET):
            ours, theirs = found.scores[_FEW, TUNED].mean(0), found.scores[_MANY, name].mean(0)
            what = f"VAE at m = {_FEW} over {name} at m = {_MANY}"
            claims.append(ratio_at_most(what, ours, theirs, 1.0))
    floor = found.scores[found.signals[0].size, FLOOR]
    claims.append(at_most("squared error of the nearest signal of the range", floor.mean(1), 0.009))
    rows = _csgm.rows_of(found)
    drawing = partial(_csgm.draw_study, list(rows), found)
    unlike = {"turned digits": jnp.rot90(found.signals, axes=(1, 2)), "Greek letters": _greek()}
    for index, (kind, signals) in enumerate(unlike.items()):
        key = jax.random.fold_in(settings.key, 7 + index)
        others = _csgm.off_distribution(study, found.priors[0], signals, key, _OFF)
        for name, errors in others.items():
            rows.append(row_of_mean(errors, measurements=_OFF, method=f"{kind}, {name}", seeds=1))
        for name in ("Sparse-Gen", "ILO"):
            what = f"{kind}, m = {_OFF}: {name} over CSGM"
            claims.append(ratio_at_most(what, np.asarray(others[name]), others["CSGM"], 1.0))
    return Outcome(claims, rows, drawing)


def _greek() -> jax.Array:
    """Return the small letters of another alphabet, printed, about as large as MNIST's digits."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 22)
    letters = []
    for letter in "αβγδεζηθικλμνξοπρστυφχψω":
        image = Image.new("L", (28, 28))
        ImageDraw.Draw(image).text((14, 14), letter, fill=255, font=font, anchor="mm")
        letters.append(np.asarray(image, np.float32) / 255)
    return jnp.asarray(np.stack(letters))


ENTRIES = (
    Reproduction(
        name="csgm-mnist",
        title="MNIST from few measurements by a trained VAE, against tuned Lassos",
        source=f"{_csgm.SOURCE}, figure 1a; 4500 digits of 60000, 50 of 300 scored, searched by "
        "Levenberg-Marquardt",
        run=partial(_mnist, STUDY),
        cost="5 minutes",
    ),
)
