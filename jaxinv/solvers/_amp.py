"""Approximate message passing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.problems import Problem
from jaxinv.shrinkage import Shrinkage
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._linear import require_real
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._message_passing import (
    MessageState,
    chosen_shrinkage,
    first_state,
    kept_share,
    message_step,
    norms_of_columns,
    real_linear_model,
    rows_in_use,
)


@pytree
class Amp(Solver):
    """See ``amp``; ``column_norms`` is filled in by ``prepare``."""

    shrinkage: Shrinkage
    damping: Any
    num_measurements: Any
    column_norms: Any = None
    scale: Any = None

    scalars = ("damping", "num_measurements")
    units = units.table(
        column_norms=units.Unit(-1, 1), scale=units.GRADIENT, u=units.UNKNOWN, residual=units.DATA
    )

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_real(where, problem, u0)

    def prepare(self, problem: Problem) -> Amp:
        model = real_linear_model("amp", problem)
        given = self.num_measurements
        rows = rows_in_use(model, problem.y) if given is None else given
        norms = norms_of_columns(model, problem.y)
        u = jax.eval_shape(model.adjoint, problem.y)
        scale = gradient_scale(problem, jnp.zeros(u.shape, u.dtype))
        return replace(self, num_measurements=rows, column_norms=norms, scale=scale)

    def init(self, problem: Problem, u0: Array) -> MessageState:
        return first_state(problem, u0)

    def step(self, problem: Problem, state: MessageState) -> tuple[MessageState, Info]:
        if self.scale is None:
            return self.prepare(problem).step(problem, state)
        model = real_linear_model("amp", problem)
        squares = jnp.square(self.column_norms)
        update = message_step(
            problem,
            state,
            self.shrinkage,
            lambda v: model.adjoint(v) / squares,
            self.num_measurements,
            keep=self.damping,
            column_norms=self.column_norms,
        )
        change = update.u - state.u
        # in the scale of the gradient, that of Aᵀy
        error = numerics.safe_norm(squares * change) / self.scale
        damping = jnp.asarray(self.damping).astype(change.dtype)
        u = update.u - damping * change
        return MessageState(u, update.residual, update.onsager), Info(update.loss, error)


def amp(
    shrinkage: Shrinkage | None = None, *, damping: Any = 0.0, num_measurements: Any = None
) -> Amp:
    r"""Approximate message passing: iterative shrinkage that keeps its noise Gaussian.

    .. math::
        v_t &= y - A x_t + b_t v_{t-1}, \qquad \tau_t = \|v_t\| / \sqrt{m}, \\
        x_{t+1} &= \eta(x_t + A^T v_t, \tau_t), \qquad
        b_{t+1} = \frac{n}{m} \, \bigl\langle \eta'(x_t + A^T v_t, \tau_t) \bigr\rangle

    For a large A with independent entries N(0, 1/m) the pseudo-data x_t + Aᵀ v_t are the true
    signal in Gaussian noise of deviation τ_t, which ``theory.state_evolution`` predicts: a dozen
    steps do what takes ``fista`` hundreds, and the shrinkage needs no tuning of a penalty. For
    other matrices it may diverge (a mean, a large condition number): use ``vamp``, or damping.
    With ``shrinkage.soft(α)`` a fixed point solves the Lasso with penalty α τ (1 − b).

    Args:
        shrinkage: η, of ``jaxinv.shrinkage``; default ``shrinkage.soft()``. For a Bernoulli-Gauss
            signal ``shrinkage.posterior_mean(sparsity)`` is the best there is.
        damping: share in [0, 1) of the last estimate and residual that is kept; 0 for the pure
            algorithm, more where it would diverge.
        num_measurements: m, where it is not what follows. Default: the rows of a ``Dense``
            matrix that are not zero (so that padded problems are treated as the small ones
            that they are), and the size of y for other operators; may be traced.

    Returns:
        A solver. ``info.loss`` is ½‖A x_t − y‖²; ``info.error`` is ‖η(…) − x_t‖ / ‖Aᵀy‖, where
        the numerator does not depend on the damping.

    Raises:
        TypeError: a model that is not linear, or not a shrinkage.
        ValueError: complex measurements, damping outside [0, 1).

    Cost: A and Aᵀ once a step; with a shrinkage's value and derivative.

    Notes: the theory has columns of norm 1. The columns of a ``Dense`` matrix may have any
        norms: the algorithm runs on the matrix with normalized columns, that is Aᵀ v is divided
        by ‖a_i‖² and entry i is shrunk for noise τ/‖a_i‖. For other operators norm 1 is assumed.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(250, 500, sparsity=0.1, snr_db=40)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> solver = amp(ji.shrinkage.posterior_mean(0.1))
        >>> sol = ji.solve(solver, problem, family.initial(key))
        >>> float(ji.metrics.nmse_db(sol.x, problem.truth.x)) < -43
        True

    Source: Donoho, Maleki, Montanari (2009); damping: Rangan, Schniter, Riegler, Fletcher,
        Cevher (2016).
    """
    if num_measurements is not None:
        num_measurements = checks.positive("amp", "num_measurements", num_measurements)
    return Amp(chosen_shrinkage("amp", shrinkage), kept_share("amp", damping), num_measurements)
