"""Measurements of an image, and what they show by themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import problems
from jaxinv._core import Status, numerics
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem


class Noise(NamedTuple):
    """How much noise the measurements get; at most one is not None."""

    db: float | None
    std: float | None


class Found(NamedTuple):
    """What a prior made of the measurements; ``seeds`` has one image per fit of a network."""

    estimate: np.ndarray
    baseline: np.ndarray
    num_steps: int
    status: Status
    settings: dict[str, Any]
    seeds: Array | None = None
    rivals: tuple[tuple[str, np.ndarray], ...] = ()


@jax.jit
def measure(
    signal: Array, operator: LinearOperator, noise: Noise, key: Array, prior: Any = None
) -> tuple[Problem, Array]:
    """Return the problem without its truth, and σ√m."""
    family = problems.images(signal, operator, snr_db=noise.db, noise_std=noise.std, prior=prior)
    problem = family.sample(key)._replace(truth=None)
    if noise.db is not None:
        # the energy of the noisy measurements is that of the signal and of the noise
        energy = numerics.sum_squares(jnp.where(family.measured, problem.y, 0))
        return problem, jnp.sqrt(energy / (1 + 10 ** (noise.db / 10)))
    if noise.std is not None:
        return problem, noise.std * jnp.sqrt(jnp.sum(family.measured).astype(jnp.float32))
    return problem, jnp.zeros((), jnp.float32)


@jax.jit
def minimum_norm(operator: LinearOperator, y: Any) -> Array:
    """Return the least-squares solution of least norm: what the measurements say by themselves.

    Conjugate gradients from zero, which stay orthogonal to what the operator does not see; one
    step where its rows are orthogonal.
    """
    target = operator.adjoint(y)
    return jax.scipy.sparse.linalg.cg(operator.gram, target, tol=1e-3, maxiter=50)[0]
