"""Gradient descent with a random network as the prior: landscape and convergence, as promised."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num

from jaxinv._core import checks, numerics
from jaxinv.problems import Problem
from jaxinv.solvers import subgradient, trace
from jaxinv.theory.generative._landscape import expected_gradient, expected_loss, rho
from jaxinv.theory.generative._local import network_of

_NEAR = 0.2  # of ‖x*‖: where the landscape and the steps before T are not looked at


class DescentGuarantee(NamedTuple):
    """What the theorem promises of subgradient descent with the negation test.

    Attributes:
        step_size: α.
        num_steps: T, the most steps until the neighborhood of the solution.
        contraction: C of the distance to the solution, per step from T on.
        latent_error: bound of ‖x_T - x*‖.
        signal_error: limit of ‖G(x_t) - y*‖.
        premise: whether ε and the noise are as small as the theorem asks for.
    """

    step_size: float
    num_steps: float
    contraction: float
    latent_error: float
    signal_error: float
    premise: bool


class LandscapeCheck(NamedTuple):
    """The landscape of one problem away from its two critical points.

    Attributes:
        measured: least slope ‖∇f(z)‖ / max(‖z‖, ‖z*‖) over the points, in units of (c/2)^d.
        predicted: the same of the expected gradient, at the same points.
        descends: share of the points where the expected gradient is a direction of descent.
        slope_at_zero: largest one-sided derivative found at 0, over ‖z*‖.
        bound: what it is promised to stay below, -(c/2)^d/(8π).
        spurious_loss: f(-ρ z*) over its expectation.
        holds: whether all points descend, and 0 does as promised.
    """

    measured: Float[Array, ""]
    predicted: Float[Array, ""]
    descends: Float[Array, ""]
    slope_at_zero: Float[Array, ""]
    bound: Float[Array, ""]
    spurious_loss: Float[Array, ""]
    holds: Bool[Array, ""]


class DescentCheck(NamedTuple):
    """Distances along subgradient descent, beside those promised.

    Attributes:
        measured: ‖x_t - x*‖/‖x*‖ for t = 0 to the last step.
        bound: C^{t-T} of the distance at T, plus that of the noise; infinite before T.
        entered: T, the first step at a distance of at most a fifth; the last one where none is.
        contraction: C = 1 - 7/8 α (c/2)^d, as promised.
        rate: mean factor per step from T until the noise or rounding stops it.
        holds: whether the distance stays below the bound from T on, and T is reached.
    """

    measured: Float[Array, "steps"]
    bound: Float[Array, "steps"]
    entered: Array
    contraction: Float[Array, ""]
    rate: Float[Array, ""]
    holds: Bool[Array, ""]


def descent_guarantee(
    depth: int,
    epsilon: Any,
    *,
    initial_loss: Any,
    latent_norm: Any = 1.0,
    noise_norm: Any = 0.0,
    noise_gain: Any = 1.0,
    weight_scale: Any = 2.0,
    constants: Any = 1.0,
) -> DescentGuarantee:
    r"""Return step, number of steps and errors that the convergence theorems promise.

    With s = (2/c)^d,

    .. math:: \alpha = K_3 \frac{s}{d^2}, \qquad
              T \le \frac{K_4 f(x_0)\, s}{d^4 \epsilon \|x_*\|^2}, \qquad
              C = 1 - \tfrac78 \tfrac{\alpha}{s}, \\
              \|x_T - x_*\| \le K_5 d^9 \|x_*\| \sqrt\epsilon + K_6 d^6 \sqrt s\, \omega \|\eta\|,
              \qquad \limsup \|G(x_t) - y_*\| \le 1.2\, K_7\, \omega \|\eta\|

    for ε < K₁/d⁹⁰ and ω‖η‖ <= K₂ ‖x*‖/(d⁴² √s). The universal constants are not known: all are
    taken as ``constants``. The premise holds for no network that fits a machine.

    Args:
        depth: d >= 2.
        epsilon: ε > 0 of RRIC and R2WDC (WDC for Theorem 6).
        initial_loss: f(x_0) >= 0, half the squares.
        latent_norm: ‖x*‖ > 0.
        noise_norm: ‖η‖ >= 0.
        noise_gain: ω > 0: 1 for Theorems 6 and 4.4; ``theory.noise_gain`` of weights of scale 2,
            for Theorem 5.4.
        weight_scale: c > 0.
        constants: K > 0, for K₁ to K₇.

    Returns:
        ``DescentGuarantee``.

    Raises:
        ValueError: depth below 2, numbers out of range.

    Notes: printed bounds on T divide by ‖x*‖ in one place and by ‖x*‖² in another; only the
        square has no unit. The ω of Theorem 5.4 carries 2^{-d/2} in print, with which the bound
        on the signal would vanish with depth; the measured error does not (see ``noise_gain``).

    Example:
        >>> found = descent_guarantee(2, 0.01, initial_loss=0.5)
        >>> found.step_size, round(found.num_steps, 3), found.premise
        (0.25, 3.125, False)

    Source: Huang, Hand, Heckel, Voroninski (2021), Theorem 1; Cocola (2022), Theorems 4.4, 5.4.
    """
    where = "descent_guarantee"
    d = checks.count(where, "depth", depth, minimum=2, maximum=200)
    epsilon = checks.positive(where, "epsilon", epsilon, single=True)
    loss = checks.nonnegative(where, "initial_loss", initial_loss, single=True)
    latent = checks.positive(where, "latent_norm", latent_norm, single=True)
    noise = checks.nonnegative(where, "noise_norm", noise_norm, single=True)
    omega = checks.positive(where, "noise_gain", noise_gain, single=True)
    scale = checks.scalar(where, "weight_scale", weight_scale, low=0.02, high=200.0, single=True)
    K = checks.positive(where, "constants", constants, single=True)
    s = (2 / scale) ** d
    num_steps = loss / latent * s * K / (d**4 * epsilon) / latent
    near = K * d**9 * latent * epsilon**0.5 + K * d**6 * s**0.5 * omega * noise
    small = epsilon < K / d**90 and omega * noise <= K * latent / (d**42 * s**0.5)
    return DescentGuarantee(
        float(K * s / d**2),
        float(num_steps),
        float(1 - 0.875 * K / d**2),
        float(near),
        float(1.2 * K * omega * noise),
        bool(small),
    )


def check_landscape(
    problem: Problem, key: Any, *, num_points: int = 1000, weight_scale: Any = 2.0
) -> LandscapeCheck:
    r"""Look for spurious critical points of compressed sensing with a random network.

    The theorem: away from z* and -ρ z* every point has a direction of descent, and from 0 every
    direction descends:

    .. math:: D_{-v} f(z) < -K \frac{\sqrt\epsilon\, \mathrm{poly}(d)}{2^d}
              \max(\|z\|, \|z_*\|), \qquad D_t f(0) < -\frac{\|z_*\|}{8 \pi 2^d}

    Points are random in direction, with norms from .05 to 3 ‖z*‖, and lie more than .2 ‖z*‖ from
    z* and -ρ z*, where ρ = ``rho(d)``.

    Args:
        problem: with a ``generators.relu`` prior of depth >= 2, the misfit of squares and a
            truth, which places the points and scores.
        key: JAX PRNG key of the points.
        num_points: >= 1.
        weight_scale: c > 0 of the weights N(0, c/n_i).

    Returns:
        ``LandscapeCheck``; also under ``jit`` and ``vmap``.

    Raises:
        TypeError: another prior.
        ValueError: depth 1 (0 is then a critical point), another misfit, no truth.

    Cost: a gradient a point.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(3, 200, 400), num_measurements=300)
        >>> found = check_landscape(family.sample(jax.random.key(0)), jax.random.key(1))
        >>> float(found.descends) > 0.99, bool(found.slope_at_zero < found.bound)
        (True, True)

    Source: Hand, Voroninski (2019); Theorem 5 of Scarlett et al. (2022), equations (25), (26).
    """
    where = "check_landscape"
    key = checks.key(where, key)
    depth, _ = _checked(where, problem)
    if depth < 2:
        checks.fail(where, "problem.prior", "have at least 2 layers", depth)
    num_points = checks.count(where, "num_points", num_points, maximum=10**7)
    scale = checks.positive(where, "weight_scale", weight_scale, single=True)
    return _landscape(problem, key, num_points, scale)


def check_descent(
    problem: Problem,
    u0: Num[ArrayLike, "k"],
    step_size: Any,
    *,
    num_steps: int = 500,
    noise_gain: Any = 1.0,
    weight_scale: Any = 2.0,
) -> DescentCheck:
    r"""Run subgradient descent with the negation test; compare its distances with the promise.

    .. math:: \|x_{t+1} - x_*\| \le C^{t+1-T} \|x_T - x_*\| + \sqrt s\, \omega \|\eta\|,
              \qquad C = 1 - \tfrac78 \alpha / s, \quad s = (2/c)^d

    with K₇ = 1, from the first step T within a fifth of ‖x*‖ on. The factor 7/8 stands for the
    smallest curvature Λᵀ Aᵀ A Λ near 1, as of many measurements and wide layers; with m/k small
    it is less, and ``holds`` is False although descent converges.

    Args:
        problem: with a ``generators.relu`` prior, the misfit of squares and a truth, for scores.
        u0: the start, shape (k,).
        step_size: α > 0, in the scaling of the problem, as of ``solvers.subgradient``.
        num_steps: steps, >= 1.
        noise_gain: ω > 0: 1 (Theorem 4.4), or ``theory.noise_gain`` (Theorem 5.4).
        weight_scale: c > 0.

    Returns:
        ``DescentCheck``; also under ``jit`` and ``vmap``.

    Raises:
        TypeError: another prior.
        ValueError: another misfit, no truth, numbers out of range.

    Cost: that of the steps.

    Example:
        >>> import jax, jaxinv as ji
        >>> key = jax.random.key(0)
        >>> family = ji.problems.generative(widths=(3, 200, 400), num_measurements=300)
        >>> found = check_descent(family.sample(key), family.initial(key), 0.25, num_steps=100)
        >>> int(found.entered) < 20, float(found.contraction), float(found.rate) < 0.9
        (True, 0.78125, True)

    Source: Huang, Hand, Heckel, Voroninski (2021), Theorem 1; Cocola (2022), Theorems 4.4, 5.4.
    """
    where = "check_descent"
    depth, truth = _checked(where, problem)
    u0 = checks.array(where, "u0", u0)
    checks.shape_is(where, "u0", u0, truth.u.shape, "Use jax.vmap for a batch of starts.")
    step = checks.positive(where, "step_size", step_size, single=True)
    num_steps = checks.count(where, "num_steps", num_steps, maximum=10**7)
    omega = checks.positive(where, "noise_gain", noise_gain, single=True)
    scale = checks.positive(where, "weight_scale", weight_scale, single=True)
    size = numerics.safe_norm(truth.u)
    _, (_, distances) = trace(subgradient(step), problem, u0, num_steps, measure=_distance)
    first = numerics.safe_norm(u0 - truth.u)
    distances = jnp.concatenate([first[None], distances]) / size
    noise = numerics.safe_norm(problem.y - problem.operator(truth.x))
    root = jnp.asarray((2 / scale) ** (depth / 2), distances.dtype)
    contraction = 1 - 0.875 * jnp.asarray(step, distances.dtype) / root**2
    floor = root * omega * noise / size + 1e3 * jnp.finfo(distances.dtype).eps
    return _compared(distances, contraction, floor)


@jax.jit
def _compared(distances: Array, contraction: Array, floor: Array) -> DescentCheck:
    steps = jnp.arange(len(distances))
    near = distances <= _NEAR
    entered = jnp.where(jnp.any(near), jnp.argmax(near), len(distances) - 1)
    powers = contraction ** jnp.maximum(steps - entered, 0)
    bound = jnp.where(steps >= entered, powers * distances[entered] + floor, jnp.inf)
    # the distance shrinks until it is of the order of the floor, or for the steps that there are
    running = (steps > entered) & (distances > 2 * floor)
    last = jnp.max(jnp.where(running, steps, entered))
    ratio = numerics.safe_divide(distances[last], distances[entered], 1.0)
    rate = ratio ** (1 / jnp.maximum(last - entered, 1))
    holds = jnp.any(near) & jnp.all(distances <= bound * (1 + 1e-5))
    return DescentCheck(distances, bound, entered, contraction, rate, holds)


def _distance(problem: Problem, state: Any) -> Array:
    assert problem.truth is not None
    return numerics.safe_norm(state.u - problem.truth.u)


@functools.partial(jax.jit, static_argnums=2)
def _landscape(problem: Problem, key: Array, num_points: int, scale: Any) -> LandscapeCheck:
    x_true, prior = problem.truth.u, problem.prior
    depth, dtype = len(prior.params), x_true.dtype
    size = numerics.safe_norm(x_true)
    factor = jnp.asarray((scale / 2) ** depth, dtype)
    rho_d = rho(depth)
    direction_key, norm_key = jax.random.split(key)
    directions = jax.random.normal(direction_key, (num_points, x_true.size), dtype)
    directions = directions / numerics.safe_norm(directions, axis=1)
    norms = size * jnp.exp(
        jax.random.uniform(norm_key, (num_points, 1), dtype, jnp.log(0.05), jnp.log(3.0))
    )
    points = norms * directions
    clear = jnp.ones((num_points,), bool)
    for center in (x_true, -rho_d * x_true):
        clear &= numerics.safe_norm(points - center, axis=1)[:, 0] > _NEAR * size
    gradients = jax.lax.map(jax.grad(problem.loss), points, batch_size=64)
    expected = jax.vmap(lambda z: expected_gradient(z, x_true, depth, scale))(points)
    unit = factor * jnp.maximum(norms[:, 0], size)
    slopes = numerics.safe_norm(gradients, axis=1)[:, 0] / unit
    expected_slopes = numerics.safe_norm(expected, axis=1)[:, 0] / unit
    descends = jnp.sum(gradients * expected, axis=1) > 0
    share = jnp.sum(descends & clear) / jnp.maximum(jnp.sum(clear), 1)
    measured = jax.lax.map(lambda z: problem.operator(prior(z)), directions, batch_size=64)
    at_zero = jnp.max(-numerics.matmul(measured, problem.y)) / size
    spurious = -rho_d * x_true
    loss = problem.loss(spurious) / expected_loss(spurious, x_true, depth, scale)
    bound = -factor / (8 * jnp.pi)
    holds = jnp.all(descends | ~clear) & (at_zero < bound)
    least = [jnp.min(jnp.where(clear, v, jnp.inf)) for v in (slopes, expected_slopes)]
    return LandscapeCheck(least[0], least[1], share, at_zero, bound, loss, holds)


def _checked(where: str, problem: Any) -> tuple[int, Any]:
    """Return the depth of a problem's prior, and its truth."""
    prior = network_of(where, problem)
    truth = problem.truth
    if truth is None or truth.u is None or truth.x is None:
        checks.fail(where, "problem.truth", "hold u and x", "None")
    checks.shape_is(where, "problem.truth.u", truth.u, prior.in_shape, "Use jax.vmap for a batch.")
    return len(prior.params), truth
