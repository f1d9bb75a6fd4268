"""The rows of the fuzzing tests for the theory of generators."""

from typing import Any

import jax
import numpy as np
from cases import floats
from fuzz_values import KEY, row

import jaxinv as ji


def G() -> Any:
    return ji.generators.relu(jax.random.key(0), (2, 4, 6), dtype=floats())


def A() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 6)).astype(floats())


def _measured() -> dict[str, Any]:
    return {"operator": A(), "generator": G()}


def _problem() -> ji.Problem:
    return ji.Problem(ji.operators.dense(A()), np.ones(5, floats()), G())


_FEW = {"key": KEY, "num_samples": 2}

GENERATIVE = [
    row("theory.lipschitz_bounds", lambda: {"generator": G(), **_FEW}, slow=True),
    row(
        "theory.local_certificate",
        lambda: {"problem": _problem(), "u": np.ones(2, floats())},
        slow=True,
    ),
    row(
        "theory.range_coherence",
        lambda: {"basis": np.eye(6, dtype=floats()), "generator": G(), **_FEW},
        slow=True,
    ),
    row("theory.range_restricted_isometry", lambda: {**_measured(), **_FEW}, slow=True),
    row(
        "theory.range_restricted_weight_distribution",
        lambda: {"generator": G(), "layer": 2, **_FEW},
        slow=True,
    ),
    row("theory.regions", lambda: {"generator": G()}),
    row(
        "theory.set_restricted_eigenvalue",
        lambda: {**_measured(), **_FEW},
        slow=True,
    ),
    row("theory.weight_distribution", lambda: {"weights": A(), **_FEW}, slow=True),
]
