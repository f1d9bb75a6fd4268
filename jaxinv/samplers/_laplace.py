"""Laplace's approximation: independent draws of a Gaussian at the point of largest density."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PRNGKeyArray

from jaxinv._core import Status, checks, pytree, static
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.samplers._base import Sampler, SamplerInfo
from jaxinv.samplers._curvature import curvature, noise_penalty
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.solvers._linearized import data_size, raveled


class LaplaceState(NamedTuple):
    """State of ``laplace``: a draw, its log weight, the Gaussian, the solver's status, a key.

    The Gaussian has the mean ``center`` and the covariance ``root`` ``root``ᵀ.
    """

    u: Any
    log_weight: Array
    center: Array
    root: Array
    status: Array
    key: Array


@pytree
class Laplace(Sampler):
    """See ``laplace``."""

    noise_std: Any
    tol: Any
    max_steps: int = static()
    adjust: bool = static()

    scalars = ("noise_std", "tol")

    def log_density(self, problem: Problem, u: PyTree) -> Float[Array, ""]:
        return problem.log_density(u, self.noise_std)

    def failure(self, state: LaplaceState) -> Int[Array, ""]:
        """Return the status of the solve, unless it has converged."""
        converged = state.status == Status.CONVERGED
        return jnp.where(converged, jnp.int32(Status.SAMPLED), state.status)

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> LaplaceState:
        real = jax.eval_shape(partial(self.log_density, problem), u0).dtype
        penalty = noise_penalty(problem, self.noise_std, real)
        solver = levenberg_marquardt(latent_penalty=penalty)
        tol = jnp.asarray(self.tol, real) * jnp.asarray(self.noise_std, real)
        tol = tol / data_size(problem, u0).astype(real)  # of one column against all measurements
        found = solve(solver, problem, u0, tol=tol, max_steps=self.max_steps)
        center, matrix, order = curvature(problem, found.u, penalty)
        root = jnp.sqrt(penalty) / order * _inverse_root(matrix)
        key, draw_key = jax.random.split(key)
        zero = jnp.zeros((), real)
        state = LaplaceState(found.u, zero, center, root.astype(real), found.status, key)
        u, log_weight, _ = self._proposal(problem, state, draw_key)
        return state._replace(u=u, log_weight=log_weight)

    def _proposal(self, problem: Problem, state: LaplaceState, key: Array) -> tuple[Any, Any, Any]:
        """Return a draw of the Gaussian, log(density over the Gaussian's), and the log density."""
        normal = jax.random.normal(key, (state.center.size,), state.root.dtype)
        vector = state.center + (state.root @ normal).reshape(state.center.shape)
        u = raveled(problem, state.u)[2](vector)
        log_density = self.log_density(problem, u)
        return u, log_density + 0.5 * jnp.sum(jnp.square(normal)), log_density

    def step(self, problem: Problem, state: LaplaceState) -> tuple[LaplaceState, SamplerInfo]:
        key, draw_key, coin_key = jax.random.split(state.key, 3)
        u, log_weight, log_density = self._proposal(problem, state, draw_key)
        accepted = jnp.exp(jnp.minimum(log_weight - state.log_weight, 0))
        accepted = jnp.where(jnp.isnan(accepted), 0, accepted)
        following = state._replace(u=u, log_weight=log_weight, key=key)
        if self.adjust:
            taken = jax.random.uniform(coin_key, (), accepted.dtype) < accepted
            stay = state._replace(key=key)
            following = jax.tree.map(partial(jnp.where, taken), following, stay)
            log_density = jnp.where(taken, log_density, self.log_density(problem, state.u))
        return following, SamplerInfo(log_density, accepted)


def _inverse_root(precision: Array) -> Array:
    """Return R with R Rᵀ = P⁻¹, by Gaussian elimination on [P | I]; NaN where P is not positive.

    In a batch a column at a time is faster than one call of LAPACK for each small matrix.
    """
    size = len(precision)
    below = jnp.arange(size)

    def eliminate(j: Any, rows: Array) -> Array:
        row = rows[j] / jnp.sqrt(rows[j, j])
        factors = jnp.where(below > j, rows[:, j] / jnp.sqrt(rows[j, j]), 0)
        return (rows - jnp.outer(factors, row)).at[j].set(row)

    rows = jnp.concatenate([precision, jnp.eye(size, dtype=precision.dtype)], axis=1)
    return jax.lax.fori_loop(0, size, eliminate, rows)[:, size:].T


def laplace(
    noise_std: Any, *, adjust: bool = False, tol: Any = 1e-3, max_steps: int = 300
) -> Laplace:
    r"""Draw from the Gaussian that fits the posterior where its density is largest.

    .. math:: u \sim N\bigl(u^*, (J^* H J/\sigma^2 + \nabla^2\,\mathrm{energy})^{-1}\bigr)

    with u* of Levenberg-Marquardt, from the start of each chain, and J and the misfit's curvature
    H (I of squares) there. Draws are independent, and cost one solve and no burn-in: the fast
    rival of a chain. They are those of the posterior where the model is linear; else as good as
    ``accepted`` says, or ``sweeps.calibration``. Chains that have found other maxima have an
    R-hat that shows it: each maximum is then one chain's, whatever its share of the posterior.

    Args:
        noise_std: σ > 0 of the noise per measurement, as in ``langevin``.
        adjust: accept or refuse each draw, by the ratio of the densities (independent proposals
            of Metropolis and Hastings): exact in the long run, where the Gaussian covers the
            posterior.
        tol: about how far the mean may be off, in standard deviations: the tolerance of the solve
            is that times σ/‖y‖. In float32 σ/‖y‖ has to be above 1e-4 or so.
        max_steps: of the solve.

    Returns:
        A sampler for ``ji.sample``. ``accepted`` is the mean probability that a draw would
        follow another one: 1 for a Gaussian posterior. ``status`` is the solver's where that has
        not converged, and NONFINITE where the Hessian is not positive definite.

    Raises:
        ValueError: a noise that is not positive; steps below 1.

    Cost: a solve and k³ once a chain; k² and one prediction a draw.

    Notes: second derivatives of the model are left out (Gauss-Newton), as the steps of the
        solver leave them out.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(laplace(1.0), problem, jax.random.normal(key, (4, 2)), key=key,
        ...                   num_steps=1000)
        >>> variance = draws.u.var((0, 1))  # of the posterior: (1/2, 1/5)
        >>> bool(jnp.allclose(variance, jnp.array([0.5, 0.2]), rtol=0.1))
        True

    Source: Tierney, Kadane (1986), "Accurate approximations for posterior moments"; adjusted:
        Tierney (1994), independence chains.
    """
    where = "laplace"
    return Laplace(
        checks.positive(where, "noise_std", noise_std),
        checks.nonnegative(where, "tol", tol),
        checks.count(where, "max_steps", max_steps),
        checks.boolean(where, "adjust", adjust),
    )
