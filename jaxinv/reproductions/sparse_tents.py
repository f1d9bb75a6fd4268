"""Signals of the lower bounds: measurements decide, while descent fails for lack of a slope."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.generators import sparse_tents
from jaxinv.operators import gaussian
from jaxinv.problems import Problem, Truth
from jaxinv.reproductions._models import draw_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, at_most, compare_exponent, holds
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import sweep

_SIZES = (4, 8, 16, 32, 64)
_NUM_MEASUREMENTS = 8
_FAR = 64  # from here on a start in the right tent is rare


def _trial(key: jax.Array, *, n: int) -> dict[str, Any]:
    """Return whether all tents searched, and descent, find the signal of one problem."""
    operator_key, latent_key, start_key = jax.random.split(key, 3)
    G = sparse_tents(n)
    A = gaussian(operator_key, _NUM_MEASUREMENTS, n)
    u = jax.random.uniform(latent_key, (1,), minval=-1, maxval=1)
    x = G(u)
    problem = Problem(A, A(x), G, Truth(u, x))
    start = jax.random.uniform(start_key, (1,), minval=-1, maxval=1)
    solution = solve(levenberg_marquardt(), problem, start, tol=1e-6, max_steps=100)
    return {
        "searched": _close(_all_tents(A.todense(), problem.y), x),
        "descent": _close(solution.x, x),
        "nonzeros": jnp.sum(x != 0),
    }


def _all_tents(matrix: jax.Array, y: jax.Array) -> jax.Array:
    """Return the signal of the global minimum: the best height of every tent, then the best."""
    heights = numerics.matmul(matrix.T, y) / jnp.sum(jnp.square(matrix), axis=0)
    heights = jnp.clip(heights, 0, 1)
    misfits = numerics.safe_norm(y[:, None] - matrix * heights, axis=0)[0]
    best = jnp.argmin(misfits)
    return jnp.zeros_like(heights).at[best].set(heights[best])


def _close(estimate: jax.Array, x: jax.Array) -> jax.Array:
    error = numerics.safe_norm(estimate - x)
    return (error < 1e-3 * numerics.safe_norm(x)).astype(jnp.float32)


def _run(settings: Settings) -> Outcome:
    found = sweep(
        jax.tree_util.Partial(_trial),
        {"n": _SIZES},
        key=settings.key,
        num_trials=trials(settings, 500),
        progress=settings.progress,
    )
    sparse = float(found["nonzeros"].max())
    successes = {name: found[name].values.astype(bool) for name in ("searched", "descent")}
    claims = [holds("most nonzero entries of a signal", 1.0, sparse, sparse == 1, "exactly")]
    rows = []
    for n, searched in zip(_SIZES, successes["searched"], strict=True):
        claims.append(at_least(f"success of all tents searched, n = {n}", searched, 0.95))
        # the start lies in the right tent once in n
        rows.append(row_of_mean(found["descent"].sel(n=n).values, n=n, law=1 / n))
    descent = successes["descent"]
    claims.append(at_most(f"success of descent, n = {_FAR}", descent[_SIZES.index(_FAR)], 0.1))
    what = "exponent of n in the success of descent"
    claims.append(compare_exponent(what, _SIZES, descent, -1.0, slack=0.3))
    draw = partial(
        draw_means,
        rows,
        axis="n",
        law="1/n: the start lies in the right tent",
        xlabel="entries n",
        ylabel="success rate of descent",
        scale="log",
        title=f"1-sparse signals of tents, m = {_NUM_MEASUREMENTS}: all tents searched finds all",
    )
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        name="sparse-tents",
        title="a generator of sparse signals, for which descent fails where measurements suffice",
        source="Liu, Scarlett (2020); figure 2 of Scarlett et al. (2022)",
        run=_run,
        cost="10 seconds",
    ),
)
