"""LAMP: approximate message passing with trained matrices and shrinkage."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv import shrinkage as shrinkages
from jaxinv._core import checks, numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.shrinkage import Shrinkage
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.solvers._message_passing import MessageState, first_state, message_step
from jaxinv.unfolded._shared import measurement, relative_change


@pytree
class Lamp(Solver):
    r"""A layer of ``lamp``: one step of ``solvers.amp`` whose Aᵀ and shrinkage are trained.

    .. math::
        v_t = y - A x_t + b_t v_{t-1}, \qquad
        x_{t+1} = \eta_t(x_t + W_t^T v_t, \|v_t\| / \sqrt{m}), \qquad
        b_{t+1} = \frac{1}{m} \sum_i \eta_t'(\cdot)_i

    ``info.error`` is ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        weights: W, shape (m, n).
        shrinkage: η, of ``jaxinv.shrinkage``.
        operator: the A that the weights were made for; the problem's own is the one applied.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    shrinkage: Shrinkage
    operator: Any
    positive: tuple[str, ...] = static(default=())

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> MessageState:
        return first_state(problem, u0)

    def step(self, problem: Problem, state: MessageState) -> tuple[MessageState, Info]:
        def backward(residual: Array) -> Array:
            # v W reads the rows of W and needs no transposed copy
            return numerics.matmul(residual, self.weights)

        update = message_step(problem, state, self.shrinkage, backward, problem.y.size)
        error = relative_change(update.u, state.u)
        return MessageState(update.u, update.residual, update.onsager), Info(update.loss, error)


def lamp(
    operator: Any,
    num_layers: int,
    *,
    shrinkage: Shrinkage | None = None,
    tied: bool = False,
) -> Layers:
    r"""Make LAMP: unfolded approximate message passing.

    .. math::
        v_t = y - A x_t + b_t v_{t-1}, \qquad
        x_{t+1} = \eta_t(x_t + W_t^T v_t, \|v_t\| / \sqrt{m}), \qquad
        b_{t+1} = \frac{1}{m} \sum_i \eta_t'(\cdot)_i

    Untrained, and for columns of norm 1, it is ``solvers.amp``, which for a Gaussian A is hard to
    beat; training adapts it to other matrices, and the shrinkage to the signals. With noisy
    measurements use ``shrinkage.posterior_mean``; the network then comes within a dB of the
    Bayes error.

    Args:
        operator: A, the measurement matrix, real, shape (m, n), m <= n, or a linear operator on
            vectors. Columns of norm 1 are best; others give a warning. W starts at a_i / ‖a_i‖².
        num_layers: T >= 1.
        shrinkage: η, the same in all layers at first; default ``shrinkage.soft()``.
        tied: one W for all layers.

    Returns:
        ``Layers``; trained are ``weights`` and ``shrinkage`` (one per layer).

    Raises:
        ValueError: A complex, with a zero column, or with more rows than columns.
        TypeError: not a shrinkage.

    Notes: the published code multiplies ‖v‖/√m by a trained number, as here with the soft
        threshold; W is not multiplied by a further number.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> layers = lamp(problem.operator, 8, shrinkage=ji.shrinkage.posterior_mean(0.05))
        >>> layers.solver.weights.shape, layers.trainable
        ((8, 50, 100), ('weights', 'shrinkage'))
        >>> float(ji.metrics.nmse_db(ji.unfold(layers, problem), problem.truth.x)) < -20
        True

    Source: Borgerding, Schniter, Rangan (2017); the variant of Chen, Liu, Wang, Yin (2018).
    """
    where = "lamp"
    num_layers = checks.count(where, "num_layers", num_layers)
    tied = checks.boolean(where, "tied", tied)
    shrinkage = shrinkages.soft() if shrinkage is None else shrinkage
    if not isinstance(shrinkage, Shrinkage):
        checks.fail_type(where, "shrinkage", "be a shrinkage", shrinkage, "See ji.shrinkage.")
    given = measurement(where, operator)
    if jnp.iscomplexobj(given.matrix):
        checks.fail(where, "operator", "be real", given.matrix)
    weights = given.matrix / jnp.sum(jnp.square(given.matrix), axis=0)
    numbers: Any = jax.tree.map(lambda leaf: jnp.asarray(leaf, weights.dtype), shrinkage)
    return Layers.repeat(
        Lamp(weights, numbers, given.operator),
        num_layers,
        shared=("weights", "operator") if tied else ("operator",),
        trainable=("weights", "shrinkage"),
    )
