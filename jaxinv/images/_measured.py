"""Measurements of an image, and what they show by themselves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import problems
from jaxinv._core import Status, numerics
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem

_CREST = 2.0  # the range of an image over its root mean square
_SMALL = 1e-6  # gains below, or above its inverse, are divided out: their squares end soon


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


@jax.jit
def in_units(operator: LinearOperator, y: Array) -> tuple[Array, Array, Array]:
    """Return the measurements in units of the image's range, that range, and the gain.

    The range is estimated from ‖y‖ and the mean gain of the operator on random images; the gain
    to divide out is 1 for ordinary ones, else a power of two.
    """
    probe = jax.random.normal(jax.random.key(0), operator.in_shape, unknown_dtype(operator, y))
    gain = numerics.safe_norm(operator(probe)) / numerics.safe_norm(probe)
    size = math.sqrt(math.prod(operator.in_shape))
    scale = numerics.safe_divide(_CREST / size * numerics.safe_norm(y), gain, default=1.0)
    usual = (gain > _SMALL) & (gain < 1 / _SMALL)
    return y / scale, scale, jnp.where(usual, 1.0, numerics.order(gain))


def unknown_dtype(operator: LinearOperator, y: Array) -> Any:
    return jax.eval_shape(operator.adjoint, y).dtype
