"""Parallel tempering: replicas that the measurements hold less and less, and that are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num, PRNGKeyArray

from jaxinv._core import checks, pytree, static
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.problems._problem import prior_energy
from jaxinv.samplers._base import Sampler, SamplerInfo, Wrapped, can_be_heated


class TemperedState(NamedTuple):
    """State of ``tempered``: the point, the states of all replicas, whose pairs are next, a key."""

    u: Any
    replicas: Any
    odd: Array
    key: Array


@pytree
class Tempered(Wrapped):
    """See ``tempered``."""

    sampler: Any
    temperatures: Array
    largest_step: Any
    swap_every: int = static()

    scalars = ("largest_step",)

    def _ladder(self) -> Any:
        """Return the samplers of all temperatures, their numbers along a first axis."""
        return jax.vmap(partial(self.sampler.heated, largest_step=self.largest_step))(
            self.temperatures
        )

    def _start(self, problem: Problem, u: Any, key: Array) -> Any:
        keys = jax.random.split(key, len(self.temperatures))
        return jax.vmap(lambda sampler, u, key: sampler.init(problem, u, key))(
            self._ladder(), u, keys
        )

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> TemperedState:
        size = len(self.temperatures)
        everywhere = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), u0)
        key, start_key = jax.random.split(key)
        replicas = self._start(problem, everywhere, start_key)
        return TemperedState(u0, replicas, jnp.zeros((), jnp.int32), key)

    def step(self, problem: Problem, state: TemperedState) -> tuple[TemperedState, SamplerInfo]:
        key, coin_key, start_key = jax.random.split(state.key, 3)
        ladder = self._ladder()

        def advance(replicas: Any, _: None) -> tuple[Any, SamplerInfo]:
            return jax.vmap(lambda sampler, state: sampler.step(problem, state))(ladder, replicas)

        replicas, info = lax.scan(advance, state.replicas, None, length=self.swap_every)
        u = replicas.u
        log_density = jax.vmap(partial(self.log_density, problem))(u)
        likelihood = log_density + jax.vmap(partial(prior_energy, problem.prior))(u)
        power = 1 / self.temperatures.astype(likelihood.dtype)
        ratio = (power[:-1] - power[1:]) * (likelihood[1:] - likelihood[:-1])
        probability = jnp.exp(jnp.minimum(ratio, 0))
        probability = jnp.where(jnp.isnan(probability), 0, probability)
        coin = jax.random.uniform(coin_key, probability.shape, probability.dtype)
        tried = jnp.arange(len(ratio)) % 2 == state.odd
        swapped = (tried & (coin < probability)).astype(jnp.int32)
        order = jnp.arange(len(power)) + jnp.pad(swapped, (0, 1)) - jnp.pad(swapped, (1, 0))
        u = jax.tree.map(lambda leaf: leaf[order], u)
        replicas = self._start(problem, u, start_key)  # densities and gradients where it is now
        events = jax.tree.map(lambda event: jnp.max(jnp.mean(event, 0)), info.events)
        reported = SamplerInfo(
            log_density[order[0]], jnp.mean(info.accepted[:, 0]), {**events, "swapped": probability}
        )
        cold = jax.tree.map(lambda leaf: leaf[0], u)
        return TemperedState(cold, replicas, 1 - state.odd, key), reported


def tempered(
    sampler: Sampler,
    temperatures: Num[ArrayLike, "replicas"] | Sequence[float],
    *,
    swap_every: int = 5,
    largest_step: Any = 0.5,
) -> Tempered:
    r"""Let a sampler cross between modes, by replicas at temperatures that are exchanged.

    .. math::
        \log p_T(u) = -\frac{\mathrm{misfit}(u)}{T \sigma^2} - \mathrm{energy}(u), \qquad
        \text{swap } u_i, u_j \text{ with probability }
        \min\Bigl(1, e^{(1/T_i - 1/T_j)(\ell_j - \ell_i)}\Bigr), \quad
        \ell = -\mathrm{misfit}/\sigma^2

    For posteriors of several modes far apart, such as u and −u of magnitudes: one chain then
    stays where it began, and says nothing of the others. Only the likelihood is heated, so that a
    hot replica draws from the prior. The draws are those of the replica with T = 1, whose density
    is the posterior. Where the modes are known to be equal by a symmetry, flipping signs at random
    is cheaper.

    Args:
        sampler: ``langevin``, ``nuts`` or ``hmc``, for T = 1.
        temperatures: 1 = T_1 < T_2 < ..., shape (replicas,), such as ``jnp.geomspace(1, 100, 6)``:
            the last one so hot that a chain crosses by itself, neighbors so close that
            ``info.events["swapped"]`` is 0.2 or more. A leaf.
        swap_every: steps of the sampler between exchanges (static).
        largest_step: L > 0, the step size for the prior alone: steps grow with the temperature by
            1/h_T = (1/h − 1/L)/T + 1/L, with squares of the steps of ``nuts`` and ``hmc``.

    Returns:
        A sampler for ``ji.sample``; each of its steps takes swap_every of the sampler and one
        exchange. ``accepted`` is that of T = 1, ``info.events["swapped"]`` the probability of
        an exchange for each pair of neighbors, (chains, draws, replicas − 1).

    Raises:
        TypeError: a sampler of another kind.
        ValueError: temperatures that do not begin with 1, or do not increase.

    Cost: (swap_every + 2) × replicas predictions and gradients a step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, 1.0, in_shape=1)
        >>> A = ji.operators.magnitude(ji.operators.identity(1))  # u is about ±1
        >>> problem = ji.Problem(A, jnp.ones(1), G)
        >>> sampler = tempered(ji.samplers.langevin(0.005, 0.2), [1.0, 4.0, 16.0, 64.0])
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(sampler, problem, jnp.ones((4, 1)), key=key, num_steps=2000)
        >>> bool(abs((draws.u > 0).mean() - 0.5) < 0.1)
        True

    Source: Geyer (1991), "Markov chain Monte Carlo maximum likelihood"; alternating pairs:
        Syed, Bouchard-Côté, Deligiannidis, Doucet (2022).
    """
    where = "tempered"
    can_be_heated(where, sampler)
    temperatures = checks.array(where, "temperatures", temperatures, ndim=1)
    if jnp.iscomplexobj(temperatures):
        checks.fail(where, "temperatures", "be real", temperatures)
    checks.finite(where, "temperatures", temperatures)
    if len(temperatures) < 2:
        checks.fail(where, "temperatures", "hold two at least", temperatures)
    if checks.is_concrete(temperatures):
        seen = np.asarray(temperatures, np.float64)
        if seen[0] != 1 or np.any(np.diff(seen) <= 0):
            hint = "Such as jnp.geomspace(1, 100, 6)."
            expected = "begin with 1, the posterior, and increase"
            checks.fail(where, "temperatures", expected, f"{seen.tolist()[:6]}", hint)
    swap_every = checks.count(where, "swap_every", swap_every)
    largest_step = checks.positive(where, "largest_step", largest_step)
    return Tempered(sampler, temperatures, largest_step, swap_every)
