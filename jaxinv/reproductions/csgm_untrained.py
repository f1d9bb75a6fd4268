"""A trained prior against an untrained one on digits: which is ahead at how many measurements."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators, trained
from jaxinv.data._sets import held_back
from jaxinv.generators import dcgan
from jaxinv.problems import Problem
from jaxinv.reproductions import _csgm
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained_recovery import CSDIP, fit_network
from jaxinv.reproductions.claims import ratio_at_most
from jaxinv.viz._panels import Line, Panel, Picture, draw

TRAINED, UNTRAINED = "CSGM", "CS-DIP"
_PENALTY = 0.01  # of the latent


class RivalStudy(NamedTuple):
    """Size of the study: measurements, digits, fits of the network, starts of the search.

    Published: 1000 steps and five restarts of a fit, ten starts of a search.
    """

    measurements: tuple[int, ...] = (25, 50, 75, 150, 300)
    num_digits: int = 6
    num_held_back: int = 500
    num_steps: int = 500
    num_restarts: int = 2
    smoothing: float = 0.01
    num_starts: int = 10
    latent_size: int = 20
    max_steps: int = 50


def _rivals(study: RivalStudy, settings: Settings) -> Outcome:
    count = trials(settings, study.num_digits)
    counter = Counter(settings, len(study.measurements))
    x = jnp.asarray(held_back(data.mnist()[0], study.num_held_back)[0][-count:])
    vae, network = trained.pretrained("mnist"), dcgan("mnist")
    scores: dict[tuple[int, str], np.ndarray] = {}
    shown: dict[str, Any] = {}
    for m in study.measurements:
        key = jax.random.fold_in(settings.key, m)
        operator = operators.gaussian(key, m, x.shape[1:])
        search = study._replace(num_restarts=study.num_starts)
        y = jax.vmap(operator)(x)
        images: dict[str, Any] = {TRAINED: _csgm.search(search, operator, key, vae, y, _PENALTY)}
        # the network makes images in [-1, 1]
        y = jnp.repeat(jax.vmap(operator)(2 * x - 1), study.num_restarts, axis=0)
        keys = jax.random.split(jax.random.fold_in(key, 1), len(y))
        images[UNTRAINED] = 0.5 + 0.5 * fit_network(
            network, operator, y, keys, study, axes=Problem(None, 0),
            num_restarts=study.num_restarts,
        )  # fmt: skip
        for name, found in images.items():
            scores[m, name] = _csgm.mean_squares(found, x)
            shown[f"{name}, m = {m}"] = np.asarray(found[0])
        counter.next(f"m = {m}")
    rows = [
        row_of_mean(errors, measurements=m, method=name) for (m, name), errors in scores.items()
    ]
    return Outcome(_claims(study, scores), rows, partial(_draw, rows, np.asarray(x[0]), shown))


def _claims(study: RivalStudy, scores: dict[tuple[int, str], np.ndarray]) -> list[Any]:
    few, later, most = (
        study.measurements[index] for index in (0, len(study.measurements) // 2, -1)
    )
    ours, theirs = scores[few, TRAINED], scores[few, UNTRAINED]
    claims = [ratio_at_most(f"m = {few}: error of {TRAINED} over {UNTRAINED}", ours, theirs, 1.0)]
    ours, theirs = scores[most, UNTRAINED], scores[most, TRAINED]
    claims.append(
        ratio_at_most(f"m = {most}: error of {UNTRAINED} over {TRAINED}", ours, theirs, 1.0)
    )
    for name, bound, below in ((TRAINED, 0.5, False), (UNTRAINED, 0.5, True)):
        what = f"{name}: error at m = {most} over that at m = {later}"
        pair = scores[most, name], scores[later, name]
        claims.append(ratio_at_most(what, *pair, bound, below=below))
    return claims


def _draw(rows: list[dict[str, Any]], truth: np.ndarray, shown: dict[str, Any], path: Path) -> str:
    lines = []
    for name in (TRAINED, UNTRAINED):
        chosen = [row for row in rows if row["method"] == name]
        bars = [2 * row["standard_error"] for row in chosen]
        places = [row["measurements"] for row in chosen]
        lines.append(Line(places, [row["mean"] for row in chosen], name, marker="o", errors=bars))
    panels: list[Any] = [
        Panel("mean ± 2 se", "measurements m", "squared error per pixel", lines,
              xscale="log", yscale="log", xticks=[row["measurements"] for row in rows[::2]]),
        Picture("truth", truth),
        *(Picture(name, image) for name, image in list(shown.items())[-2:]),
    ]  # fmt: skip
    return draw(path, panels, num_columns=2)


ENTRIES = (
    Reproduction(
        name="csgm-untrained",
        title="a trained VAE is ahead at few measurements and saturates, an untrained network not",
        source=f"{CSDIP}, figure 4a; {_csgm.SOURCE}; 6 digits, 2 restarts of 5, 500 steps of 1000",
        run=partial(_rivals, RivalStudy()),
        cost="20 minutes",
    ),
)
