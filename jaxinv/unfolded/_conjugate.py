"""HyperLISTA that ends with conjugate gradients once it has found the support."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxinv._core import numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info
from jaxinv.unfolded._hyperlista import HyperLista

Array = jax.Array


class ConjugateState(NamedTuple):
    """State of ``ConjugateHyperLista``.

    ``num_stable`` counts layers that left the support as it was. While ``finishing``, the
    residual y − A u, its two products W* r and A⁺ r and the search direction are carried, so
    that a layer needs A and W once, for the direction.
    """

    u: Array
    previous: Array
    scale: Array
    num_stable: Array
    finishing: Array
    residual: Array
    direction: Array
    error: Array
    search: Array


@pytree
class ConjugateHyperLista(HyperLista):
    r"""A layer of HyperLISTA, or a step of conjugate gradients: each sample switches by itself.

    When the support S has not changed for ``num_stable`` layers, the layers that follow solve

    .. math:: (W^* A)_{SS}\, x_S = (W^* y)_S

    by conjugate gradients (W* A is symmetric and, on S, positive definite). The sample returns
    to thresholding as soon as an entry outside S would pass the threshold of HyperLISTA's own
    rule, :math:`\|(W^* r)_{S^c}\|_\infty > \theta`, or the curvature is not positive: a wrong
    support costs layers, not the estimate.

    Attributes:
        num_stable: layers with an unchanged support before the switch, >= 1 (static).
    """

    num_stable: int = static(default=2)

    def init(self, problem: Problem, u0: Array) -> ConjugateState:
        start = super().init(problem, u0)
        zero, none = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        blank = jnp.zeros_like(u0)
        residual = jnp.zeros_like(problem.y)
        return ConjugateState(u0, u0, start.scale, zero, none, residual, blank, blank, blank)

    def step(self, problem: Problem, state: ConjugateState) -> tuple[ConjugateState, Info]:
        finishing = state.finishing
        point = jnp.where(finishing, state.search, state.u)
        change = jnp.where(finishing, 0, problem.y) - problem.predict(point)
        direction, error = self.products(change)
        here = state._replace(
            residual=jnp.where(finishing, state.residual, change),
            direction=jnp.where(finishing, state.direction, direction),
            error=jnp.where(finishing, state.error, error),
        )
        misfit = jnp.sum(jnp.abs(here.error))
        info = Info(
            0.5 * numerics.sum_squares(here.residual), numerics.safe_divide(misfit, state.scale)
        )
        solved = self._conjugate(here, change, direction, error)
        shrunk = self._threshold(here, misfit)
        return jax.tree.map(lambda a, b: jnp.where(finishing, a, b), solved, shrunk), info

    def _threshold(self, state: ConjugateState, misfit: Array) -> ConjugateState:
        """Take a layer of HyperLISTA, or turn to conjugate gradients where the state is."""
        u = state.u
        following = self.follow(u, state.previous, state.direction, misfit, state.scale)
        same = jnp.all((following != 0) == (u != 0)) & jnp.any(u != 0)
        count = jnp.where(same, state.num_stable + 1, 0)
        switch = (count >= self.num_stable) & ~self._misses(u, state.direction, misfit)
        return state._replace(
            u=jnp.where(switch, u, following),
            previous=u,
            num_stable=count,
            finishing=switch,
            search=jnp.where(u != 0, state.direction, 0),
        )

    def _conjugate(
        self, state: ConjugateState, change: Array, direction: Array, error: Array
    ) -> ConjugateState:
        """Take one step along ``search``; ``change`` is −A search, then its two products."""
        support = state.u != 0
        gradient = jnp.where(support, state.direction, 0)
        energy = numerics.sum_squares(gradient)
        curvature = -jnp.real(numerics.inner(state.search, direction))
        step = jnp.where(curvature > 0, numerics.safe_divide(energy, curvature), 0)
        u = state.u + step * state.search
        u = jnp.where(support & (u == 0), state.u, u)  # an exact zero would leave the support
        moved = state.direction + step * direction
        error = state.error + step * error
        gradient = jnp.where(support, moved, 0)
        ratio = numerics.safe_divide(numerics.sum_squares(gradient), energy)
        misfit = jnp.sum(jnp.abs(error))
        stays = (curvature > 0) & ~self._misses(u, moved, misfit)
        return state._replace(
            u=u,
            previous=u,
            num_stable=jnp.zeros((), jnp.int32),
            finishing=stays,
            residual=state.residual + step * change,
            direction=moved,
            error=error,
            search=gradient + ratio * state.search,
        )

    def _misses(self, u: Array, direction: Array, misfit: Array) -> Array:
        """Whether an entry outside the support of ``u`` would pass the threshold."""
        outside = jnp.where(u != 0, 0, jnp.abs(direction))
        return jnp.max(outside) > self.threshold(misfit)
