"""Levenberg-Marquardt: damped Gauss-Newton on the Jacobian of the whole model."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, static, units
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem, jacobian
from jaxinv.problems._problem import has_squares, prior_energy
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linearized import (
    LATENT_PENALTY,
    best_reflection,
    data_size,
    is_gaussian,
    latent_weight,
    raveled,
)
from jaxinv.solvers._restarts import Restarts, with_restarts

_SMALLEST, _LARGEST = 1e-7, 1e7


class LevenbergMarquardtState(NamedTuple):
    """State of ``levenberg_marquardt``."""

    u: Array
    damping: Array
    size: Array


@pytree
class LevenbergMarquardt(Solver):
    """See ``levenberg_marquardt``."""

    damping: Any
    factor: Any
    negate: bool = static(default=True)
    latent_penalty: Any = None

    patience = 25
    takes_trees = True
    misfits = "any"
    scalars = ("damping", "factor", "latent_penalty")
    units = units.table(latent_penalty=LATENT_PENALTY, u=units.UNKNOWN, size=units.DATA)

    @property
    def judged_by_error(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """With a penalty the objective tends to a positive value."""
        return self.latent_penalty is not None

    def objective(self, problem: Problem, u: Any) -> Array:
        loss = problem.loss(u)
        if self.latent_penalty is None:
            return loss
        penalty = jnp.asarray(self.latent_penalty).astype(loss.dtype)
        return loss + penalty * prior_energy(problem.prior, u)

    def init(self, problem: Problem, u0: PyTree) -> LevenbergMarquardtState:
        real = numerics.real_dtype(jnp.result_type(*jax.tree.leaves(u0)))
        damping = jnp.asarray(self.damping).astype(real)
        return LevenbergMarquardtState(u0, damping, data_size(problem, u0).astype(real))

    def step(
        self, problem: Problem, state: LevenbergMarquardtState
    ) -> tuple[LevenbergMarquardtState, Info]:
        problem, u, restored = raveled(problem, state.u)
        u = best_reflection(partial(self.objective, problem), problem, u) if self.negate else u
        size = state.size
        loss, slack, (gram, gradient, scale) = _expansion(problem, u, size)
        columns = jnp.real(jnp.diagonal(gram))
        if self.latent_penalty is not None:
            penalty = jnp.asarray(self.latent_penalty).astype(loss.dtype)
            value, slope, curvature = _energy_expansion(problem, u, penalty, scale)
            loss, gradient, gram = loss + value, gradient + slope, gram + curvature
            columns = columns + jnp.sum(jnp.abs(curvature), 1)
        shift = state.damping * jnp.max(columns)
        damped = gram + shift * jnp.eye(u.size, dtype=gram.dtype)
        move, is_solved = _solved(damped, gradient)
        candidate = u - (move.astype(u.dtype) / scale).reshape(u.shape)
        better = is_solved & (self.objective(problem, candidate) < loss + slack)
        factor = jnp.asarray(self.factor).astype(state.damping.dtype)
        damping = jnp.where(better, state.damping / factor, state.damping * factor)
        damping = jnp.clip(damping, _SMALLEST, _LARGEST)
        slopes = numerics.safe_divide(jnp.abs(gradient), numerics.safe_sqrt(columns))
        error = jnp.max(slopes) / size
        following = jnp.where(better, candidate, u)
        return LevenbergMarquardtState(restored(following), damping, size), Info(loss, error)


def _expansion(problem: Problem, u: Array, size: Array) -> tuple[Array, Array, Any]:
    """Return the loss, its rounding error, and the normal equations, at ``u``.

    Near a solution a good step changes the loss by less than its rounding error.
    """
    if not has_squares(problem):
        return _expansion_of_misfit(problem, u)
    residual = problem.residual(u)
    loss = 0.5 * numerics.sum_squares(residual)
    slack = 4 * jnp.finfo(loss.dtype).eps * size * numerics.safe_norm(residual)
    return loss, slack, _normal_equations(problem, u, residual)


def _expansion_of_misfit(problem: Problem, u: Array) -> tuple[Array, Array, Any]:
    """Return the same of another misfit: JᵀHJ with its curvature H, and Jᵀ times its gradient."""
    misfit, y, prediction = problem.misfit, problem.y, problem.predict(u)
    loss, slope = misfit._value(prediction, y), misfit.gradient(prediction, y)
    rounding = loss + numerics.safe_norm(prediction) * numerics.safe_norm(slope)
    J = jacobian(problem, u).reshape(*prediction.shape, u.size)
    scale = numerics.order(J)
    J = J / scale

    def curved(column: Array) -> Array:
        return misfit.curvature(prediction, y, column)

    HJ = jax.vmap(curved, in_axes=-1, out_axes=-1)(J).reshape(-1, u.size)
    adjoint = jnp.conj(J.reshape(-1, u.size).T)
    gram = jnp.real(numerics.matmul(adjoint, HJ))
    gradient = jnp.real(numerics.matmul(adjoint, slope.reshape(-1)))
    return loss, 4 * jnp.finfo(loss.dtype).eps * rounding, (gram, gradient, scale)


def _normal_equations(problem: Problem, u: Array, residual: Array) -> tuple[Array, Array, Array]:
    """Return the real parts of JᴴJ and Jᴴr, of J divided by its order, and that: u is real."""
    J = jacobian(problem, u).reshape(residual.size, u.size)
    scale = numerics.order(J)
    J = J / scale
    adjoint = jnp.conj(J.T)
    gram = numerics.matmul(adjoint, J)
    gradient = numerics.matmul(adjoint, residual.reshape(-1))
    return jnp.real(gram), jnp.real(gradient), scale


def _energy_expansion(
    problem: Problem, u: Array, penalty: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Return λ times the energy, its gradient and its curvature, as J's order divides them.

    The curvature is the identity for ½‖u‖², which is what rows √λ I of J would add, else the
    Hessian. Where that is indefinite the damping makes up for it: it is relative to the sums of
    its rows' sizes, which bound every eigenvalue (Gershgorin); the diagonal may be negative.
    """
    prior = problem.prior
    value, slope = jax.value_and_grad(lambda v: prior_energy(prior, v))(u)
    if is_gaussian(prior):
        curvature = jnp.eye(u.size, dtype=slope.dtype)
    else:
        curvature = jax.hessian(lambda v: prior_energy(prior, v))(u).reshape(u.size, u.size)
    weight = penalty / scale
    return penalty * value, weight * slope.reshape(-1), (weight / scale) * curvature


def _solved(matrix: Array, b: Array) -> tuple[Array, Array]:
    """Solve by Cholesky, and say whether that could be done; what could not has derivatives 0.

    A NaN that is not taken would still be one in every derivative.
    """
    from jax.scipy.linalg import cho_factor, cho_solve  # a quarter of the library's import time

    matrix, b = numerics.at_least_single(matrix), numerics.at_least_single(b)
    factor, lower = cho_factor(lax.stop_gradient(matrix))
    is_solved = jnp.all(jnp.isfinite(factor))
    factor = jnp.where(is_solved, factor, jnp.eye(b.size, dtype=factor.dtype))

    def solve(_: Any, v: Array) -> Array:
        return cho_solve((factor, lower), v)

    x = lax.custom_linear_solve(partial(numerics.matmul, matrix), b, solve, symmetric=True)
    return x, is_solved


def levenberg_marquardt(
    *,
    damping: Any = 1e-2,
    factor: Any = 4.0,
    negate: bool = True,
    num_restarts: int = 1,
    latent_penalty: Any = 0.0,
) -> LevenbergMarquardt | Restarts:
    r"""Levenberg-Marquardt on the Jacobian J = A Λ_u of measurements in the unknown.

    .. math::
        (J^* J + \lambda I + \mu \max_j (J^* J + \lambda I)_{jj} I)\, \delta
        = J^* r + \lambda u, \qquad u \leftarrow u - \delta

    A step that lowers the loss is kept and μ divided by ``factor``; one that does not is
    dropped and μ multiplied. Within a linear piece of a ReLU network the loss is quadratic, so
    ten to twenty steps reach the floor of the floating-point type. The first choice for
    latents up to about a thousand.

    Args:
        damping: first μ > 0, relative to the largest squared column norm of J.
        factor: > 1.
        negate: first test at each step the other points where the landscape may be lower, −u
            unless ``prior.reflections`` says more; keep the best by loss, penalty included.
        num_restarts: R > 1 runs R starts in one batch, the best by measured loss kept (see
            ``with_restarts``); ``u0`` then has a first axis of R.
        latent_penalty: λ >= 0 of the objective ½‖r‖² + λ E(u), E the prior's ``energy``: ½‖u‖²,
            unless the prior has another, whose Hessian then takes the place of I. For noise of
            standard deviation σ and λ = σ², the maximum of the posterior density.

    Returns:
        A solver; ``info.error`` is max_j |J_jᴴ r| / (‖J_j‖ ‖y‖), the largest share of the
        measurements that one column could still explain: it does not depend on the damping,
        and float32 brings it to about 1e-7.

    Raises:
        ValueError: a complex unknown; damping not positive, factor not above 1, no restart.

    Cost: a step takes one Jacobian (the model applied to k columns), m k² for the normal
        equations, k³/3 for Cholesky; m k numbers of memory.

    Notes: with another misfit than squares the system is Jᵀ H J δ = Jᵀ g, of its gradient g and
        curvature H (generalized Gauss-Newton). The diagonal is damped by one number, not column
        by column: columns that padding has set to zero then stay at zero.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=20)
        >>> key = jax.random.key(0)
        >>> sol = ji.solve(levenberg_marquardt(), family.sample(key), family.initial(key))
        >>> int(sol.num_steps) < 30
        True

    Source: Marquardt (1963); sign test of Huang, Hand, Heckel, Voroninski (2021).
    """
    where = "levenberg_marquardt"
    latent_penalty = latent_weight(where, latent_penalty)
    damping = checks.positive(where, "damping", damping)
    factor = checks.scalar(where, "factor", factor, low=1.0, open_low=True)
    negate = checks.boolean(where, "negate", negate)
    solver = LevenbergMarquardt(damping, factor, negate, latent_penalty)
    num_restarts = checks.count(where, "num_restarts", num_restarts)
    return solver if num_restarts == 1 else with_restarts(solver, num_restarts)
