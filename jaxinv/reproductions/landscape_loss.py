"""The mean loss of random ReLU networks is the expected one."""

from __future__ import annotations

from jaxinv.reproductions._landscape import (
    DEPTHS,
    SOURCE,
    by_depth,
    landscape_draws,
    looked_at,
    true_point,
)
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_mean
from jaxinv.theory import expected_loss


def _loss(settings: Settings) -> Outcome:
    results = landscape_draws(settings)
    claims, rows = [], []
    for depth in DEPTHS:
        samples = results["loss"].sel(depth=depth).values
        law = float(expected_loss(looked_at(), true_point(), depth))
        tolerance = 0.05 if depth > 1 else 0.0  # a bias of order 1/width
        claims.append(compare_mean(f"mean loss, depth {depth}", samples, law, tolerance=tolerance))
        rows.append(row_of_mean(samples, depth=depth, law=law))
    return by_depth(claims, rows, ylabel="loss", law="f_E", what="loss")


ENTRIES = (Reproduction("landscape-loss", "the mean loss is f_E", SOURCE, _loss, "20 seconds"),)
