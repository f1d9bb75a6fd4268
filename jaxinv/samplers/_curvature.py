"""The precision of a posterior at a point, by Gauss-Newton."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares
from jaxinv.solvers._levenberg_marquardt import _energy_expansion, _expansion
from jaxinv.solvers._linearized import data_size, raveled


def noise_penalty(problem: Problem, noise_std: Any, dtype: Any) -> Array:
    """Return λ so that loss + λ energy is λ times the negative log density."""
    complex_squares = has_squares(problem) and jnp.iscomplexobj(problem.y)
    share = 0.5 if complex_squares else 1.0  # squares of complex noise count twice
    return share * jnp.square(jnp.asarray(noise_std).astype(dtype))


def curvature(problem: Problem, u: Any, penalty: Array) -> tuple[Array, Array, Array]:
    """Return the point as a vector, a matrix P, and the order c: the precision is P c²/λ."""
    problem, vector, _ = raveled(problem, u)
    _, _, (gram, _, order) = _expansion(problem, vector, data_size(problem, vector))
    _, _, of_energy = _energy_expansion(problem, vector, penalty, order)
    return vector, gram + of_energy, order
