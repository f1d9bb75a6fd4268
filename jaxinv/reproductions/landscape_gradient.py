"""The mean gradient of random ReLU networks is the expected one."""

from __future__ import annotations

import math

import numpy as np

from jaxinv.reproductions._landscape import (
    DEPTHS,
    SOURCE,
    by_depth,
    landscape_draws,
    looked_at,
    true_point,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_vectors
from jaxinv.theory import expected_gradient


def _gradient(settings: Settings) -> Outcome:
    results = landscape_draws(settings)
    claims, rows = [], []
    for depth in DEPTHS:
        law = np.asarray(expected_gradient(looked_at(), true_point(), depth))
        names = ("first", "second", "third")
        samples = np.stack([results[name].sel(depth=depth).values for name in names], axis=-1)
        what = f"relative distance of the mean gradient to h_x, depth {depth}"
        tolerance = 0.05 if depth > 1 else 0.0  # a bias of order 1/width
        claims.append(compare_vectors(what, samples, law, tolerance=tolerance))
        size = float(np.linalg.norm(law))
        spread = math.sqrt(float(np.sum(samples.var(0, ddof=1))) / len(samples))
        mean = float(samples.mean(0) @ law / size)
        rows.append({"depth": depth, "mean": mean, "standard_error": spread, "law": size})
    return by_depth(claims, rows, ylabel="gradient along h_x", law="‖h_x‖", what="gradient")


ENTRIES = (
    Reproduction("landscape-gradient", "the mean gradient is h_x", SOURCE, _gradient, "20 seconds"),
)
