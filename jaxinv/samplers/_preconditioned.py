"""Any sampler in the coordinates in which Gauss-Newton finds the posterior round."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from jaxinv._core import checks, numerics, pytree
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.problems._problem import prior_energy
from jaxinv.samplers._base import Sampler, SamplerInfo, Wrapped
from jaxinv.samplers._curvature import curvature, noise_penalty
from jaxinv.solvers._linearized import raveled


class PreconditionedState(NamedTuple):
    """State of ``preconditioned``: the point, the sampler's own state, and its coordinates."""

    u: Any
    inner: Any
    center: Array
    root: Array


@pytree
class _Moved:
    """The prior in the coordinates w of u = center + root w; it lives within one step."""

    prior: Any
    center: Array
    root: Array

    def point(self, w: Array) -> Array:
        """Return u of w."""
        return self.center + numerics.matmul(self.root, w).reshape(self.center.shape)

    def __call__(self, w: Array) -> Any:
        u = self.point(w)
        return u if self.prior is None else self.prior(u)

    def energy(self, w: Array) -> Float[Array, ""]:
        """Return the energy of u."""
        return prior_energy(self.prior, self.point(w))


@pytree
class Preconditioned(Wrapped):
    """See ``preconditioned``."""

    sampler: Any

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> PreconditionedState:
        dtype = jax.eval_shape(lambda u: self.log_density(problem, u), u0).dtype
        penalty = noise_penalty(problem, self.noise_std, dtype)
        center, matrix, order = curvature(problem, u0, penalty)
        root = (jnp.sqrt(penalty) / order * _inverse_root(matrix)).astype(center.dtype)
        moved = raveled(problem, u0)[0]
        moved = moved._replace(prior=_Moved(moved.prior, center, root))
        inner = self.sampler.init(moved, jnp.zeros(center.size, center.dtype), key)
        return PreconditionedState(u0, inner, center, root)

    def step(
        self, problem: Problem, state: PreconditionedState
    ) -> tuple[PreconditionedState, SamplerInfo]:
        flat, _, restored = raveled(problem, state.u)
        prior = _Moved(flat.prior, state.center, state.root)
        inner, info = self.sampler.step(flat._replace(prior=prior), state.inner)
        return state._replace(u=restored(prior.point(inner.u)), inner=inner), info


def _inverse_root(precision: Array) -> Array:
    """Return R with R Rᵀ = |P|⁻¹: an energy may curve downward, and a metric may not."""
    precision = numerics.at_least_single(precision)
    values, vectors = jnp.linalg.eigh(precision)
    sizes = jnp.abs(values)
    sizes = jnp.maximum(sizes, jnp.finfo(sizes.dtype).eps * jnp.max(sizes))
    return vectors / jnp.sqrt(sizes)


def preconditioned(sampler: Sampler) -> Preconditioned:
    r"""Run a sampler in coordinates in which the posterior is round, by Gauss-Newton.

    .. math:: u = u_0 + R w, \qquad R R^T = M^{-1}, \qquad
        M = J^* H J/\sigma^2 + \nabla^2\,\mathrm{energy} \quad \text{at } u_0

    with J the Jacobian and H the curvature of the misfit (I of squares). Where measurements fix
    some directions of the unknown and say nothing of others, one step length does not suit both;
    in w it does. M belongs to the start of each chain and stays as it is, so that draws are as
    exact as those of the sampler: start where M says something of the posterior, such as at what
    ``solvers.levenberg_marquardt`` finds. ``preconditioned(langevin(h, σ))`` has the steps
    v = u + h M⁻¹ ∇log p(u) + √(2h) R ξ.

    Args:
        sampler: its step size is now in units of w, whose posterior has precision about 1:
            0.5 for ``langevin`` and a few unknowns, 0.5 to 1 for ``nuts``. Around ``tempered`` and
            ``annealed_langevin`` too.

    Returns:
        A sampler for ``ji.sample``.

    Raises:
        TypeError: no sampler.

    Cost: a Jacobian and k³ once a chain; 2 k² more a prediction, and memory for k² a chain.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 1000.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> sampler = preconditioned(ji.samplers.langevin(0.5, 1.0))
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(sampler, problem, jnp.zeros((4, 2)), key=key, num_steps=2000)
        >>> bool(draws.ess.min() > 1000)
        True

    Source: Roberts, Stramer (2002), "Langevin diffusions and Metropolis-Hastings algorithms";
        Girolami, Calderhead (2011), with a metric that stays.
    """
    where = "preconditioned"
    if not isinstance(sampler, Sampler) or not hasattr(sampler, "noise_std"):
        hint = "Such as samplers.langevin(0.5, noise_std)."
        checks.fail_type(where, "sampler", "be a sampler with a noise_std", sampler, hint)
    return Preconditioned(sampler)
