"""Vector approximate message passing, in the form that uses one singular value decomposition."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.problems import Problem
from jaxinv.shrinkage import Shrinkage
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._factor import Factor, damped_inverse, singular_factor
from jaxinv.solvers._linear import require_real
from jaxinv.solvers._message_passing import (
    chosen_shrinkage,
    kept_share,
    real_linear_model,
    rows_in_use,
)

_EXTREME = 1e-6  # a mean derivative this close to 0 or 1 is cut: its update would be singular
_ROUNDING = 4.0  # rounding errors of the decomposition and the products, in eps
_FIRST_SNR = 100.0  # of the measurements, where the noise is to be estimated


class Factors(NamedTuple):
    """What is computed once: the spectrum of A, and the number of rows in use."""

    spectrum: Factor
    num_measurements: Array


class VampState(NamedTuple):
    """State of ``vamp``.

    Attributes:
        u: the estimate.
        mean, variance: the message to the linear stage: x is near N(mean, variance).
        noise_variance: the estimate of the variance of the noise in y.
    """

    u: Array
    mean: Array
    variance: Array
    noise_variance: Array


@pytree
class Vamp(Solver):
    """See ``vamp``; ``factors`` is filled in by ``prepare``."""

    shrinkage: Shrinkage
    noise_std: Any
    damping: Any
    factors: Any = None

    scalars = ("noise_std", "damping")
    units = units.table(
        noise_std=units.DATA,
        u=units.UNKNOWN,
        mean=units.UNKNOWN,
        variance=units.Unit(2, 0),
        noise_variance=units.Unit(0, 2),
        factors=None,
    )

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_real(where, problem, u0)

    def prepare(self, problem: Problem) -> Vamp:
        model = real_linear_model("vamp", problem)
        if len(model.in_shape) != 1 or len(model.out_shape) != 1:
            got = f"one from {model.in_shape} to {model.out_shape}"
            hint = "Flatten the signal."
            checks.fail("vamp", "problem.operator", "map a vector to a vector", got, hint)
        factors = Factors(singular_factor(model), rows_in_use(model, problem.y))
        return replace(self, factors=factors)

    def init(self, problem: Problem, u0: Array) -> VampState:
        if self.factors is None:
            return self.prepare(problem).init(problem, u0)
        spectrum, count = self.factors
        energy = numerics.sum_squares(problem.residual(u0))
        variance = numerics.safe_divide(energy, jnp.sum(spectrum.values))
        noise = energy / (count * (1 + _FIRST_SNR))
        if self.noise_std is not None:
            noise = jnp.square(jnp.asarray(self.noise_std).astype(u0.dtype))
        noise = jnp.maximum(noise, self._rounding(problem.y))
        return VampState(u0, u0, variance.astype(u0.dtype), noise.astype(u0.dtype))

    def step(self, problem: Problem, state: VampState) -> tuple[VampState, Info]:
        if self.factors is None:
            return self.prepare(problem).step(problem, state)
        mean, variance, noise = self._linear(problem, state)
        deviation = numerics.safe_sqrt(variance)
        estimate = self.shrinkage(mean, deviation)
        slope = jnp.mean(self.shrinkage.derivative(mean, deviation))
        slope = jnp.clip(slope, _EXTREME, 1 - _EXTREME)
        fresh = (estimate - slope * mean) / (1 - slope)
        fresh_variance = variance * slope / (1 - slope)
        keep = jnp.asarray(self.damping).astype(mean.dtype)
        following = VampState(
            estimate,
            keep * state.mean + (1 - keep) * fresh,
            keep * state.variance + (1 - keep) * fresh_variance,
            noise,
        )
        size = jnp.maximum(numerics.safe_norm(estimate), numerics.safe_norm(state.u))
        change = numerics.safe_norm(estimate - state.u) / (1 - keep)  # damping makes it no smaller
        error = numerics.safe_divide(change, size)
        return following, Info(problem.loss(state.u), error)

    def _linear(self, problem: Problem, state: VampState) -> tuple[Array, Array, Array]:
        """Return mean and variance of the message to the shrinkage, and the noise's variance.

        The share of its prior variance that the linear estimate removes along right singular
        vector i is d_i = s_i² v / (s_i² v + σ²).
        """
        model, (spectrum, count) = real_linear_model("vamp", problem), self.factors
        size, variance, noise = state.mean.size, state.variance, state.noise_variance
        squares = spectrum.values * variance
        total = jnp.sum(numerics.safe_divide(squares, squares + noise))
        residual = problem.y - model(state.mean)
        shift = numerics.safe_divide(noise, variance)
        move, _ = damped_inverse(model, spectrum, residual, shift, state.mean, 0.0)
        mean = state.mean + numerics.safe_divide(size, total) * move
        following = variance * numerics.safe_divide(size - total, total)
        if self.noise_std is None:
            energy = numerics.sum_squares(residual - model(move))
            noise = jnp.maximum((energy + noise * total) / count, self._rounding(problem.y))
        return mean, following, noise

    def _rounding(self, y: Array) -> Array:
        """Return the variance of the rounding errors in y: data are never more exact."""
        energy = (_ROUNDING * jnp.finfo(y.dtype).eps) ** 2 * numerics.sum_squares(y)
        return lax.stop_gradient(energy) / self.factors.num_measurements


def vamp(shrinkage: Shrinkage | None = None, noise_std: Any = None, *, damping: Any = 0.0) -> Vamp:
    r"""Vector approximate message passing: also for matrices on which ``amp`` diverges.

    With A = U diag(s) Vᵀ and the message N(r₂, v₂) from the last step, one step is

    .. math::
        d_i &= \frac{s_i^2 v_2}{s_i^2 v_2 + \sigma^2}, \qquad D = \sum_i d_i, \qquad
        r_1 = r_2 + \frac{n}{D} V \, d \odot (s^{-1} \odot U^T y - V^T r_2), \\
        v_1 &= v_2 \frac{n - D}{D}, \qquad
        \hat x = \eta(r_1, \sqrt{v_1}), \qquad \alpha = \langle \eta'(r_1, \sqrt{v_1}) \rangle, \\
        r_2 &\leftarrow \frac{\hat x - \alpha r_1}{1 - \alpha}, \qquad
        v_2 \leftarrow v_1 \frac{\alpha}{1 - \alpha}

    It needs only that the right singular vectors of A are in general position, not the
    singular values of a Gaussian matrix; and it needs them computed. For large Gaussian
    matrices ``amp`` does the same from products alone.

    Args:
        shrinkage: η, of ``jaxinv.shrinkage``; default ``shrinkage.soft()``.
        noise_std: σ >= 0 of an entry of the noise in y; 0 for exact measurements. None: it is
            estimated as the algorithm runs, by one step of expectation maximization a step.
        damping: share in [0, 1) of the last message that is kept.

    Returns:
        A solver. ``info.loss`` is ½‖A x − y‖²; ``info.error`` is ‖x̂_{t+1} − x̂_t‖ over the larger
        of the two norms and over 1 − ``damping``, which makes changes smaller, not errors.

    Raises:
        TypeError: a model that is not linear, or not a shrinkage.
        ValueError: complex measurements, a signal that is not a vector, a negative σ, damping
            outside [0, 1).

    Cost: one decomposition of A at the start (about 4 n m² for m < n; its matrix is formed),
        then A twice, A* once and m² multiplications a step, and A for the loss; once more A
        where the noise is estimated. Rows of zeros do no harm.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(250, 500, sparsity=0.1, snr_db=40, condition_number=30)
        >>> key = jax.random.key(0)
        >>> problem = family.sample(key)
        >>> solver = vamp(ji.shrinkage.posterior_mean(0.1))
        >>> sol = ji.solve(solver, problem, family.initial(key), max_steps=100, tol=1e-5)
        >>> float(ji.metrics.nmse_db(sol.x, problem.truth.x)) < -30
        True

    Source: Rangan, Schniter, Fletcher (2019), algorithm 2; the noise: Fletcher, Schniter (2017).
    """
    if noise_std is not None:
        noise_std = checks.nonnegative("vamp", "noise_std", noise_std)
    return Vamp(chosen_shrinkage("vamp", shrinkage), noise_std, kept_share("vamp", damping))
