"""What the reproductions of untrained priors share: claims, oracle curves, scores."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import operators
from jaxinv._core import numerics, pytree
from jaxinv.ntk import frequency_order, trigonometric_basis
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.prox._entrywise import Soft
from jaxinv.solvers import fista, trace
from jaxinv.untrained._stopping import Unstopped


@pytree
class OracleCurve(Unstopped):
    """No stopping; records the averaged estimate's mean squared error, which needs the truth.

    The truth is looked at only: the last estimate is kept, wherever the error was least.
    """

    truth: Any = None

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        return numerics.sum_squares(x - self.truth.astype(x.dtype)) / x.size


def decibels(squared_error: Any) -> np.ndarray:
    """Return the PSNR for images in [0, 1] of these mean squared errors."""
    return -10 * np.log10(np.maximum(np.asarray(squared_error, float), 1e-12))


def psnr_db(estimate: Any, truth: Any) -> float:
    """Return the PSNR of an estimate with values clipped to [0, 1]; complex ones by magnitude."""
    estimate = np.asarray(estimate)
    estimate = np.abs(estimate) if np.iscomplexobj(estimate) else estimate
    error = np.mean(np.square(np.clip(estimate, 0, 1) - np.asarray(truth)))
    return float(decibels(error))


def triangle(size: int, width: int) -> np.ndarray:
    """Return the triangular kernel of norm 1 that the theory's figures use, centered."""
    taps = np.maximum(width - np.abs(np.arange(size) - size // 2), 0.0)
    return taps / np.linalg.norm(taps)


def gaussian_kernel(size: int, width: float) -> np.ndarray:
    """Return the published Gaussian kernel of norm 1; ``width`` is a share of the size."""
    offsets = np.arange(size) - size // 2
    taps = np.exp(-((offsets / (width * size)) ** 2))
    return taps / np.linalg.norm(taps)


@lru_cache
def published_descent(rate: float = 0.001) -> Any:
    """Return the update rule of CS-DIP: RMSprop as PyTorch defines it; one object, one trace."""
    import optax

    return optax.rmsprop(
        rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=0.9, initial_scale=0.0
    )


def color_lasso(operator: LinearOperator, y: Any) -> np.ndarray:
    """Return the Lasso estimate of a color image in the cosine basis, without noise.

    A path of falling penalties as ``images.baseline`` follows for gray images; it ends at
    a thousandth of the range, 2. The mean is not penalized.
    """
    basis = operators.dct(operator.in_shape).T
    problem = Problem(operator, y, basis)
    step = float(1 / (1.01 * operator.norm() ** 2))
    weights = jnp.ones(operator.in_shape).at[(0,) * len(operator.in_shape)].set(0)
    u = jnp.zeros(operator.in_shape)
    for threshold in 2 * np.geomspace(0.5, 1e-3, 30):
        solver = fista(step, prox=Soft(threshold / step * weights))
        u = trace(solver, problem, u, 10)[0].u
    return np.asarray(basis(u))


def first_below(values: Any, level: float) -> int:
    """Return the number of steps after which values first are below a level, or all of them."""
    below = np.flatnonzero(np.asarray(values) < level)
    return int(below[0]) + 1 if below.size else len(np.asarray(values))


def smooth_signal(key: Any, size: int, num_functions: int) -> Array:
    """Return a combination of the trigonometric functions of lowest frequency, of norm √size."""
    basis = trigonometric_basis(size)[:, frequency_order(size)[:num_functions]]
    signal = basis @ jax.random.normal(key, (num_functions,), basis.dtype)
    return math.sqrt(size) * signal / jnp.linalg.norm(signal)
