"""The sampler contract: ``init`` and ``step`` on a frozen pytree, with a key in the state."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PRNGKeyArray

from jaxinv._core import Status, checks
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem


class SamplerInfo(NamedTuple):
    """What a step of a sampler reports and does not need again.

    Attributes:
        log_density: of the point after the step, up to a constant.
        accepted: probability with which the step's proposal is accepted; of a sampler that is
            not adjusted, the one that it would have had. ``sample`` gives its mean for each chain.
        events: what else the sampler counts, by name: 1 or a probability, 0 where nothing was.
    """

    log_density: Array
    accepted: Array
    events: Any = {}  # noqa: RUF012, never changed


class Sampler:
    """A Markov chain as a frozen pytree: numbers are leaves, switches static.

    A subclass gives ``init(problem, u0, key) -> State`` and ``step(problem, state) -> (State,
    SamplerInfo)``. State is a NamedTuple of what the next step needs: the point as ``state.u``,
    and a key. Steps do not converge, so ``ji.sample`` runs it, not ``ji.solve``.
    """

    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that hold one number; an array of them is one per trial of a vmap."""

    least_accepted: ClassVar[float] = 0.0
    """Mean acceptance below which the steps are called too long, whatever the chains look like."""

    faults: ClassVar[dict[str, Status]] = {}
    """Events after which the draws of a chain are not those of the posterior, and its status."""

    def check(self, where: str) -> None:
        """Refuse an array in a field for one number, outside the ``vmap`` that would split it."""
        for name in self.scalars:
            value = getattr(self, name)
            if getattr(value, "ndim", 0):
                hint = "For one value per trial use jax.vmap over the sampler."
                checks.fail(where, f"sampler.{name}", "be a scalar", value, hint)

    def log_density(self, problem: Problem, u: PyTree) -> Float[Array, ""]:
        """Return the log density that the chain draws from, up to a constant."""
        raise NotImplementedError

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> Any:
        """Return the first state, at ``u0``."""
        raise NotImplementedError

    def failure(self, state: Any) -> Int[Array, ""]:
        """Return the status of a chain that knows of a failure by itself, else SAMPLED."""
        return jnp.int32(Status.SAMPLED)

    def step(self, problem: Problem, state: Any) -> tuple[Any, Any]:
        """Return the next state, and a ``SamplerInfo``."""
        raise NotImplementedError

    def heated(self, temperature: Any, largest_step: Any) -> Sampler:
        """Return the sampler of the density whose likelihood has the power 1/temperature.

        Its steps are as long as that density allows, and ``largest_step`` where no measurement
        is left.
        """
        raise NotImplementedError


def heated_step(step_size: Any, temperature: Any, largest_step: Any) -> Array:
    """Return the step for the likelihood to the power 1/T: precisions add, steps are their inverse.

    1/h − 1/L of the likelihood becomes (1/h − 1/L)/T, and 1/L of the prior stays.
    """
    step_size = jnp.asarray(step_size)
    return step_size * temperature / (1 + (temperature - 1) * step_size / largest_step)


class Wrapped(Sampler):
    """A sampler that runs another one, its field ``sampler``, on the same posterior."""

    sampler: Any

    @property
    def noise_std(self) -> Any:
        """σ of the sampler that runs."""
        return self.sampler.noise_std

    @property
    def least_accepted(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the sampler that runs."""
        return self.sampler.least_accepted

    @property
    def faults(self) -> dict[str, Status]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the sampler that runs."""
        return self.sampler.faults

    def check(self, where: str) -> None:
        super().check(where)
        self.sampler.check(where)

    def log_density(self, problem: Problem, u: PyTree) -> Float[Array, ""]:
        return problem.log_density(u, self.noise_std)


def can_be_heated(where: str, sampler: Any) -> Any:
    """Return a sampler that knows its steps at any temperature; refuse others."""
    if not isinstance(sampler, Sampler) or type(sampler).heated is Sampler.heated:
        hint = "A metric goes around it: samplers.preconditioned(samplers.tempered(...))."
        checks.fail_type(where, "sampler", "be one of langevin, nuts or hmc", sampler, hint)
    return sampler
