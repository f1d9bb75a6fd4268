"""Annealed Langevin dynamics: noise levels that fall to that of the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import PRNGKeyArray

from jaxinv._core import Status, checks, pytree, static
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.samplers._base import Sampler, SamplerInfo, Wrapped
from jaxinv.samplers._langevin import langevin


class AnnealedState(NamedTuple):
    """State of ``annealed_langevin``: the point, Langevin's own state, and the steps taken."""

    u: Any
    inner: Any
    num_steps: Array


@pytree
class Annealed(Wrapped):
    """See ``annealed_langevin``."""

    sampler: Any
    first_noise_std: Any
    largest_step: Any
    num_levels: int = static()
    steps_per_level: int = static()

    scalars = ("first_noise_std", "largest_step")

    @property
    def faults(self) -> dict[str, Status]:
        """A draw of an earlier level is none of the posterior."""
        return {**self.sampler.faults, "annealing": Status.ANNEALING}

    def _at(self, level: Array) -> Sampler:
        """Return the sampler of a level: σ falls by one factor from level to level."""
        left = 1 - level / (self.num_levels - 1)
        temperature = jnp.square(jnp.asarray(self.first_noise_std) / self.noise_std) ** left
        return self.sampler.heated(temperature, self.largest_step)

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> AnnealedState:
        count = jnp.zeros((), jnp.int32)
        return AnnealedState(u0, self._at(count).init(problem, u0, key), count)

    def step(self, problem: Problem, state: AnnealedState) -> tuple[AnnealedState, SamplerInfo]:
        reached, rest = jnp.divmod(state.num_steps, self.steps_per_level)
        last = self.num_levels - 1
        sampler = self._at(jnp.minimum(reached, last))
        inner = lax.cond(
            (rest == 0) & (reached <= last),
            lambda: sampler.init(problem, state.u, state.inner.key),
            lambda: state.inner,
        )
        inner, info = sampler.step(problem, inner)
        annealing = reached < last
        log_density = lax.cond(
            annealing, lambda: self.log_density(problem, inner.u), lambda: info.log_density
        )
        events = {**info.events, "annealing": annealing.astype(log_density.dtype)}
        count = jnp.minimum(state.num_steps + 1, self.num_levels * self.steps_per_level + 1)
        following = AnnealedState(inner.u, inner, count)
        return following, SamplerInfo(log_density, info.accepted, events)


def annealed_langevin(
    step_size: Any,
    noise_std: Any,
    *,
    first_noise_std: Any,
    num_levels: int = 10,
    steps_per_level: int = 100,
    largest_step: Any = 0.5,
    adjust: bool = True,
) -> Annealed:
    r"""Draw from the posterior by Langevin dynamics whose noise level falls to that of the data.

    .. math::
        \sigma_l = \sigma\, (\sigma_1/\sigma)^{1 - l/(L-1)}, \quad l = 0, \ldots, L - 1, \qquad
        \log p_l(u) = -\mathrm{misfit}(u)/\sigma_l^2 - \mathrm{energy}(u)

    At the first levels the measurements say little, and chains walk between the places that
    explain them; at the last level the chain is that of ``langevin``. It finds modes that a
    chain at the last level alone would not leave its start for. How many chains end in each is
    right only as far as the levels fall slowly, and R-hat says that they do not mix where there
    are several: ``tempered`` draws from all in their shares. In the latent of a generator, or in
    the signal itself, with ``flow.on_signals()`` as the prior.

    Args:
        step_size: h > 0 at the last level, as in ``langevin``; at the others
            1/h_l = (1/h − 1/L) σ²/σ_l² + 1/L, with L the ``largest_step``.
        noise_std: σ > 0 of the noise per measurement, as in ``langevin``.
        first_noise_std: σ_1 > σ, such as the size of the measurements.
        num_levels: L >= 2 (static).
        steps_per_level: steps of each level (static).
        largest_step: L > 0 of the prior alone: 1/2 suits N(0, I), a flow over signals needs
            about half the smallest variance of its signals.
        adjust: accept or reject, as in ``langevin``. Without, the published method.

    Returns:
        A sampler for ``ji.sample``, with a burn-in of at least num_levels × steps_per_level:
        draws from before the last level have the status ANNEALING.

    Raises:
        ValueError: a step or noise that is not positive, a first level that is not above the last.

    Cost: one prediction and one gradient a step; a prediction more before the last level.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, 1.0, in_shape=1)
        >>> A = ji.operators.magnitude(ji.operators.identity(1))  # u is about ±1
        >>> problem = ji.Problem(A, jnp.ones(1), G)
        >>> sampler = annealed_langevin(0.005, 0.2, first_noise_std=2.0)
        >>> key = jax.random.key(0)
        >>> starts = jnp.full((64, 1), 2.0)
        >>> draws = ji.sample(sampler, problem, starts, key=key, num_steps=1100, burn_in=1000)
        >>> 20 < int((draws.u[:, -1, 0] > 0).sum()) < 44
        True

    Source: Jalal, Karmalkar, Dimakis, Price (2021), "Instance-optimal compressed sensing via
        posterior sampling"; Song, Ermon (2019).
    """
    where = "annealed_langevin"
    noise_std = checks.positive(where, "noise_std", noise_std)
    first = checks.positive(where, "first_noise_std", first_noise_std)
    concrete = checks.is_concrete(first) and checks.is_concrete(noise_std)
    if concrete and not jnp.all(jnp.asarray(first) > jnp.asarray(noise_std)):
        checks.fail(where, "first_noise_std", f"be above noise_std = {noise_std}", first)
    step_size = checks.positive(where, "step_size", step_size)
    adjust = checks.boolean(where, "adjust", adjust)
    return Annealed(
        langevin(step_size, noise_std, adjust=adjust),
        first,
        checks.positive(where, "largest_step", largest_step),
        checks.count(where, "num_levels", num_levels, minimum=2),
        checks.count(where, "steps_per_level", steps_per_level),
    )
