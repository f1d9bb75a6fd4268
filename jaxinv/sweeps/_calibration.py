"""Simulation-based calibration: a sampler held against thousands of problems with known truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from jaxinv._core import Status, checks
from jaxinv.problems import Family, Problem
from jaxinv.problems._generative import Networks
from jaxinv.problems._problem import require_family
from jaxinv.samplers import Sampler, sample
from jaxinv.sweeps._progress import Progress
from jaxinv.sweeps._ranks import (
    LARGEST_RHAT,
    LEAST_A_BIN,
    LEAST_INDEPENDENT,
    Calibration,
    judged,
)
from jaxinv.sweeps._sweep import sweep

_MOST_ENTRIES = 16  # of one quantity
_SPARE = 4  # draws kept for each one that ranks are taken among, at least
_BLOCK = 16  # chains fill a batch by themselves; each size that is measured costs a compile
_LEVELS = (0.5, 0.8, 0.9, 0.95)

Quantity = Callable[[Problem, Any], Any]


def _u(problem: Problem, u: Any) -> Array:
    return ravel_pytree(u)[0]


def _x(problem: Problem, u: Any) -> Array:
    return ravel_pytree(problem.signal(u))[0]


def _loss(problem: Problem, u: Any) -> Array:
    return problem.loss(u)


QUANTITIES: dict[str, Quantity] = {"u": _u, "x": _x, "loss": _loss}


class _Plan(NamedTuple):
    """Sizes of a trial: chains, their steps, and the draws that ranks are taken among."""

    num_chains: int
    num_steps: int
    burn_in: int
    thin: int
    num_draws: int

    @property
    def num_kept(self) -> int:
        return self.num_chains * ((self.num_steps - self.burn_in) // self.thin)


def calibration(
    family: Family,
    sampler: Sampler,
    *,
    key: PRNGKeyArray,
    num_trials: int,
    num_steps: int,
    num_chains: int = 4,
    burn_in: int = 0,
    thin: int = 1,
    start: Callable[[Problem, Any], Any] | None = None,
    quantities: Sequence[str] | Mapping[str, Quantity] = ("u", "loss"),
    num_draws: int = 199,
    num_bins: int = 20,
    block_size: int | str | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | bool | None = None,
) -> Calibration:
    r"""Check on problems with known truth that a sampler draws from the posterior.

    .. math:: u^* \sim p(u), \quad y \sim p(y \mid u^*), \quad u_1, \dots, u_L \sim p(u \mid y)
        \;\Rightarrow\; \#\{l : f(u_l) < f(u^*)\} \text{ uniform on } 0, \dots, L

    for every quantity f, over problems drawn by the family, where the draws are independent and
    those of the posterior. Intervals then hold the truth as often as they say. Ranks that pile
    up at both ends tell draws that are too narrow, in the middle too wide, at one end a bias.
    One compiled program runs all problems. Chains that do not mix have ranks that tell nothing:
    the verdict then is that there is none.

    Args:
        family: draws the problems. Its truth has to come from the prior that the sampler
            assumes, exp(−energy(u)), N(0, I) of a generator, and its noise be Gaussian with the
            sampler's ``noise_std``: ``problems.generative(generator=G, noise_std=...)``.
        sampler: as for ``ji.sample``.
        key: a JAX PRNG key.
        num_trials: problems, at least 5 ``num_bins``; a thousand see a spread that is off by a
            tenth.
        num_steps, burn_in, thin: of each chain, as in ``ji.sample``; must keep 4 L draws of all
            chains together.
        num_chains: from starts ``family.initial(key)``.
        start: function of (problem, u0) that moves the start drawn for a chain, such as to what
            a solver finds from there. The problem has no truth then.
        quantities: names of ``"u"``, ``"x"`` and ``"loss"``, or names to functions of (problem,
            u) that return a number or an array, of which 16 entries at most are taken, evenly.
            The loss sees what single entries do not.
        num_draws: L, spread evenly over all draws kept, so that they are nearly independent.
        num_bins: of the histogram; divides L + 1.
        block_size: problems at a time; "auto" measures, None is 16 on a CPU, else measured.
        store, progress: as in ``ji.sweep``.

    Returns:
        ``Calibration``: ranks, histogram, p-values, coverage with Wilson intervals, R-hat,
        statuses, ``holds`` and a ``verdict`` in words.

    Raises:
        ValueError: a family without noise, without a truth, or whose truth has a norm that is
            given; too few problems for the bins, or draws for the ranks.

    Cost: ``num_trials`` times ``ji.sample``, in blocks.

    Notes: the test is Pearson's chi-squared one of the histogram. It assumes independent
        problems, and draws that are nearly independent of each other (effective size of at
        least 1.5 L, or the problem counts as not mixed). Ranks of equal values are drawn among
        their places. The p-value of several quantities is Bonferroni's. That a test is passed
        says only that these quantities, over so many problems of this prior, show no error.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> family = ji.problems.generative(generator=G, noise_std=0.5)
        >>> found = calibration(family, ji.samplers.laplace(0.5), key=jax.random.key(0),
        ...                     num_trials=500, num_steps=200, block_size=100)
        >>> found.holds, found.names
        (True, ('u[0]', 'u[1]', 'loss'))
        >>> wrong = calibration(family, ji.samplers.laplace(0.3), key=jax.random.key(0),
        ...                     num_trials=500, num_steps=200, block_size=100)
        >>> wrong.verdict[:47]
        'not calibrated: draws too narrow in u[0], u[1];'

    Source: Talts, Betancourt, Simpson, Vehtari, Gelman (2018), "Validating Bayesian inference
        algorithms with simulation-based calibration"; the loss as a quantity: Modrák et al.
        (2023).
    """
    where = "calibration"
    key = checks.key(where, key)
    _check_family(where, family)
    if not isinstance(sampler, Sampler):
        hint = "Make one with jaxinv.samplers, such as samplers.langevin(step_size, noise_std)."
        checks.fail_type(where, "sampler", "be a sampler", sampler, hint)
    plan = _plan(where, num_chains, num_steps, burn_in, thin, num_draws)
    num_bins = checks.count(where, "num_bins", num_bins, minimum=2)
    num_trials = checks.count(where, "num_trials", num_trials)
    if plan.num_draws < num_bins - 1 or (plan.num_draws + 1) % num_bins:
        expected = f"be a multiple of num_bins = {num_bins}, less 1"
        checks.fail(where, "num_draws", expected, num_draws, f"Such as {10 * num_bins - 1}.")
    if num_trials < LEAST_A_BIN * num_bins:
        expected = f"be at least {LEAST_A_BIN * num_bins}, {LEAST_A_BIN} for each bin"
        checks.fail(where, "num_trials", expected, num_trials)
    chosen = _quantities(where, quantities)
    names = _names(where, family, chosen)
    functions = tuple(chosen.values())  # a dict would come back in the order of its names
    if block_size is None:
        block_size = _BLOCK if jax.default_backend() == "cpu" else "auto"
    if start is not None:
        start = checks.as_function(where, "start", start, "start(problem, u0)")
    trial = jax.tree_util.Partial(partial(_trial, plan), family, sampler, functions, start)
    found = sweep(
        trial, {}, key=key, num_trials=num_trials, block_size=block_size, store=store,
        progress=progress,
    )  # fmt: skip
    ranks = np.stack([found[f"rank{i:03d}"].values for i in range(len(names))], axis=1)
    chains = found["rhat"].values, found["ess"].values, found["status"].values
    return judged(names, ranks, plan.num_draws, num_bins, _LEVELS, chains)


def _check_family(where: str, family: Any) -> None:
    require_family(where, family)
    if isinstance(getattr(family, "source", None), Networks):
        hint = "Give one: problems.generative(generator=G, noise_std=...)."
        got = "signals of a norm that is given"
        checks.fail(where, "family", "draw its latent from the prior N(0, I)", got, hint)
    levels = (getattr(family, name, None) for name in ("noise_std", "noise_norm"))
    noise_std, noise_norm = (float(v) if isinstance(v, float) else None for v in levels)
    if noise_norm:
        got = f"noise_norm = {noise_norm:g}"
        checks.fail(where, "family", "have Gaussian noise of a noise_std", got)
    if noise_std == 0:
        hint = "The sampler assumes noise of its noise_std."
        checks.fail(where, "family", "have noise_std > 0", "0", hint)
    truth = jax.eval_shape(family.sample, jax.random.key(0)).truth
    if truth is None or truth.u is None:
        got = "truth None" if truth is None else "truth.u None"
        checks.fail(where, "family", "draw problems whose truth is known", got)


def _plan(
    where: str, num_chains: Any, num_steps: Any, burn_in: Any, thin: Any, num_draws: Any
) -> _Plan:
    """Return the sizes of a trial; refuse too few draws before anything is compiled."""
    plan = _Plan(
        checks.count(where, "num_chains", num_chains),
        checks.count(where, "num_steps", num_steps),
        checks.count(where, "burn_in", burn_in, minimum=0),
        checks.count(where, "thin", thin),
        checks.count(where, "num_draws", num_draws),
    )
    if plan.num_kept < _SPARE * plan.num_draws:
        expected = f"leave {_SPARE * plan.num_draws} draws of all chains, {_SPARE} for each rank"
        checks.fail(where, "num_steps", expected, f"{max(plan.num_kept, 0)} draws")
    return plan


def _quantities(where: str, quantities: Any) -> dict[str, Any]:
    if isinstance(quantities, str):
        quantities = (quantities,)
    if not isinstance(quantities, Mapping | Sequence) or not quantities:
        expected = "be names, or a dict of names to functions of (problem, u)"
        checks.fail_type(where, "quantities", expected, quantities)
    if isinstance(quantities, Mapping):
        return {
            str(name): checks.as_function(where, f"quantities[{name!r}]", fn, "f(problem, u)")
            for name, fn in quantities.items()
        }
    chosen = (checks.choice(where, "quantities", name, QUANTITIES) for name in quantities)
    return {name: jax.tree_util.Partial(QUANTITIES[name]) for name in chosen}


def _names(where: str, family: Family, quantities: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of all entries that are ranked; refuse what has no order."""
    problem = jax.eval_shape(family.sample, jax.random.key(0))
    found: list[str] = []
    for name, fn in quantities.items():
        given = (problem._replace(truth=None), problem.truth.u)
        value = jax.eval_shape(lambda *each, fn=fn: jnp.asarray(fn(*each)), *given)
        if jnp.issubdtype(value.dtype, jnp.complexfloating) or not value.size:
            got = f"{value.dtype} of shape {value.shape}"
            checks.fail(where, f"quantities[{name!r}]", "return real numbers", got)
        found += [f"{name}[{i}]" for i in _entries(value.size)] if value.shape else [name]
    return tuple(found)


def _entries(size: int) -> list[int]:
    """Return the places of the entries that are taken of ``size``."""
    count = min(size, _MOST_ENTRIES)
    return [i * size // count for i in range(count)]


def _measured(quantities: Sequence[Any], problem: Problem, u: Any) -> Array:
    values = [jnp.ravel(jnp.asarray(fn(problem, u))) for fn in quantities]
    return jnp.concatenate([value[np.array(_entries(value.size))] for value in values])


def _trial(
    plan: _Plan, family: Family, sampler: Sampler, quantities: Sequence[Any], start: Any, key: Array
) -> dict[str, Array]:
    """Draw a problem and its posterior; return the ranks of the truth, and how the chains are."""
    problem_key, start_key, chain_key, tie_key = jax.random.split(key, 4)
    problem = family.sample(problem_key)
    truth, problem = problem.truth.u, problem._replace(truth=None)
    starts = jax.vmap(family.initial)(jax.random.split(start_key, plan.num_chains))
    if start is not None:
        starts = jax.vmap(partial(start, problem))(starts)
    draws = sample(
        sampler, problem, starts, key=chain_key, num_steps=plan.num_steps, burn_in=plan.burn_in,
        thin=plan.thin,
    )  # fmt: skip
    places = (2 * np.arange(plan.num_draws) + 1) * plan.num_kept // (2 * plan.num_draws)
    taken = jax.tree.map(lambda u: u.reshape(-1, *u.shape[2:])[places], draws.u)
    measure = partial(_measured, quantities, problem)
    # one program for both: a truth that is among the draws is then equal to itself
    both = jax.tree.map(lambda u, one: jnp.concatenate([u, one[None]]), taken, truth)
    values = jax.lax.map(measure, both)
    drawn, true = values[:-1], values[-1]
    ties = jnp.sum(drawn == true, 0)
    share = jax.random.uniform(tie_key, true.shape)
    ranks = jnp.sum(drawn < true, 0) + jnp.floor(share * (ties + 1)).astype(ties.dtype)
    rhat, ess = (ravel_pytree(tree)[0] for tree in (draws.rhat, draws.ess))
    named = {f"rank{i:03d}": rank for i, rank in enumerate(ranks)}
    return named | _chains(plan, draws.status, rhat, ess, jnp.all(jnp.isfinite(values)))


def _chains(plan: _Plan, status: Array, rhat: Array, ess: Array, finite: Array) -> dict[str, Array]:
    """Return how the chains of a trial are; the worst news wins."""
    enough = LEAST_INDEPENDENT * plan.num_draws
    mixed = jnp.all(rhat <= LARGEST_RHAT) & jnp.all(ess >= enough)
    found = jnp.where(mixed, jnp.int32(Status.SAMPLED), jnp.int32(Status.UNMIXED))
    broken = (status != Status.SAMPLED) & (status != Status.UNMIXED)
    first = status[jnp.argmax(broken)]
    found = jnp.where(jnp.any(broken), first, found)
    found = jnp.where(finite, found, jnp.int32(Status.NONFINITE))
    return {"rhat": jnp.max(rhat), "ess": jnp.min(ess), "status": found}
