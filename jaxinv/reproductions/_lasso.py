"""Noiseless sparse recovery by the Lasso: the trial of the preset ``lasso``."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import replace
from jaxinv.metrics import relative_error
from jaxinv.problems._sparse import SparseFamily, sparse
from jaxinv.solvers import fista, solve

MEASUREMENTS, SIZE = 200, 400
_PENALTY = 1e-4  # of the largest that leaves anything, max |Aᵀ y|


def recover(
    family: SparseFamily, tol: Any, max_steps: Any, key: Any, *, num_nonzeros: Any
) -> dict[str, Any]:
    """Draw one signal with ``num_nonzeros`` entries, solve a nearly unpenalized Lasso, score it."""
    problem = replace(family, num_nonzeros=num_nonzeros).sample(key)
    largest = jnp.max(jnp.abs(problem.operator.adjoint(problem.y)))
    solver = fista(penalty=_PENALTY * largest)
    solution = solve(solver, problem, family.initial(key), tol=tol, max_steps=max_steps)
    return {
        "error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def _trial(dtype: Any) -> Any:
    family = sparse(MEASUREMENTS, SIZE, num_nonzeros=MEASUREMENTS, dtype=dtype)
    return jax.tree_util.Partial(recover, family, 1e-6, 5000)


SOLVERS = {"fista": _trial}
