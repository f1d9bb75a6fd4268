"""Iterative shrinkage-thresholding: proximal gradient descent."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, units
from jaxinv.problems import Problem, loss_and_gradient
from jaxinv.prox import Prox
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._proximal import mapping_error, penalty_prox, safe_step


class IstaState(NamedTuple):
    """State of ``ista``; ``step_size`` is None where the solver has its own."""

    u: Array
    step_size: Array | None
    scale: Array
    memory: Any


@pytree
class Ista(Solver):
    """See ``ista``."""

    step_size: Any
    prox: Prox

    patience = 2000
    judged_by_error = True
    misfits = "smooth"
    scalars = ("step_size",)
    units = units.table(step_size=units.STEP, u=units.UNKNOWN, scale=units.GRADIENT)

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self.prox.value(u)

    def init(self, problem: Problem, u0: Array) -> IstaState:
        step_size = safe_step(problem, u0) if self.step_size is None else None
        return IstaState(u0, step_size, gradient_scale(problem, u0), self.prox.start(u0))

    def step(self, problem: Problem, state: IstaState) -> tuple[IstaState, Info]:
        u, scale = state.u, state.scale
        step_size = state.step_size if self.step_size is None else self.step_size
        step_size = jnp.asarray(step_size).astype(numerics.real_dtype(u.dtype))
        loss, gradient = loss_and_gradient(problem, u)
        following, memory = self.prox.warm(u - step_size * gradient, step_size, state.memory)
        error = mapping_error(u - following, u, gradient, step_size, scale)
        info = Info(loss + self.prox.value(u), error)
        return IstaState(following, state.step_size, scale, memory), info


def ista(step_size: Any = None, penalty: Any = None, *, prox: Prox | None = None) -> Ista:
    r"""Proximal gradient descent, for sparse and other penalized least squares.

    .. math::
        \min_u \tfrac12 \|A u - y\|^2 + R(u), \qquad
        u_{t+1} = \mathrm{prox}_{\eta R}\bigl(u_t - \eta A^* (A u_t - y)\bigr)

    With ``penalty`` λ the term R is λ‖u‖₁. ``fista`` solves the same problem in far fewer
    steps; use this one as a layer of networks, for penalties that are not convex, and as the
    reference. The unknown may be coefficients: with ``prior`` = ``wavelet(shape).H`` the model
    is A Wᴴ u. A model that is not linear is stepped by its gradient all the same.

    Args:
        step_size: η > 0, scalar; converges for η < 2/‖A‖². None: 1/(1.02 ‖A‖²), with the norm
            of the whole linear model estimated once at the start.
        penalty: λ >= 0, scalar, or one weight per coefficient.
        prox: any proximal operator of ``jaxinv.prox``, in place of ``penalty``.

    Returns:
        A solver. ``info.loss`` is the whole objective at the point that the step started from;
        ``info.error`` is ‖u_{t+1} − u_t‖ / (η ‖A*y‖), the prox-gradient mapping relative to the
        gradient at 0: it does not depend on the step, is 0 exactly at a solution, and float32
        brings it to about 1e-7 ‖A‖² ‖u‖ / ‖A*y‖. No step tells
        more than half the spacing of the numbers at u over η, nor does the error.

    Raises:
        ValueError: a step that is not positive; none or both of ``penalty`` and ``prox``.

    Cost: A and A* once a step; with ``step_size=None`` also the norm, once.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> key = jax.random.key(0)
        >>> sol = ji.solve(ista(penalty=0.01), family.sample(key), family.initial(key))
        >>> ji.describe(sol.status)[:9]
        'CONVERGED'

        A grid over one leaf is a ``vmap``; ``in_axes`` marks that leaf, here the penalty:

        >>> solver = ista(0.1, jax.numpy.array([0.01, 0.1]))
        >>> axes = jax.tree.map(lambda leaf: 0 if jax.numpy.ndim(leaf) else None, solver)
        >>> run = jax.vmap(ji.solve, in_axes=(axes, None, None))
        >>> run(solver, family.sample(key), family.initial(key)).u.shape
        (2, 100)

    Source: Daubechies, Defrise, De Mol (2004); Beck, Teboulle (2009), section 3.
    """
    if step_size is not None:
        step_size = checks.positive("ista", "step_size", step_size)
    return Ista(step_size, penalty_prox("ista", penalty, prox))
