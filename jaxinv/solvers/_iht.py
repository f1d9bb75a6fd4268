"""Iterative hard thresholding, with a fixed or a normalized step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv.problems import Problem, loss_and_gradient
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._proximal import safe_step
from jaxinv.solvers._sparsity import (
    keep_largest,
    largest_entries,
    num_entries,
    require_fit,
    sparsity_level,
)

_SLACK = 0.01  # c of the paper
_RATIO = 2.0 * (1 - _SLACK)  # kappa (1 - c) of the paper, > 1
_MOST_HALVINGS = 60


class IhtState(NamedTuple):
    """State of ``iht``; ``step_size`` is None where the solver has its own or normalizes."""

    u: Array
    step_size: Array | None
    scale: Array


@pytree
class Iht(Solver):
    """See ``iht``."""

    num_nonzeros: Any
    step_size: Any
    normalized: bool = static(default=False)

    patience = 500
    scalars = ("num_nonzeros", "step_size")
    units = units.table(step_size=units.STEP, u=units.UNKNOWN, scale=units.GRADIENT)

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_fit(where, self.num_nonzeros, problem, u0)

    def init(self, problem: Problem, u0: Array) -> IhtState:
        own = self.normalized or self.step_size is not None
        return IhtState(u0, None if own else safe_step(problem, u0), gradient_scale(problem, u0))

    def step(self, problem: Problem, state: IhtState) -> tuple[IhtState, Info]:
        u, scale = state.u, state.scale
        count = num_entries(self.num_nonzeros, u.size)
        loss, gradient = loss_and_gradient(problem, u)
        if self.normalized:
            following, step_size = _normalized_step(problem, u, gradient, count, scale)
        else:
            step_size = state.step_size if self.step_size is None else self.step_size
            step_size = jnp.asarray(step_size).astype(numerics.real_dtype(u.dtype))
            following = keep_largest(u - step_size * gradient, count)
        # (u − following) / η entry by entry, of which a short step leaves no digits
        mapping = jnp.where(following != 0, gradient, u / step_size)
        error = numerics.safe_norm(mapping) / scale
        return IhtState(following, state.step_size, scale), Info(loss, error)


def _normalized_step(
    problem: Problem, u: Array, gradient: Array, count: Array, scale: Array
) -> tuple[Array, Array]:
    """Return the next iterate and its step: exact on the support, shrunk if the support moves.

    Supports, and how often the step is shrunk, are constants for differentiation; so is the exact
    step near a solution, where it is the quotient of two rounding errors.
    """
    before = jnp.where(jnp.any(u != 0), largest_entries(u, count), largest_entries(gradient, count))
    inside = jnp.where(before, gradient, 0)
    image = jax.jvp(problem.predict, (u,), (inside,))[1]
    square, stretched = numerics.sum_squares(inside), numerics.sum_squares(image)
    told = jnp.sqrt(square) > jnp.finfo(scale.dtype).eps ** 0.5 * scale
    exact = lax.stop_gradient(numerics.safe_divide(square, stretched, default=1.0))
    exact = jnp.where(told, numerics.safe_divide(square, jnp.where(told, stretched, 1)), exact)
    step_size = exact / _RATIO ** lax.stop_gradient(
        _num_shrinkings(*lax.stop_gradient((problem, u, gradient, exact)), before, count)
    ).astype(exact.dtype)
    return keep_largest(u - step_size * gradient, count), step_size


def _num_shrinkings(
    problem: Problem, u: Array, gradient: Array, exact: Array, before: Array, count: Array
) -> Array:
    """Return how often the exact step is divided by ``_RATIO`` until the loss cannot rise."""
    _, push = jax.linearize(problem.predict, u)

    def acceptable(number: Array) -> Array:
        step_size = exact / _RATIO ** number.astype(exact.dtype)
        following = keep_largest(u - step_size * gradient, count)
        move = following - u
        stretch = numerics.sum_squares(push(move))
        stable = step_size * stretch <= (1 - _SLACK) * numerics.sum_squares(move)
        return stable | jnp.all((following != 0) == before)

    def unfinished(carry: tuple[Array, Array]) -> Array:
        return ~carry[1] & (carry[0] < _MOST_HALVINGS)

    def shrink(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return carry[0] + 1, acceptable(carry[0] + 1)

    zero = jnp.zeros((), jnp.int32)
    return lax.while_loop(unfinished, shrink, (zero, acceptable(zero)))[0]


def iht(num_nonzeros: Any, step_size: Any = None, *, normalized: bool | None = None) -> Iht:
    r"""Iterative hard thresholding, for signals with a known number of nonzero entries.

    .. math:: u_{t+1} = H_s\bigl(u_t + \eta A^* (y - A u_t)\bigr)

    H_s keeps the s entries of largest magnitude, exactly s of them: among equal ones the first.
    A fixed step that is safe is also small, and leaves the start slowly or gets trapped: the
    smaller η, the more fixed points. The default, normalized, takes at each step the exact
    minimizing step on the current support Γ and, when the support moves, shrinks it until

    .. math:: \eta = \frac{\|g_\Gamma\|^2}{\|A g_\Gamma\|^2}
        \le (1 - c) \frac{\|u_{t+1} - u_t\|^2}{\|A (u_{t+1} - u_t)\|^2}

    holds (c = 0.01, each time by 1.98), so that the loss never rises whatever the norm of A.

    Args:
        num_nonzeros: s, an integer >= 1; or a float in (0, 1], the fraction of all entries,
            rounded to at least one. It may be traced or batched.
        step_size: η > 0, scalar; the loss never rises for η <= 1/‖A‖². None: see ``normalized``.
        normalized: choose each step as above; default where no ``step_size`` is given. False
            without one: 1/(1.02 ‖A‖²), the norm estimated once.

    Returns:
        A solver. ``info.error`` is ‖u_{t+1} − u_t‖ / (η ‖A*y‖), as of ``ista``: 0 exactly at a
        fixed point, and computed from the gradient on the support, so that a short step does not
        hide it. A fixed point need not be the sparsest solution.

    Raises:
        ValueError: a count below 1 or above m or n, a fraction outside (0, 1],
            a step that is not positive, or one together with ``normalized``.

    Cost: A and A* once a step; normalized, A three times, and once more for each shrinking; the
        s-th largest entry costs as many passes over u as a float has bits.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> sol = ji.solve(iht(5, normalized=True), problem, family.initial(jax.random.key(0)))
        >>> ji.describe(sol.status)[:9], float(ji.metrics.nmse(sol.x, problem.truth.x)) < 1e-9
        ('CONVERGED', True)

    Source: Blumensath, Davies (2009), equation 7; normalized: Blumensath, Davies (2010),
        section II.
    """
    where = "iht"
    num_nonzeros = sparsity_level(where, num_nonzeros)
    if normalized is None:
        normalized = step_size is None
    normalized = checks.boolean(where, "normalized", normalized)
    if step_size is not None:
        if normalized:
            hint = "The normalized step is chosen anew at each step."
            checks.fail(where, "step_size", "be None with normalized=True", step_size, hint)
        step_size = checks.positive(where, "step_size", step_size)
    return Iht(num_nonzeros, step_size, normalized)
