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


GENERATIVE = [
    row("theory.regions", lambda: {"generator": G()}),
    row(
        "theory.set_restricted_eigenvalue",
        lambda: {**_measured(), "key": KEY, "num_samples": 2},
        slow=True,
    ),
]
