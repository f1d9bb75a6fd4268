"""The generalization gap of a learned dictionary network over the number of samples."""

from __future__ import annotations

import numpy as np

from jaxinv.reproductions._generalization import (
    SOURCE,
    Cell,
    bounds,
    gap_outcome,
    gap_sweep,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_exponent

_SAMPLES = (32, 64, 128, 256, 512, 1024)


def _samples(settings: Settings) -> Outcome:
    """The class has discrepancy m^(-1/2); the gap of the network that is trained falls faster."""
    cell = Cell(num_samples=max(_SAMPLES))
    found = gap_sweep(cell, "num_samples", _SAMPLES, settings, traced=True)
    values, bound = np.asarray(_SAMPLES), bounds(found, cell, "num_samples", _SAMPLES)
    gap, discrepancy = (found[name].transpose("value", "trial") for name in ("gap", "discrepancy"))
    what = "exponent of m in the discrepancy of the class"
    claims = [compare_exponent(what, values, discrepancy, -0.5)]
    what = "exponent of m in the gap after training"
    claims.append(compare_exponent(what, values, gap, -0.5, is_bound=True))
    title = f"N = {cell.signal_size}, n = {cell.signal_size // 2}, L = {cell.num_layers}"
    return gap_outcome(claims, found, values, bound, "training samples m", title)


ENTRIES = (
    Reproduction(
        name="generalization-samples",
        title="the generalization gap falls like 1/√m at worst with the number of samples",
        source=SOURCE,
        run=_samples,
        cost="60 seconds",
    ),
)
