"""The loop of the samplers: chains side by side, every one a scan of steps."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import PRNGKeyArray

from jaxinv._core import Status, checks
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.samplers._base import Sampler, SamplerInfo
from jaxinv.samplers._diagnostics import effective_sample_size, rhat
from jaxinv.solvers._checked import check_problem, fit, step_limit

_LARGEST_RHAT = 1.01
_LEAST_EFFECTIVE = 400.0
_LEAST_DRAWS = 4
_COORDINATES = 16  # whose draws are sorted at once


class Samples(NamedTuple):
    """What ``sample`` returns.

    Attributes:
        u: the draws of the unknown; every leaf has a first axis for the chains and a second for
            the draws.
        x: their signals, with the same two axes.
        accepted: mean probability of acceptance after the burn-in, one per chain.
        rhat: rank-normalized split R-hat of every entry of the unknown; 1 where chains agree.
        ess: bulk effective sample size of every entry, of all chains together.
        status: int32 code per chain; ``describe(status)`` explains it.
        info: ``SamplerInfo`` of every draw, with axes for the chains and the draws: its log
            density, and the means of acceptance and events over the steps that led to it.
    """

    u: Any
    x: Array
    accepted: Array
    rhat: Any
    ess: Any
    status: Array
    info: Any = None

    def to_arviz(self) -> Any:
        """Return the draws as arviz keeps them, with log density, acceptance and events.

        For its tables and figures, by ``arviz`` (``pip install arviz``). The groups are
        ``posterior``, with the signal ``x`` and the unknown ``u`` (of a tree one variable for each
        leaf), and ``sample_stats``.
        """
        from jaxinv.samplers._arviz import to_arviz

        return to_arviz(self)


def sample(
    sampler: Sampler,
    problem: Problem,
    u0s: PyTree,
    *,
    key: PRNGKeyArray,
    num_steps: int,
    burn_in: int = 0,
    thin: int = 1,
) -> Samples:
    r"""Draw from the posterior of a problem by several chains.

    All chains take ``num_steps`` steps; the first ``burn_in`` are thrown away, and of the rest
    every ``thin``-th point is kept, (num_steps − burn_in)/thin draws a chain.

    Args:
        sampler: such as ``samplers.langevin(step_size, noise_std)``.
        problem: what to draw the unknown of; its truth is never read.
        u0s: the starts, one per chain along the first axis of every leaf; well apart, such as
            ``family.initial(key, num_chains)``, so that R-hat can see chains that do not mix.
        key: a JAX PRNG key.
        num_steps: steps of each chain (static).
        burn_in: steps that are thrown away, < num_steps (static).
        thin: steps per draw; divides num_steps − burn_in (static).

    Returns:
        ``Samples(u, x, accepted, rhat, ess, status, info)``. A status is NONFINITE for a chain
        with a draw that is no number; LONG_STEP where a chain without adjustment would have
        refused too many steps, or one with it refuses nearly all, or a path diverged; SAMPLED
        where R-hat is at most 1.01 and the effective sample size at least 400 for every entry;
        else UNMIXED. A sampler that knows of a failure of its own, as ``laplace`` of its solve,
        says so instead.

    Raises:
        TypeError: not a sampler, a problem or a key.
        ValueError: starts whose leaves hold different numbers of chains; complex starts; a
            burn-in that leaves nothing; a ``thin`` that does not divide; a density that is no
            scalar.

    Cost: num_steps of the sampler for each chain; only what is kept takes memory.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> key = jax.random.key(0)
        >>> draws = sample(ji.samplers.langevin(0.3, 1.0), problem, jax.random.normal(key, (16, 2)),
        ...                key=key, num_steps=2200, burn_in=200, thin=4)
        >>> ji.describe(draws.status[0])[:7], draws.u.shape
        ('SAMPLED', (16, 500, 2))
        >>> mean = draws.u.mean((0, 1))  # of the posterior: (1/2, 2/5)
        >>> bool(jnp.allclose(mean, jnp.array([0.5, 0.4]), atol=0.05))
        True

    Source: the diagnostics: Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021).
    """
    where = "sample"
    if not isinstance(sampler, Sampler):
        hint = "Make one with jaxinv.samplers, such as samplers.langevin(step_size, noise_std)."
        checks.fail_type(where, "sampler", "be a sampler", sampler, hint)
    sampler.check(where)
    key = checks.key(where, key)
    num_steps = step_limit(where, "num_steps", num_steps)
    burn_in = step_limit(where, "burn_in", burn_in)
    thin = checks.count(where, "thin", thin)
    if burn_in >= num_steps:
        checks.fail(where, "burn_in", f"be below num_steps = {num_steps}", burn_in)
    kept, rest = divmod(num_steps - burn_in, thin)
    if rest:
        expected = f"divide num_steps - burn_in = {num_steps - burn_in}"
        checks.fail(where, "thin", expected, thin)
    if kept < _LEAST_DRAWS:
        checks.fail(where, "num_steps", f"leave {_LEAST_DRAWS} draws of each chain", kept)
    problem = check_problem(where, problem, "any")._replace(truth=None)
    u0s = _starts(where, u0s)
    one = jax.tree.map(lambda leaf: leaf[0], u0s)
    u0s = fit(where, problem, one, u0s, "u0s[0]")
    _check_density(where, sampler, problem, u0s)
    return _run(sampler, problem, u0s, key, (burn_in, kept, thin))


def _starts(where: str, u0s: Any) -> Any:
    u0s = checks.array(where, "u0s", u0s) if isinstance(u0s, list) else u0s
    u0s = checks.arrays(where, "u0s", u0s)
    checks.finite(where, "u0s", u0s)
    counts = set()
    for leaf in jax.tree.leaves(u0s):
        if leaf.ndim == 0 or leaf.shape[0] == 0:
            hint = "Such as family.initial(key, num_chains)."
            checks.fail(where, "u0s", "have a first axis for the chains", leaf, hint)
        if jnp.iscomplexobj(leaf):
            checks.fail(where, "u0s", "be real", leaf)
        counts.add(leaf.shape[0])
    if len(counts) > 1:
        got = f"leaves of {', '.join(map(str, sorted(counts)))} chains"
        checks.fail(where, "u0s", "hold as many chains in every leaf", got)
    return u0s


def _check_density(where: str, sampler: Sampler, problem: Problem, u0s: Any) -> None:
    one = jax.tree.map(lambda leaf: leaf[0], u0s)
    density = jax.eval_shape(sampler.log_density, problem, one)
    if density.shape != () or not jnp.issubdtype(density.dtype, jnp.floating):
        got = f"{density.dtype} of shape {density.shape}"
        checks.fail(where, "the log density", "be one real number", got)


@partial(jax.jit, static_argnums=4)
def _run(
    sampler: Sampler, problem: Problem, u0s: Any, key: Array, lengths: tuple[int, int, int]
) -> Samples:
    burn_in, kept, thin = lengths

    def advance(state: Any, num_steps: int) -> tuple[Any, SamplerInfo]:
        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            state, total = carry
            state, info = sampler.step(problem, state)
            total = jax.tree.map(jnp.add, total, info)
            return (state, total._replace(log_density=info.log_density)), None

        shapes = jax.eval_shape(sampler.step, problem, state)[1]
        zero = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), shapes)
        state, total = lax.scan(step, (state, zero), None, length=num_steps)[0]
        mean = jax.tree.map(lambda one: one / num_steps, total)
        return state, mean._replace(log_density=total.log_density)

    def draw(state: Any, _: None) -> tuple[Any, tuple[Any, SamplerInfo]]:
        state, info = advance(state, thin)
        return state, (state.u, info)

    def chain(u0: Any, key: Array) -> tuple[Any, Array, SamplerInfo, Array]:
        state = sampler.init(problem, u0, key)
        if burn_in:
            state, _ = advance(state, burn_in)
        state, (u, info) = lax.scan(draw, state, None, length=kept)
        return u, lax.map(problem.signal, u), info, sampler.failure(state)

    num_chains = jax.tree.leaves(u0s)[0].shape[0]
    u, x, info, failure = jax.vmap(chain)(u0s, jax.random.split(key, num_chains))
    spread = jax.tree.map(partial(_each_entry, rhat), u)
    size = jax.tree.map(partial(_each_entry, effective_sample_size), u)
    accepted = jnp.mean(info.accepted, axis=1)
    draws = Samples(u, x, accepted, spread, size, failure, info)
    status = _judge(sampler, draws)
    status = jnp.where((failure == Status.SAMPLED) | (status == Status.NONFINITE), status, failure)
    return draws._replace(status=status)


def _each_entry(measure: Any, draws: Array) -> Array:
    """Apply a measure of (chains, draws) to every entry of the unknown."""
    entries = jnp.moveaxis(draws.reshape(*draws.shape[:2], -1), -1, 0)
    return lax.map(measure, entries, batch_size=_COORDINATES).reshape(draws.shape[2:])


_STUCK = 0.1  # adjusted: chains that refuse more than nine tenths hardly move


def _judge(sampler: Sampler, draws: Samples) -> Array:
    """Return the status of each chain; the worst news wins."""
    mixed = [jnp.all(leaf <= _LARGEST_RHAT) for leaf in jax.tree.leaves(draws.rhat)]
    enough = [jnp.all(leaf >= _LEAST_EFFECTIVE) for leaf in jax.tree.leaves(draws.ess)]
    good = jnp.all(jnp.stack(mixed + enough))
    status = jnp.where(good, Status.SAMPLED, Status.UNMIXED)
    accepted = draws.accepted
    long = (accepted < sampler.least_accepted) | (~good & (accepted < _STUCK))
    status = jnp.where(long, Status.LONG_STEP, status)
    for event, code in sampler.faults.items():
        status = jnp.where(jnp.max(draws.info.events[event], axis=1) > 0, code, status)
    finite = [
        jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
        for leaf in jax.tree.leaves(draws.u)
    ]
    status = jnp.where(jnp.all(jnp.stack(finite), axis=0), status, Status.NONFINITE)
    return status.astype(jnp.int32)
