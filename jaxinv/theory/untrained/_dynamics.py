"""Descent on a wide network beside descent on its linear model: dynamics, closeness, constants."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics
from jaxinv.ntk import jacobian, linearized_descent, linearized_distance
from jaxinv.ntk._descent import fitted_share, significant
from jaxinv.ntk._linearize import real_outputs
from jaxinv.ntk._spectrum import singular_values
from jaxinv.problems import Problem
from jaxinv.theory.untrained._descent import Claim, advance, claim
from jaxinv.theory.untrained._inputs import descent_start, real_arrays


class LinearDynamics(NamedTuple):
    """Iterates of descent on a linear model beside their closed form.

    Attributes:
        residual: worst ‖r_t − closed form‖ / ‖r_0‖ over t, with the tolerance as bound.
        distance: worst relative gap between ‖θ_t − θ_0‖ and its closed form, likewise.
        holds: both.
    """

    residual: Claim
    distance: Claim
    holds: Array


class Closeness(NamedTuple):
    """The four claims on descent near its linear model, measured along a run.

    Attributes:
        steps: t of the entries of the claims, shape (s,).
        residual: ‖r_t‖ and (1 − ηα²)^t ‖r_0‖.
        residual_gap: ‖r_t − r̃_t‖ and 2βη(ε_0 + ε)(1 − ηα²)^{t−1} t ‖r_0‖.
        largest_gap: its largest value and 2β(ε_0 + ε)/(e ln 2 α²) ‖r_0‖, for all t.
        parameter_gap: ‖θ_t − θ̃_t‖ and 2.5 β²/α⁴ (ε_0 + ε) ‖r_0‖.
        distance: ‖θ_t − θ_0‖ and R/2.
        alpha, beta, epsilon_start, epsilon, radius: α, β, ε_0, ε and R, measured.
        premise: whether the theorem applies: η <= 1/β², 2β(ε_0 + ε) <= α².
        holds: whether all five inequalities hold, with the premise or without.
    """

    steps: Array
    residual: Claim
    residual_gap: Claim
    largest_gap: Claim
    parameter_gap: Claim
    distance: Claim
    alpha: Array
    beta: Array
    epsilon_start: Array
    epsilon: Array
    radius: Array
    premise: Array
    holds: Array


class WidthConstants(NamedTuple):
    """Constants of the recovery theorem for a two-layer network.

    Attributes:
        alpha, beta, epsilon_start, epsilon: those of ``Closeness``, with high probability.
        start_deviation: ω, standard deviation of C_0.
        step_size: largest step, 1/β² = m/(4 n ‖U‖²).
        condition: κ = ‖U‖²/σ_n².
        log10_width: log₁₀ of the channels that the proof asks for.
        log10_width_printed: the same with the printed power κ²⁶.
        error_limit: the largest ξ of the theorem, 1/√(2 log(2n/δ)).
        holds: whether ξ is no larger and the network in question is that wide.
    """

    alpha: float
    beta: float
    epsilon_start: float
    epsilon: float
    start_deviation: float
    step_size: float
    condition: float
    log10_width: float
    log10_width_printed: float
    error_limit: float
    holds: bool


def check_linear_dynamics(
    matrix: Num[ArrayLike, "m p"],
    residual: Num[ArrayLike, "m"],
    step_size: Any,
    num_steps: int,
    *,
    tolerance: Any = None,
) -> LinearDynamics:
    r"""Iterate descent on a linear model, and compare every step with the closed form.

    .. math:: \theta_{t+1} = \theta_t - \eta J^T (J (\theta_t - \theta_0) + r_0)

    against ``ntk.linearized_descent`` and ``ntk.linearized_distance``.

    Args:
        matrix: J, shape (m, N).
        residual: r_0, shape (m,).
        step_size: η > 0; any, though the source asks η <= 1/σ_1² for the second formula.
        num_steps: T >= 1.
        tolerance: largest relative gap; default 3000 eps of the type.

    Returns:
        ``LinearDynamics(residual, distance, holds)``.

    Raises:
        ValueError: shapes that do not fit, numbers out of range.

    Cost: T products with J and Jᵀ, one eigendecomposition of J Jᵀ.

    Example:
        >>> import jax.numpy as jnp
        >>> found = check_linear_dynamics(jnp.array([[1.0, 2.0]]), jnp.ones(1), 0.1, 20)
        >>> bool(found.holds)
        True

    Source: Heckel, Soltanolkotabi (2020), Proposition 2.
    """
    where = "check_linear_dynamics"
    matrix, residual = real_arrays(where, matrix=matrix, residual=residual)
    if matrix.ndim != 2:
        checks.fail(where, "matrix", "have 2 dimension(s)", matrix)
    checks.shape_is(where, "residual", residual, matrix.shape[:1])
    if checks.is_concrete(residual) and not np.any(np.asarray(residual)):
        checks.fail(where, "residual", "not be zero", "all zeros")
    gram = numerics.matmul(matrix, matrix.T)
    checks.finite(where, "matrix", gram, "These are the entries of J J^T.")
    num_steps = checks.count(where, "num_steps", num_steps)
    step_size = checks.positive(where, "step_size", step_size, single=True)
    default = 3000 * float(jnp.finfo(matrix.dtype).eps)
    tolerance = checks.positive(where, "tolerance", default if tolerance is None else tolerance)
    steps = np.arange(num_steps + 1)
    predicted = linearized_descent(gram, residual, step_size, steps)
    distances = linearized_distance(gram, residual, step_size, steps)
    found = _dynamics(matrix, residual, step_size, predicted, distances, tolerance)
    return checks.no_nan(where, "matrix, residual and step_size", found)


@jax.jit
def _dynamics(
    matrix: Array,
    residual: Array,
    step_size: Any,
    predicted: Array,
    predicted_distances: Array,
    tolerance: Any,
) -> LinearDynamics:
    """Take the steps one by one, and compare with what the closed form predicts."""

    def body(moved: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        now = numerics.matmul(matrix, moved) + residual
        following = moved - step_size * numerics.matmul(matrix.T, now)
        return following.astype(matrix.dtype), (now, numerics.safe_norm(moved))

    start = jnp.zeros(matrix.shape[1], matrix.dtype)
    _, (residuals, distances) = jax.lax.scan(body, start, None, length=len(predicted))
    gap = residuals - predicted
    first = jnp.max(jax.vmap(numerics.safe_norm)(gap)) / numerics.safe_norm(residual)
    away = jnp.abs(distances - predicted_distances)
    second = jnp.max(numerics.safe_divide(away, jnp.max(distances)))
    claims = [Claim(v, jnp.asarray(tolerance, v.dtype), v <= tolerance) for v in (first, second)]
    return LinearDynamics(claims[0], claims[1], claims[0].holds & claims[1].holds)


def check_linear_closeness(
    problem: Problem,
    params: Any,
    step_size: Any,
    num_steps: int,
    *,
    num_checks: int = 16,
    reference: Num[ArrayLike, "m p"] | None = None,
) -> Closeness:
    r"""Run descent on a problem and on its linear model; check the four claims on their gap.

    With a reference Jacobian J, √2 α <= σ_min(J), ‖J‖ and ‖J(θ)‖ <= β, ‖J(θ_0) − J‖ <= ε_0 and
    ‖J(θ) − J(θ_0)‖ <= ε/2 within R of θ_0,

    .. math:: \tfrac{R}{2} = \|J^+ r_0\| + 2.5 \tfrac{\beta^2}{\alpha^4}
        (\varepsilon_0 + \varepsilon) \|r_0\|

    and 2 β (ε_0 + ε) <= α², η <= 1/β², the inequalities listed in ``Closeness`` hold for all t.

    Args:
        problem: A, y and the prior G: any differentiable model of real parameters.
        params: θ_0.
        step_size: η > 0.
        num_steps: T >= 1.
        num_checks: number of times at which Jacobians are compared, >= 2.
        reference: J, shape (m, N), columns as ``ntk.jacobian`` orders them; default J(θ_0),
            for which ε_0 = 0.

    Returns:
        ``Closeness``. The constants are measured at the checked points of the run, not over the
        whole ball: what is asserted is the theorem along this path.

    Raises:
        ValueError: numbers out of range, a reference of another shape.

    Cost: T steps, and m backward passes and an m² N decomposition at every check.

    Notes: widths that can be run seldom meet the premise, which asks the Jacobian to move by
        less than α²/(4β): the claims then need not hold, and ``premise`` says so.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> prior = ji.ntk.linearize(lambda u: u + 1e-3 * jnp.sin(u), jnp.zeros(3))
        >>> problem = ji.Problem(ji.operators.identity((3,)), jnp.ones(3), prior)
        >>> found = check_linear_closeness(problem, jnp.zeros(3), 0.5, 30, num_checks=4)
        >>> bool(found.premise), bool(found.holds)
        (True, True)

    Source: Heckel, Soltanolkotabi (2020), Theorem 4, equations (33) to (38).
    """
    where = "check_linear_closeness"
    num_steps = checks.count(where, "num_steps", num_steps)
    num_checks = checks.count(where, "num_checks", num_checks, minimum=2)
    step_size = jnp.asarray(checks.positive(where, "step_size", step_size, single=True))
    problem, params = descent_start(where, problem, params)
    if hasattr(problem.prior, "plain"):
        problem = problem._replace(prior=problem.prior.plain())
    initial = jacobian(Partial(_predict, problem), params)
    if reference is None:
        reference = initial
    reference = checks.array(where, "reference", reference)
    checks.shape_is(where, "reference", reference, initial.shape)
    times = sorted({round(i * num_steps / (num_checks - 1)) for i in range(num_checks)})
    theta, points, before = params, [], 0
    for time in times:
        theta, before = advance(problem, theta, step_size, time - before), time
        points.append(_point(problem, theta, initial))
    found = _claims(reference, initial, points, step_size, jnp.asarray(times))
    return checks.no_nan(where, "problem, params and step_size", found)


@jax.jit
def _point(problem: Problem, params: Any, initial: Array) -> tuple[Array, Array, Array, Array]:
    """Return the parameters, the residual, the norm of the Jacobian and of its change."""
    predict = Partial(_predict, problem)
    rows = jacobian(predict, params)
    residual = predict(params) - real_outputs(problem.y)
    return ravel_pytree(params)[0], residual, _norm(rows), _norm(rows - initial)


@jax.jit
def _claims(
    reference: Array,
    initial: Array,
    points: list[tuple[Array, Array, Array, Array]],
    step_size: Array,
    times: Array,
) -> Closeness:
    path, residuals, norms, changes = (jnp.stack(part) for part in zip(*points, strict=True))
    beta = jnp.maximum(jnp.max(norms), _norm(reference))
    epsilon_start, epsilon = _norm(initial - reference), 2 * jnp.max(changes)
    left, singular, right = jnp.linalg.svd(reference, full_matrices=False)
    values = significant(singular * singular)
    full_rank = reference.shape[0] <= reference.shape[1]
    alpha = jnp.sqrt(values[-1] / 2) if full_rank else jnp.zeros((), values.dtype)
    rate, steps = step_size.astype(values.dtype), times.astype(values.dtype)
    start = residuals[0]
    weights = numerics.matmul(start, left)
    share = fitted_share(values, rate, steps) * weights
    linear = start - numerics.matmul(share, left.T)
    inverse = numerics.safe_divide(1.0, singular) * (values > 0)
    moved = -numerics.matmul(share * inverse, right)
    size, norm = numerics.safe_norm(start), jax.vmap(numerics.safe_norm)
    total, decay = epsilon_start + epsilon, 1 - rate * alpha**2
    parameter = 2.5 * _ratio(beta**2, alpha**4) * total * size
    half_radius = numerics.safe_norm(weights * inverse) + parameter
    gap = norm(residuals - linear)
    growth = decay ** jnp.maximum(steps - 1, 0) * steps
    largest = _ratio(2 * beta * total, math.e * math.log(2) * alpha**2) * size
    away = norm(path - path[0])
    claims = (
        claim(norm(residuals), decay**steps * size, size),
        claim(gap, 2 * beta * rate * total * growth * size, size),
        claim(jnp.max(gap), largest, size),
        claim(norm(path - path[0] - moved), parameter, jnp.max(away)),
        claim(away, jnp.broadcast_to(half_radius, away.shape), half_radius),
    )
    premise = (rate * beta**2 <= 1 + 1e-5) & (2 * beta * total <= alpha**2)
    holds = jnp.all(jnp.stack([each.holds for each in claims]))
    return Closeness(
        times, *claims, alpha, beta, epsilon_start, epsilon, 2 * half_radius,
        premise, holds,
    )  # fmt: skip


def width_constants(
    kernel: Any,
    num_channels: int,
    num_measurements: int,
    measurement_norm: float | int = 1.0,
    *,
    error: float | int = 0.1,
    failure_probability: float | int = 0.1,
) -> WidthConstants:
    r"""Return the constants with which recovery by a two-layer network is proved.

    .. math:: \alpha = \tfrac{1}{3\sqrt 2} \sqrt{\tfrac nm}\, \sigma_n, \quad
        \beta = 2 \sqrt{\tfrac nm} \|U\|, \quad
        \varepsilon_0 = 2 \beta \Bigl(\tfrac{\log(2n/\delta)}{k}\Bigr)^{1/4}, \quad
        \varepsilon = \tfrac{\xi}{16} \tfrac{\alpha^4}{\beta^3}, \quad
        \omega = \tfrac{\xi \|y\|}{\beta \sqrt m}

    where :math:`\xi \le 1/\sqrt{2 \log(2n/\delta)}` and
    :math:`k \ge 9^2\, 64^6\, (\beta/\alpha)^{26} m\, \xi^{-8}`, which no computer holds: the power
    of ten is returned.

    Args:
        kernel: u, all n taps, or h × w of them.
        num_channels: k of the network in question.
        num_measurements: m <= n/9.
        measurement_norm: ‖y‖ > 0, for ω.
        error: ξ in (0, 1].
        failure_probability: δ in (0, 1].

    Returns:
        ``WidthConstants``; ``holds`` says whether k is large enough and ξ small enough.

    Raises:
        ValueError: numbers out of range, traced input.

    Cost: three FFTs.

    Notes: β/α = 6√2 ‖U‖/σ_n = 6√2 √κ, so that its 26th power is (72 κ)¹³; the printed κ²⁶
        takes σ_n once for a singular value and once for its square. The printed (23) holds "for
        all iterations", which cannot be: at t = 0 the output has nothing to do with the signal.
        It also sets a norm beside squares. Both are meant at convergence, and as (13).

    Example:
        >>> found = width_constants([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 4096, 1)
        >>> round(found.condition, 4), found.holds, found.log10_width > 40
        (2.0, False, True)

    Source: Heckel, Soltanolkotabi (2020), Theorem 3 and its proof.
    """
    where = "width_constants"
    sigma = singular_values(where, kernel)
    if not checks.is_concrete(sigma):
        checks.fail(where, "kernel", "hold numbers that can be looked at", "a traced array")
    n = sigma.size
    k = checks.count(where, "num_channels", num_channels)
    m = checks.count(where, "num_measurements", num_measurements)
    if 9 * m > n:
        checks.fail(where, "num_measurements", f"be at most n/9 = {n / 9:.4g}", num_measurements)
    size = checks.positive(where, "measurement_norm", measurement_norm, single=True)
    xi = checks.share(where, "error", error, single=True)
    delta = checks.share(where, "failure_probability", failure_probability, single=True)
    taps = np.asarray(kernel, np.dtype(sigma.dtype)).astype(np.float64)
    largest = float(np.max(np.abs(np.fft.fftn(taps))))
    smallest = float(np.min(np.asarray(sigma)))
    condition = (largest / smallest) ** 2 if smallest > 0 else math.inf
    spread = math.sqrt(n / m)
    alpha, beta = spread * smallest / (3 * math.sqrt(2)), 2 * spread * largest
    other = 2 * math.log10(9) + 6 * math.log10(64) + math.log10(m) - 8 * math.log10(xi)
    ratio = math.log10(condition)
    needed = other + 13 * (math.log10(72) + ratio)
    printed = other + 26 * (math.log10(6 * math.sqrt(2)) + ratio)
    logarithm = math.log(2 * n / delta)
    limit = 1 / math.sqrt(2 * logarithm)
    start = 2 * beta * (logarithm / k) ** 0.25
    epsilon = xi / 16 * alpha**4 / beta**3
    return WidthConstants(
        alpha, beta, start, epsilon, xi * size / (beta * math.sqrt(m)), 1 / beta**2,
        condition, needed, printed, limit, xi <= limit and math.log10(k) >= needed,
    )  # fmt: skip


def _predict(problem: Problem, params: Any) -> Array:
    return real_outputs(problem.predict(params))


@jax.jit
def _norm(matrix: Array) -> Array:
    """Return the spectral norm of a wide matrix, from the small one of its two products."""
    largest = jnp.linalg.eigvalsh(numerics.matmul(matrix, matrix.T))[-1]
    return numerics.safe_sqrt(largest)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Return the quotient, infinite where the denominator is 0: a bound that promises nothing."""
    return numerics.safe_divide(numerator, denominator, default=math.inf)
