"""Digits from few measurements: CS-DIP against the Lasso and total variation."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators
from jaxinv.generators import dcgan
from jaxinv.images._baseline import baseline
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained_recovery import (
    CSDIP,
    LASSO,
    NETWORK,
    Scores,
    draw_measured,
    fit_network,
    gain_claims,
    measured_rows,
    squared_errors,
)


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
            images = fit_network(
                prior, operator, jnp.repeat(y, restarts, axis=0), keys, study,
                axes=Problem(None, 0), num_restarts=restarts,
            )  # fmt: skip
            place = label if kind == "gaussian" else (int(operator.mask.sum()) + 1) // 2
            scores[kind][place, NETWORK] = squared_errors(images, x)
            for method in (*LASSO, "tv"):
                rival = [baseline(operator, each, method, shape=x.shape[1:]).image for each in y]
                scores[kind][place, method] = squared_errors(np.stack(rival), x)
                if kind == "gaussian" and method == "lasso_dct":
                    shown[place] = (images[0], rival[0])
            counter.next(f"{kind}, {place}")
    claims = gain_claims("Gaussian, m =", scores["gaussian"], LASSO)
    claims += gain_claims("radial Fourier, coefficients =", scores["fourier"], ("lasso_dct",))
    rows = measured_rows(scores["gaussian"], scores["fourier"])
    draw = partial(draw_measured, x[0], scores["gaussian"], scores["fourier"], shown)
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        name="untrained-digits",
        title="CS-DIP against Lasso and TV on digits, Gaussian and radial Fourier",
        source=f"{CSDIP}, figure 1b; enlarged 8 x 8 digits, 4 of 100, 500 steps of 1000",
        run=partial(_digits, DigitStudy()),
        cost="30 minutes",
    ),
)
