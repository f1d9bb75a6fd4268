"""The generalization gap of a learned dictionary network over the number of layers."""

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

_LAYERS = (1, 2, 4, 8, 16, 32)
_CONVERGED = 8  # layers from which the untrained iteration has settled


def _layers(settings: Settings) -> Outcome:
    """Layers beyond those that the iteration needs to converge cost next to nothing."""
    cell = Cell(num_samples=128, num_layers=max(_LAYERS))
    found = gap_sweep(cell, "num_layers", _LAYERS, settings, traced=True)
    values, bound = np.asarray(_LAYERS), bounds(found, cell, "num_layers", _LAYERS)
    late = values >= _CONVERGED
    published = float(np.polyfit(np.log(values[late]), np.log(bound[late]), 1)[0])
    claims = []
    for key, name in QUANTITIES.items():
        what = f"exponent of L in the {name}, L >= {_CONVERGED}"
        samples = found[key].transpose("value", "trial").values[late]
        claims.append(compare_exponent(what, values[late], samples, published, is_bound=True))
    title = f"N = {cell.signal_size}, n = {cell.signal_size // 2}, m = {cell.num_samples}"
    return gap_outcome(claims, found, values, bound, "layers L", title)


ENTRIES = (
    Reproduction(
        name="generalization-layers",
        title="the generalization gap grows at most like a logarithm with the number of layers",
        source=SOURCE,
        run=_layers,
        cost="60 seconds",
    ),
)
