"""ALAMP: message passing through a computed linear estimator, a few numbers a layer trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import shrinkage as shrinkages
from jaxinv._core import checks, numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import Measurement, measurement

_RIDGE = 0.1
_LEAST_MEMORY = 0.6  # of the correction at ridge 0; 1 for large ridges, where this is AMP


class AlampState(NamedTuple):
    """State of ``Alamp``: the estimate, the corrected residual, and the mean derivative."""

    u: Array
    residual: Array
    derivative: Array


@pytree
class Alamp(Solver):
    r"""A layer of ``alamp``.

    .. math::
        v_t &= y - A x_t + b_t \tfrac{n}{m} \langle \eta'_{t-1} \rangle \, v_{t-1} \\
        x_{t+1} &= \eta_t\Bigl(x_t + \gamma_t c(\rho_t) A^* (A A^* + \rho_t I)^{-1} v_t;\;
            \kappa_t \|v_t\| / \sqrt{m} \Bigr)

    c(ρ) makes the mean of the diagonal of c A*(A A* + ρ I)⁻¹A equal to 1. ``info.error`` is
    ‖y − A x_t‖ / ‖y‖.

    Attributes:
        rotated: Uᴴ A, shape (m, n), with A A* = U Λ Uᴴ.
        rotation: U, shape (m, m).
        spectrum: diagonal of Λ, shape (m,).
        ridge: ρ > 0: the noise variance over that of the estimate's error.
        step_size: γ > 0.
        onsager: b.
        noise_scale: κ > 0.
        shrinkage: η, any of ``jaxinv.shrinkage``.
        operator: the A that the weights were made for.
        positive: names of fields that training keeps positive.
    """

    rotated: Array
    rotation: Array
    spectrum: Array
    ridge: Any
    step_size: Any
    onsager: Any
    noise_scale: Any
    shrinkage: Any
    operator: Any
    positive: tuple[str, ...] = static(default=("ridge", "step_size", "noise_scale"))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> AlampState:
        return AlampState(u0, jnp.zeros_like(problem.y), jnp.zeros((), u0.dtype))

    def step(self, problem: Problem, state: AlampState) -> tuple[AlampState, Info]:
        u, y = state.u, problem.y
        ridge, step_size, onsager, noise_scale = (
            jnp.asarray(value).astype(u.dtype)
            for value in (self.ridge, self.step_size, self.onsager, self.noise_scale)
        )
        misfit = -problem.residual(u)
        memory = onsager * state.derivative * (u.size / y.size)
        residual = misfit + memory * state.residual
        filters = 1 / (self.spectrum + ridge)
        gain = step_size * u.size / jnp.sum(self.spectrum * filters)
        # r U and r W read the rows of the matrices and need no transposed copy
        filtered = filters * numerics.matmul(residual, self.rotation)
        pseudo = u + gain * numerics.matmul(filtered, self.rotated)
        noise_std = noise_scale * numerics.safe_norm(residual) / y.size**0.5
        following = self.shrinkage(pseudo, noise_std)
        derivative = jnp.mean(self.shrinkage.derivative(pseudo, noise_std))
        error = numerics.safe_divide(numerics.safe_norm(misfit), numerics.safe_norm(y))
        info = Info(0.5 * numerics.sum_squares(misfit), error)
        return AlampState(following, residual, derivative), info


def alamp(
    operator: Any,
    num_layers: int,
    *,
    shrinkage: shrinkages.Shrinkage | None = None,
    ridge: Any = _RIDGE,
) -> Layers:
    r"""Make ALAMP: LAMP whose matrix is computed, as ALISTA is LISTA whose matrix is.

    It joins three ideas: the linear estimator that is best for an error of given size
    (ridge regression, as in vector message passing), the correction that keeps the error of
    the estimate Gaussian (Onsager's), and thresholds from the sample's own residual. A handful
    of numbers a layer are trained, in a minute. The most accurate network here when the
    distribution of the signal is known: prefer ``hyperlista`` when it is not.

    Args:
        operator: A, the measurement matrix, real, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        shrinkage: η, trained from here; default ``shrinkage.posterior_mean(0.1)``.
        ridge: ρ > 0 of all layers at first. 0.1 suits signals without noise, 8 an SNR from 20 to
            40 dB, where the last layers should be those of approximate message passing.

    Returns:
        ``Layers``; trained are ``ridge``, ``step_size``, ``onsager``, ``noise_scale`` and the
        numbers of the shrinkage.

    Raises:
        ValueError: A complex, with a zero column or more rows than columns; ρ not positive.

    Cost: a layer takes 2 m n + m² multiplications.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = alamp(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 16)
        >>> layers.trainable
        ('ridge', 'step_size', 'onsager', 'noise_scale', 'shrinkage')

    Source: this library; parts from Borgerding, Schniter, Rangan (2017) (LAMP), Ma, Ping (2017)
        (orthogonal message passing) and Liu, Chen, Wang, Yin (2019) (computed weights).
    """
    where = "alamp"
    given = measurement(where, operator)
    if jnp.iscomplexobj(given.matrix):
        checks.fail(where, "operator", "be real", given.matrix)
    num_layers = checks.count(where, "num_layers", num_layers)
    ridge = checks.positive(where, "ridge", ridge)
    shrinkage = shrinkages.posterior_mean(0.1) if shrinkage is None else shrinkage
    if not isinstance(shrinkage, shrinkages.Shrinkage):
        hint = "Make one with jaxinv.shrinkage."
        checks.fail_type(where, "shrinkage", "be a shrinkage", shrinkage, hint)
    real = given.matrix.dtype
    rotated, rotation, spectrum = _diagonalized(given)
    solver = Alamp(
        rotated=rotated,
        rotation=rotation,
        spectrum=spectrum,
        ridge=jnp.asarray(ridge, real),
        step_size=jnp.ones((), real),
        onsager=jnp.asarray((_LEAST_MEMORY + ridge) / (1 + ridge), real),
        noise_scale=jnp.ones((), real),
        shrinkage=jax.tree.map(lambda leaf: jnp.asarray(leaf, real), shrinkage),
        operator=given.operator,
    )
    shared = ("rotated", "rotation", "spectrum", "operator")
    trained = ("ridge", "step_size", "onsager", "noise_scale", "shrinkage")
    return Layers.repeat(solver, num_layers, shared=shared, trainable=trained)


def _diagonalized(given: Measurement) -> tuple[Array, Array, Array]:
    """Return Uᵀ A, U and Λ, on the host in float64 where the matrix is concrete."""
    matrix = given.matrix
    if not checks.is_concrete(matrix):
        left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
        return values[:, None] * right, left, jnp.square(values)
    left, values, right = np.linalg.svd(np.asarray(matrix, float), full_matrices=False)
    parts = (values[:, None] * right, left, np.square(values))
    rotated, rotation, spectrum = (jnp.asarray(part, matrix.dtype) for part in parts)
    return rotated, rotation, spectrum
