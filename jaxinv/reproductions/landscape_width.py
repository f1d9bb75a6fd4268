"""The bias of the spiked loss at depth 1 decays like 1/width: it is 5/n."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.generators import relu
from jaxinv.reproductions._landscape import LATENT, true_point
from jaxinv.reproductions._models import draw_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_mean
from jaxinv.sweeps import sweep
from jaxinv.theory import expected_loss

_WIDTHS = (25, 50, 100, 200)


def _trial(key: Any, *, width: int) -> dict[str, Any]:
    """Return the spiked loss ¼‖y yᵀ‖² at x = 0, over its expectation for wide networks."""
    signal = relu(key, (LATENT, width))(true_point())
    law = expected_loss(jnp.zeros(LATENT), true_point(), 1, model="spiked")
    return {"ratio": 0.25 * numerics.sum_squares(signal) ** 2 / law}


def _width(settings: Settings) -> Outcome:
    results = sweep(
        _trial,
        {"width": _WIDTHS},
        key=settings.key,
        num_trials=trials(settings, 20_000),
        block_size=500,
        progress=settings.progress,
    )
    claims, rows = [], []
    for width in _WIDTHS:
        samples = results["ratio"].sel(width=width).values
        law = 1 + 5 / width
        claims.append(compare_mean(f"loss ratio at width {width}", samples, law, tolerance=0.0))
        rows.append(row_of_mean(samples - 1, width=width, law=law - 1))
    draw = partial(
        draw_means,
        rows,
        axis="width",
        xlabel="width n",
        ylabel="relative bias of the loss",
        law="5/n",
        title="spiked loss at x = 0, one layer: the bias decays like 1/width",
    )
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        "landscape-width",
        "the bias of finite networks decays like 1/width",
        "moments of Gaussian networks; Cocola, Hand, Voroninski (2020) for the loss",
        _width,
        "10 seconds",
    ),
)
