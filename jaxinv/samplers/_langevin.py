"""Overdamped Langevin dynamics, with and without the Metropolis step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, pytree, replace, static
from jaxinv.problems import Problem
from jaxinv.samplers._base import Sampler, SamplerInfo, heated_step

_LEAST_ACCEPTED = 0.99  # unadjusted: below it covariances are off by several percent


class LangevinState(NamedTuple):
    """State of ``langevin``: the point, its log density, the gradient of that, and a key."""

    u: Any
    log_density: Array
    gradient: Any
    key: Array


@pytree
class Langevin(Sampler):
    """See ``langevin``."""

    step_size: Any
    noise_std: Any
    adjust: bool = static(default=True)

    scalars = ("step_size", "noise_std")

    @property
    def least_accepted(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """An adjusted chain is right however few of its proposals are accepted."""
        return 0.0 if self.adjust else _LEAST_ACCEPTED

    def log_density(self, problem: Problem, u: Any) -> Float[Array, ""]:
        return problem.log_density(u, self.noise_std)

    def heated(self, temperature: Any, largest_step: Any) -> Langevin:
        step_size = heated_step(self.step_size, temperature, largest_step)
        noise_std = self.noise_std * jnp.sqrt(temperature)
        return replace(self, step_size=step_size, noise_std=noise_std)

    def _at(self, problem: Problem, u: Any) -> tuple[Array, Any]:
        return jax.value_and_grad(lambda u: self.log_density(problem, u))(u)

    def init(self, problem: Problem, u0: Any, key: Array) -> LangevinState:
        return LangevinState(u0, *self._at(problem, u0), key)

    def step(self, problem: Problem, state: LangevinState) -> tuple[LangevinState, SamplerInfo]:
        key, noise_key, coin_key = jax.random.split(state.key, 3)
        log_density = state.log_density
        step = jnp.asarray(self.step_size).astype(log_density.dtype)
        noise = _normal_like(noise_key, state.u)
        u = jax.tree.map(
            lambda u, g, e: u + (step * g + jnp.sqrt(2 * step) * e).astype(u.dtype),
            state.u, state.gradient, noise,
        )  # fmt: skip
        proposed, gradient = self._at(problem, u)
        # log q(u|v) - log q(v|u), without the difference of two large squares
        slope = jax.tree.map(jnp.add, state.gradient, gradient)
        log_ratio = (
            proposed - log_density
            - step / 4 * _inner(slope, slope) - jnp.sqrt(step / 2) * _inner(slope, noise)
        )  # fmt: skip
        ratio = jnp.exp(jnp.minimum(log_ratio, 0))
        accepted = jnp.where(jnp.isnan(ratio), 0, ratio)
        following = LangevinState(u, proposed, gradient, key)
        if self.adjust:
            coin = jax.random.uniform(coin_key, (), accepted.dtype)
            stay = state._replace(key=key)
            following = _choose(coin < accepted, following, stay)
        return following, SamplerInfo(following.log_density, accepted)


def _choose(first: Array, following: LangevinState, stay: LangevinState) -> LangevinState:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), following, stay)


def _normal_like(key: Array, u: Any) -> Any:
    leaves, structure = jax.tree.flatten(u)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def _inner(a: Any, b: Any) -> Array:
    products = jax.tree.map(lambda a, b: jnp.sum(a * b), a, b)
    return sum(jax.tree.leaves(products), start=jnp.zeros(()))


def langevin(step_size: Any, noise_std: Any, *, adjust: bool = True) -> Langevin:
    r"""Draw from the posterior of a generator's latent by overdamped Langevin dynamics.

    .. math::
        v = u + h \nabla \log p(u) + \sqrt{2h}\, \xi, \qquad
        \log p(u) = -\mathrm{misfit}(u)/\sigma^2 - \mathrm{energy}(u)

    With ``adjust`` the proposal v is accepted with probability
    min(1, p(v) q(u|v) / (p(u) q(v|u))), so that the chain has exactly the density p (MALA).
    Without, every proposal is taken: the chain has another density, the further off the longer
    the step; of a Gaussian with precision λ the variance is off by the share h λ / 2. The
    acceptance that it would have had is reported, and the status of ``ji.sample`` is LONG_STEP
    where its mean is below 0.99.

    Args:
        step_size: h > 0, scalar, in squared units of the unknown; about 1/λ_max of the
            precision AᵀA/σ² + I for few unknowns. An acceptance of 0.5 to 0.8 is best with
            ``adjust``.
        noise_std: σ > 0 of the noise per measurement; 1 for a misfit that is a negative
            log-likelihood, such as that of counts. See ``Problem.log_density``.
        adjust: accept or reject (exact), or take every proposal (biased, and one way to see it).

    Returns:
        A sampler for ``ji.sample``. The unknown may be any tree of real arrays.

    Raises:
        ValueError: a step or a noise that is not positive.

    Cost: one prediction and one gradient a step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> key = jax.random.key(0)
        >>> G = ji.generators.relu(key, (2, 30, 40))
        >>> A = ji.operators.gaussian(key, 20, 40)
        >>> problem = ji.Problem(A, A(G(jnp.array([1.0, -1.0]))), G)
        >>> starts = jax.random.normal(key, (8, 2))
        >>> draws = ji.sample(langevin(1e-3, 0.1), problem, starts, key=key, num_steps=200)
        >>> draws.u.shape, bool(draws.accepted.min() > 0.5)
        ((8, 200, 2), True)

    Source: Roberts, Tweedie (1996); for generative priors Jalal et al. (2021).
    """
    where = "langevin"
    return Langevin(
        checks.positive(where, "step_size", step_size),
        checks.positive(where, "noise_std", noise_std),
        checks.boolean(where, "adjust", adjust),
    )
