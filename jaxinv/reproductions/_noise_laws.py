"""What the studies of noise share: one problem with k active latents, solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxinv._core import numerics, replace
from jaxinv.reproductions._models import recovered
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.solvers import levenberg_marquardt
from jaxinv.sweeps import sweep


def _error(family: Any, solver: Any, tol: Any, key: Any, *, k: Any, noise: Any) -> dict[str, Any]:
    """Return ‖G(ẑ) − y*‖, its square and ‖ẑ − z*‖² for k active latents.

    ``noise`` is ‖η‖ of measurements, σ of the whole vector where a signal is denoised.
    """
    family = family.with_active(latent=k)
    if family.num_measurements is None:
        family = replace(family, noise_std=noise / family.source.widths[-1] ** 0.5)
    else:
        family = replace(family, noise_norm=noise)
    problem, solution = recovered(family, solver, key, tol=tol)
    squared = numerics.sum_squares(solution.x - problem.truth.x)
    return {
        "error": squared**0.5,
        "squared_error": squared,
        "squared_latent_error": numerics.sum_squares(solution.u - problem.truth.u),
        "status": solution.status,
    }


def errors_over(
    family: Any,
    grid: Mapping[str, Sequence[Any]],
    settings: Settings,
    published: int,
    tol: float = 1e-6,
) -> Any:
    """Return the errors of Levenberg-Marquardt by k and by the level of the noise."""
    return sweep(
        jax.tree_util.Partial(_error, family, levenberg_marquardt(), tol),
        grid,
        key=settings.key,
        num_trials=trials(settings, published),
        traced=("k", "noise"),
        progress=settings.progress,
    )
