"""Tuning a network with few numbers: a random grid, then a local search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks
from jaxinv.problems import Family
from jaxinv.solvers import Layers
from jaxinv.unfolded._scoring import check_loss
from jaxinv.unfolded._training import network_loss, require_trainable

_MOST_NUMBERS = 12
_SHRINK, _GROW = 0.7, 1.15  # of the search radius after a round without, with, an improvement
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from the start to the winner


class Tune(NamedTuple):
    """A tuned network, and how it came about.

    Attributes:
        layers: the network with the best numbers.
        values: loss of every candidate, (num_candidates + num_rounds * width,).
        best: loss of the network on the fresh problems that chose between the last five.
    """

    layers: Layers
    values: Array
    best: Array


class _Setting(NamedTuple):
    loss: Any
    num_problems: int
    num_fresh: int
    num_candidates: int
    num_rounds: int
    width: int


def tune(
    key: Any,
    layers: Layers,
    family: Family,
    *,
    loss: str | Callable[..., Any] = "log_nmse",
    num_problems: int = 256,
    num_fresh: int = 3000,
    num_candidates: int = 192,
    spread: float = 3.0,
    num_rounds: int = 24,
    width: int = 8,
) -> Tune:
    r"""Choose the few numbers of a network by trying: HyperLISTA's three, for example.

    Candidates are drawn log-uniformly around the present values, within a factor ``spread``;
    the best is then improved by rounds of ``width`` Gaussian steps of its logarithm, whose
    radius shrinks when nothing improves. The winner of hundreds of candidates is often one that
    just solves every problem it was scored on and fails on one in a few hundred others, so five
    points between the start and the winner are compared on fresh problems in the end. No gradient
    is needed: numbers that only choose a support are tuned too.

    Args:
        key: a JAX PRNG key.
        layers: the network; its trainable fields hold at most 12 numbers in all, none negative;
            one that is 0 stays 0.
        family: where problems come from; all candidates see the same ones.
        loss: as in ``fit``.
        num_problems: problems that every candidate is scored on.
        num_fresh: problems that decide in the end.
        num_candidates: size of the random grid.
        spread: factor > 1 around the present values.
        num_rounds: rounds of local search.
        width: candidates a round.

    Returns:
        ``Tune(layers, values, best)``. A pure function: ``vmap`` over keys or families.

    Raises:
        ValueError, TypeError: an argument that cannot be; a number that is negative.

    Cost: ``num_candidates + num_rounds * width`` runs over ``num_problems`` problems, and five
        over ``num_fresh``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.problems.sparse(20, 40).sample(jax.random.key(0)).operator
        >>> family = ji.problems.sparse(20, 40, num_nonzeros=2, operator=A)
        >>> layers = ji.unfolded.hyperlista(A, 6)
        >>> options = dict(num_problems=32, num_fresh=64, num_candidates=8, num_rounds=2, width=4)
        >>> result = tune(jax.random.key(1), layers, family, **options)
        >>> result.values.shape
        (16,)

    Source: Chen, Liu, Wang, Yin (2021), section 4, tune by a grid from coarse to fine.
    """
    where = "tune"
    key = checks.key(where, key)
    require_trainable(where, layers)
    loss = check_loss(where, loss, layers, family)
    spread = checks.scalar(where, "spread", spread, low=1.0, open_low=True)
    trainable, _ = layers.partition()
    size = sum(leaf.size for leaf in jax.tree.leaves(trainable))
    if size > _MOST_NUMBERS:
        expected = f"have at most {_MOST_NUMBERS} trainable numbers"
        checks.fail(where, "layers", expected, str(size), "Train larger networks with fit.")
    for name, value in trainable.items():
        checks.nonnegative(where, f"layers.solver.{name}", value)
    setting = _Setting(
        loss=loss,
        num_problems=checks.count(where, "num_problems", num_problems),
        num_fresh=checks.count(where, "num_fresh", num_fresh),
        num_candidates=checks.count(where, "num_candidates", num_candidates),
        num_rounds=checks.count(where, "num_rounds", num_rounds, minimum=0),
        width=checks.count(where, "width", width),
    )
    return _tune(setting, layers, family, jax.random.split(key, 3), spread)


@partial(jax.jit, static_argnums=0)
def _tune(setting: _Setting, layers: Layers, family: Any, keys: Array, spread: Any) -> Tune:
    trainable, frozen = layers.partition()
    present, unflatten = jax.flatten_util.ravel_pytree(trainable)
    moves = present > 0
    start = jnp.log(jnp.where(moves, present, 1))
    seen = family.batch(jax.random.split(keys[0], setting.num_problems))

    def network(point: Array) -> Layers:
        return frozen.merge(unflatten(jnp.where(moves, jnp.exp(point), 0)))

    def score(point: Array, problems: Any) -> Array:
        value = network_loss(setting, network(point), family, problems, 0.0)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def scores(points: Array, problems: Any = seen) -> Array:
        return lax.map(lambda point: score(point, problems), points)

    grid_key, search_key = jax.random.split(keys[1])
    shape = (setting.num_candidates, start.size)
    offsets = jax.random.uniform(grid_key, shape, start.dtype, -1, 1) * jnp.log(spread)
    grid = start + offsets.at[0].set(0)  # the present values are the first candidate
    values = scores(grid)
    best = jnp.argmin(values)

    def search(carry: Any, key: Array) -> tuple[Any, Array]:
        point, value, radius = carry
        steps = jax.random.normal(key, (setting.width, start.size), start.dtype)
        tried = point + radius * steps
        found = scores(tried)
        index = jnp.argmin(found)
        better = found[index] < value
        point = jnp.where(better, tried[index], point)
        radius *= jnp.where(better, _GROW, _SHRINK)
        return (point, jnp.where(better, found[index], value), radius), found

    first = (grid[best], values[best], 0.25 * jnp.log(jnp.asarray(spread, start.dtype)))
    rounds = jax.random.split(search_key, setting.num_rounds)
    (point, _, _), later = lax.scan(search, first, rounds)
    every = jnp.concatenate([values, later.reshape(-1)])
    finalists = start + jnp.asarray(_SHARES, start.dtype)[:, None] * (point - start)
    fresh = family.batch(jax.random.split(keys[2], setting.num_fresh))
    final = scores(finalists, fresh)
    return Tune(network(finalists[jnp.argmin(final)]), every, jnp.min(final))
