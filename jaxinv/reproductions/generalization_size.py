"""The generalization gap of a learned dictionary network over the size of the signal."""

from __future__ import annotations

import numpy as np

from jaxinv.reproductions._generalization import (
    QUANTITIES,
    SOURCE,
    Cell,
    bounds,
    gap_outcome,
    gap_sweep,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_exponent

_SIZES = (16, 24, 32, 48)


def _size(settings: Settings) -> Outcome:
    """At n/N fixed the bound is linear in the size."""
    cell = Cell(num_samples=512)
    found = gap_sweep(cell, "signal_size", _SIZES, settings, traced=False)
    values, bound = np.asarray(_SIZES), bounds(found, cell, "signal_size", _SIZES)
    claims = []
    for key, name in QUANTITIES.items():
        samples = found[key].transpose("value", "trial").values
        what = f"exponent of N in the {name}"
        claims.append(compare_exponent(what, values, samples, 1.0, is_bound=True))
    title = f"n = N / 2, L = {cell.num_layers}, m = {cell.num_samples}"
    return gap_outcome(claims, found, values, bound, "signal size N", title)


ENTRIES = (
    Reproduction(
        name="generalization-size",
        title="the generalization gap grows at most linearly with the size",
        source=SOURCE,
        run=_size,
        cost="60 seconds",
    ),
)
