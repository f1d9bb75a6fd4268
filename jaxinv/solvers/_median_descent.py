"""Median of means as a descent: along the block of median loss, blocks drawn anew each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import best_reflection, cotangent, gradient_scale


class MedianDescentState(NamedTuple):
    """State of ``median_descent``: the mean of the iterates, the last one, its opponent."""

    u: Array
    latest: Array
    rival: Array | None
    mean_gradient: Array
    num_steps: Array
    scale: Array


@pytree
class MedianDescent(Solver):
    """See ``median_descent``."""

    step_size: Any
    block_size: int = static()
    rival: bool = static(default=False)
    shuffle: bool = static(default=True)
    window: int = static(default=200)

    judged_by_error = True
    scalars = ("step_size",)
    units = units.table(
        step_size=units.STEP,
        u=units.UNKNOWN,
        latest=units.UNKNOWN,
        rival=units.UNKNOWN,
        mean_gradient=units.GRADIENT,
        scale=units.GRADIENT,
    )

    def check_problem(self, where: str, problem: Problem, u0: Any) -> None:
        if jnp.size(problem.y) < self.block_size:
            expected = f"have at least block_size = {self.block_size} entries"
            checks.fail(where, "problem.y", expected, problem.y)

    def objective(self, problem: Problem, u: Array) -> Array:
        order = jnp.arange(problem.y.size)
        means = self._means(problem.residual(u), order)
        return 0.5 * problem.y.size * means[_median(means)]

    def _means(self, residual: Array, order: Array) -> Array:
        """Return the mean square of each block; the last entries that fill none are left out."""
        blocks = self._blocks(numerics.magnitude(residual).reshape(-1)[order])
        return jax.vmap(numerics.sum_squares)(blocks) / self.block_size

    def _blocks(self, entries: Array) -> Array:
        count = entries.size // self.block_size
        return entries[: count * self.block_size].reshape(count, self.block_size)

    def _order(self, problem: Problem, num_steps: Array) -> Array:
        if not self.shuffle:
            return jnp.arange(problem.y.size)
        key = jax.random.fold_in(jax.random.key(0), num_steps)
        return jax.random.permutation(key, problem.y.size)

    def init(self, problem: Problem, u0: Array) -> MedianDescentState:
        zero = jnp.zeros((), jnp.int32)
        rival = u0 if self.rival else None
        scale = gradient_scale(problem, u0)
        return MedianDescentState(u0, u0, rival, jnp.zeros_like(u0), zero, scale)

    def step(self, problem: Problem, state: MedianDescentState) -> tuple[MedianDescentState, Info]:
        step_size = jnp.asarray(self.step_size).astype(state.u.dtype)
        order = self._order(problem, state.num_steps)
        latest = best_reflection(partial(self.objective, problem), problem, state.latest)
        residual, pulled = _linearized(problem, latest)
        losses, rival = self._means(residual, order), state.rival
        if rival is None:
            gradient = pulled(self._only(residual, order, losses))
            following = latest - step_size * gradient
        else:
            other, pulled_other = _linearized(problem, rival)
            against = self._means(other, order)
            gradient = pulled(self._only(residual, order, losses - against))
            following = latest - step_size * gradient
            losses = self._means(problem.residual(following), order)
            rival = rival - step_size * pulled_other(self._only(other, order, losses - against))
        num_steps = state.num_steps + 1
        weight = 1 / jnp.minimum(num_steps, self.window).astype(state.u.dtype)
        u = state.u + weight * (following - state.u)
        mean = state.mean_gradient + weight * (gradient - state.mean_gradient)
        error = numerics.safe_norm(mean) / state.scale
        loss = self.objective(problem, latest)
        broken = ~jnp.all(jnp.isfinite(residual))  # in blocks that are never the median too
        info = Info(jnp.where(broken, jnp.nan, loss), error)
        return MedianDescentState(u, following, rival, mean, num_steps, state.scale), info

    def _only(self, residual: Array, order: Array, losses: Array) -> Array:
        """Return the residual of the block whose loss is the median, times how many there are."""
        chosen = self._blocks(order)[_median(losses)]
        kept = jnp.zeros(residual.size, bool).at[chosen].set(True).reshape(residual.shape)
        return losses.size * jnp.where(kept, residual, 0)


def _linearized(problem: Problem, u: Array) -> tuple[Array, Callable[[Array], Array]]:
    prediction, pullback = jax.vjp(problem.predict, u)
    return prediction - problem.y, lambda r: jnp.conj(pullback(cotangent(r, prediction))[0])


def _median(values: Array) -> Array:
    """Return where the (lower) median is."""
    return jnp.argsort(values)[(values.size - 1) // 2]


def median_descent(
    step_size: Any,
    block_size: int,
    *,
    rival: bool = False,
    shuffle: bool = True,
    window: int = 200,
) -> MedianDescent:
    r"""Descend along the block of measurements whose loss is the median: a share is arbitrary.

    .. math:: u \leftarrow u - \eta \frac{m}{|B_j|} J_{B_j}^* r_{B_j}, \qquad
        j = \operatorname{arg\,median}_i \frac{1}{|B_i|} \|r_{B_i}\|^2

    The estimate is the mean of the last iterates. Of 200 measurements of which 5 % are gross
    outliers its error is 1.1 times that of squares without them; with blocks that stay, as in the
    paper (``shuffle=False``), and as a tournament (``rival=True``) 2 times. Start where
    ``levenberg_marquardt`` with ``misfits.median_of_means`` ends: near the answer each step
    is a sample of the whole. ``misfits.trimmed`` is faster where the share of outliers is known.

    Args:
        step_size: η > 0, scalar, as of ``subgradient``.
        block_size: |B| measurements in a block, >= 1: more than half of the blocks should be
            without an outlier, so below .7/ε for a share ε.
        rival: minimize over u the median of l_j(u) − l_j(v) against a v that maximizes it.
        shuffle: draw the blocks anew at each step, by a fixed sequence.
        window: iterates of the mean, >= 1; over more steps than that a running one.

    Returns:
        A solver; ``info.loss`` is the median of means of blocks in the order of y,
        ``info.error`` the norm of the mean gradient over ‖Jᴴ y‖: with noise it falls to a floor
        of about the noise's share over √window.

    Raises:
        ValueError: a step that is not positive, sizes below 1; at the first step, fewer
            measurements than a block has.

    Cost: as ``subgradient``, whose sign test it makes too; about twice that with a rival.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(3, 30, 60), num_measurements=60)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> struck = problem._replace(y=problem.y.at[:3].set(1.0))
        >>> sol = ji.solve(median_descent(0.2, 6), struck, family.initial(key), max_steps=2000)
        >>> float(ji.metrics.relative_error(sol.x, problem.truth.x)) < 1e-3
        True

    Source: Jalal, Liu, Dimakis, Caramanis (2020), "Robust compressed sensing using generative
        models", algorithm 1; shuffled blocks after Lecué, Lerasle (2020).
    """
    where = "median_descent"
    return MedianDescent(
        checks.positive(where, "step_size", step_size),
        checks.count(where, "block_size", block_size),
        checks.boolean(where, "rival", rival),
        checks.boolean(where, "shuffle", shuffle),
        checks.count(where, "window", window),
    )
