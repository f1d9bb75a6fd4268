"""What the studies of noise share: one problem with k active latents, solved."""

from __future__ import annotations

from typing import Any

import jax

from jaxinv._core import numerics
from jaxinv.problems._generative import GenerativeFamily
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import sweep


def _error(family: GenerativeFamily, solver: Any, key: Any, *, k: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − y*‖ and its square for one problem with ``k`` active latents."""
    family = family.with_active(latent=k)
    problem = family.sample(key)
    solution = solve(solver, problem, family.initial(key), tol=1e-6, max_steps=100)
    squared = numerics.sum_squares(solution.x - problem.truth.x)
    return {"error": squared**0.5, "squared_error": squared, "status": solution.status}


def errors_over_k(family: Any, values: tuple[int, ...], settings: Settings, published: int) -> Any:
    """Return the errors of Levenberg-Marquardt by k."""
    return sweep(
        jax.tree_util.Partial(_error, family, levenberg_marquardt()),
        {"k": values},
        key=settings.key,
        num_trials=trials(settings, published),
        traced=("k",),
        progress=settings.progress,
    )
