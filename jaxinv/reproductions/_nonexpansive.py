"""The protocol of Cocola (2022), appendix H: recovery with non-expansive generative priors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv.metrics import relative_error
from jaxinv.problems._generative import GenerativeFamily, generative
from jaxinv.solvers import levenberg_marquardt, solve, subgradient

NUM_MEASUREMENTS = 300
PUBLISHED_STEP = 0.7  # in the papers' scaling, for two and for three layers

# success rates of 30 trials, read in the published data
PUBLISHED_TWO_LAYERS = {
    **dict.fromkeys((5, 10, 15, 20, 30, 40, 50, 60, 70, 80), 1.0),
    **{90: 0.967, 100: 1.0, 120: 0.90, 135: 0.50, 150: 0.167},
}
PUBLISHED_THREE_LAYERS = {
    **dict.fromkeys((5, 10, 15, 20, 30), 1.0),
    **{25: 0.967, 35: 0.933, 40: 0.933, 45: 0.767, 50: 0.767},
    **{55: 0.667, 60: 0.267, 70: 0.033, 80: 0.0},
}


def recover(
    family: GenerativeFamily,
    solver: Any,
    tol: Any,
    max_steps: Any,
    key: Any,
    *,
    k: Any,
    m: Any = None,
) -> dict[str, Any]:
    """Draw one problem with ``k`` latents (and ``m`` measurements) in use, solve it, and score it.

    ``error`` is that of the latent, as in the published curve; ``signal_error`` that of G(z).
    """
    family = family.with_active(latent=k, measurements=m)
    problem = family.sample(key)
    solution = solve(solver, problem, family.initial(key), tol=tol, max_steps=max_steps)
    return {
        "error": relative_error(solution.u, problem.truth.u),
        "signal_error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def family(
    hidden: tuple[int, ...],
    largest_k: int,
    dtype: Any,
    largest_m: int = NUM_MEASUREMENTS,
    **noise: Any,
) -> Any:
    """Return the family padded to ``largest_k`` latents."""
    return generative((largest_k, *hidden), largest_m, dtype=dtype, **noise)


def solvers(
    hidden: tuple[int, ...], largest_k: int, largest_m: int = NUM_MEASUREMENTS
) -> Mapping[str, Callable]:
    """Return the trials by solver name, each a function of the dtype."""
    return {
        "levenberg-marquardt": partial(_second_order, hidden, largest_k, largest_m),
        "subgradient": partial(_first_order, hidden, largest_k, largest_m),
    }


def _second_order(hidden: tuple[int, ...], largest_k: int, largest_m: int, dtype: Any) -> Any:
    tol = 1e-6 if dtype == jnp.float32 else 1e-12
    draws = family(hidden, largest_k, dtype, largest_m)
    return jax.tree_util.Partial(recover, draws, levenberg_marquardt(), tol, 100)


def _first_order(hidden: tuple[int, ...], largest_k: int, largest_m: int, dtype: Any) -> Any:
    """Return the published algorithm: constant step, sign test at every step."""
    tol = 2e-7 if dtype == jnp.float32 else 1e-12
    solver = subgradient(PUBLISHED_STEP / 2 ** len(hidden))
    draws = family(hidden, largest_k, dtype, largest_m)
    return jax.tree_util.Partial(recover, draws, solver, tol, 20_000)
