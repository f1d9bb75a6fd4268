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

_SIZES = {"widths": (1, 4, 6), "num_measurements": 5}
_DRAWS = {"key": KEY, **_SIZES, "num_trials": 2}


def _solved() -> ji.Problem:
    latent = np.ones(2, floats())
    signal = G()(latent)
    return ji.Problem(ji.operators.dense(A()), A() @ signal, G(), ji.problems.Truth(latent, signal))


GENERATIVE = [
    row(
        "theory.check_descent",
        lambda: {"problem": _solved(), "u0": np.ones(2, floats()), "step_size": 0.1,
                 "num_steps": 3},
        says=("trace", "subgradient"),
        slow=True,
    ),
    row(
        "theory.check_landscape",
        lambda: {"problem": _solved(), "key": KEY, "num_points": 4},
        says=("expected_gradient",),
        slow=True,
    ),
    row(
        "theory.descent_guarantee",
        lambda: {"depth": 2, "epsilon": 0.01, "initial_loss": 0.5, "noise_norm": 0.1},
    ),
    row("theory.check_range_recovery", lambda: {"problem": _solved()}),
    row("theory.range_least_squares", lambda: {**_measured(), "y": np.ones(5, floats())}),
    row("theory.range_recovery_bound", lambda: {"representation_error": 0.1, "noise_norm": 0.2}),
    row("theory.check_expansive_conditions", lambda: dict(_DRAWS), slow=True),
    row("theory.check_noise_gain", lambda: dict(_DRAWS), slow=True),
    row("theory.check_range_isometry", lambda: dict(_DRAWS), slow=True),
    row(
        "theory.check_range_weights",
        lambda: {"key": KEY, "widths": (1, 4, 6), "num_trials": 2},
        slow=True,
    ),
    row("theory.contractive_widths", lambda: {"latent_size": 2, "depth": 3}),
    row("theory.necessary_measurements", lambda: {"theorem": "deep", "widths": (2, 8, 9)}),
    row("theory.noise_gain", lambda: dict(_SIZES)),
    row("theory.sufficient_measurements", lambda: {"theorem": "relu", "widths": (2, 8, 9)}),
    row("theory.width_conditions", lambda: {"widths": (2, 8, 9)}),
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
]  # fmt: skip
