"""What the networks start from: weights, thresholds, and shares that pass."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.unfolded._analytic_weights import weights_for
from jaxinv.unfolded._matrix import Measurement, squared_norm
from jaxinv.unfolded._shrink import threshold_schedule

STARTS = ("analytic", "adjoint")
THRESHOLDS = (0.45, 0.012)  # first and last, for entries N(0, 1): near what training finds
MOMENTUM, MOMENTUM_THRESHOLDS = 0.17, (0.5, 0.0025)
RELATIVE = 3.75  # times 1/n, of ‖W*r‖₁: HyperLISTA's 7.5/n of ‖A⁺r‖₁, about half of it
BYPASS_RATE, BYPASS_LIMIT = 0.012, 0.13  # of the entries: 6, 12, .., 65 of 500
_ADJOINT_PENALTY = 0.4  # θ = 0.4 / L for W = A / L


def first_weights(
    where: str, given: Measurement, num_layers: int, start: str, noise: Any = 0.0
) -> tuple[Any, Any]:
    """Return the first weights W, shape (m, n), and the first threshold of each layer."""
    num_layers = checks.count(where, "num_layers", num_layers)
    if checks.choice(where, "start", start, STARTS) == "analytic":
        weights = weights_for(where, "A", given.matrix, noise=noise)
        return weights, threshold_schedule(num_layers, *THRESHOLDS)
    scale = 1.001 * squared_norm(given.matrix)
    return given.matrix / scale, jnp.full(num_layers, _ADJOINT_PENALTY / scale)
