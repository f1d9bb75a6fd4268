"""Denoising with a wide two-layer network: the predicted error curve over the measured one."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics
from jaxinv.generators._two_layer import TwoLayer
from jaxinv.ntk import empirical_kernel, linearized_descent, spectrum
from jaxinv.ntk._descent import fitted_share, kept_share
from jaxinv.operators import identity
from jaxinv.problems import Problem
from jaxinv.theory.untrained._descent import signals_of_descent
from jaxinv.theory.untrained._inputs import require_norm

_KERNELS = ("expected", "empirical")
_SMALL = 1e-5  # of the largest Fourier coefficient: a signal has no energy there


class DenoisingCurve(NamedTuple):
    """Error of denoising by descent at steps 0 to T, measured and predicted.

    Attributes:
        measured: ‖G(C_t) − x*‖ of the network, shape (T + 1,).
        predicted: the same of the linear model from the same start.
        bound: right-hand side of the theorem, with the start's share in place of ε.
        departure: \\|predicted − measured\\| / measured.
        oracle_step: t with the least measured error, known only with x*.
        worst: largest departure up to the step ``3 oracle_step``, or T.
        worst_after: largest departure beyond it; 0 where the run is not that long.
        holds: whether ``worst`` is at most the tolerance.
    """

    measured: Array
    predicted: Array
    bound: Array
    departure: Array
    oracle_step: Array
    worst: Array
    worst_after: Array
    holds: Array


def check_denoising_curve(
    prior: TwoLayer,
    signal: Num[ArrayLike, "*shape"],
    noise: Num[ArrayLike, "*shape"],
    step_size: Any,
    num_steps: int,
    *,
    params: Any = None,
    kernel: str = "expected",
    tolerance: float | int = 0.05,
) -> DenoisingCurve:
    r"""Predict the error of early-stopped denoising for every step, and measure it.

    Descent on ½‖G(C) − y‖² with y = x* + η. In the basis w_i with the values σ_i of
    ``ntk.spectrum``, a wide network moves as the linear model from x_0 = G(C_0):

    .. math:: x_t - x^* = \sum_i w_i \Bigl\langle w_i,
        (1 - \alpha \sigma_i^2)^t (x_0 - x^*) + (1 - (1 - \alpha \sigma_i^2)^t) \eta \Bigr\rangle

    whose norm is the prediction, and the triangle inequality gives the theorem's bound

    .. math:: \|x_t - x^*\| \le (1 - \alpha \sigma_p^2)^t \|x^*\| + \Bigl( \sum_i
        (1 - (1 - \alpha \sigma_i^2)^t)^2 \langle w_i, \eta \rangle^2 \Bigr)^{1/2} + \varepsilon,
        \qquad \sigma_p = \min \{\sigma_i : \langle w_i, x^* \rangle \ne 0\}

    Args:
        prior: a two-layer network; ``prior.kernel`` gives σ.
        signal: x*, of ``prior.out_shape``.
        noise: η, likewise.
        step_size: α > 0, at most 1/σ_1².
        num_steps: T >= 1.
        params: C_0; default ``prior.params``.
        kernel: ``"expected"``: σ of infinite width, as in the theorem; ``"empirical"``: the
            kernel of this network at C_0, for the prediction only, which separates the finite
            width at the start from the motion of the kernel.
        tolerance: largest relative departure that counts as agreement.

    Returns:
        ``DenoisingCurve``; ``holds`` judges the steps up to three times the best one. The curve
        is theory: it reads x*, and is no stopping rule.

    Raises:
        ValueError: shapes that do not fit, α > 1/σ_1².

    Cost: T forward and backward passes; O(T n log n) for the prediction, n³ for the empirical.

    Notes: four things in the printed statement cannot be meant. The noise term lacks a square on
        ηᵀv_i; without one the sum can be negative. The loss ‖G − y‖² has twice the gradient, so
        with α <= 1/σ_1² the factors are those of ½‖G − y‖². σ_1 > σ_2 > ... cannot be: every
        frequency but 0 and n/2 has a sine and a cosine of equal σ. And O(p/n) for η ~ N(0, I)
        is the squared error per entry, ‖x_t − x*‖²/n. The theorem is about ReLU(U C) v, with
        the last layer fixed (``generators.two_layer``), not the network with both trained.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> u = jnp.array([1.0, 2.0, 1.0] + 13 * [0.0]) / 6**0.5
        >>> prior = ji.generators.two_layer(u, 1024)
        >>> noise = jax.random.normal(jax.random.key(1), (16,))
        >>> step = 0.1 / float(jnp.max(ji.ntk.spectrum(u))) ** 2
        >>> found = check_denoising_curve(prior, 3 * jnp.ones(16), noise, step, 40)
        >>> found.measured.shape, bool(found.holds)
        ((41,), True)

    Source: Heckel, Soltanolkotabi, "Denoising and regularization" (2020), Theorem 2; Theorem 7
    of Scarlett, Heckel, Rodrigues, Hand, Eldar (2022).
    """
    where = "check_denoising_curve"
    if not isinstance(prior, TwoLayer):
        hint = "Make one with generators.two_layer."
        checks.fail_type(where, "prior", "be a two-layer network", prior, hint)
    checks.choice(where, "kernel", kernel, _KERNELS)
    signal = checks.array(where, "signal", signal)
    noise = checks.array(where, "noise", noise)
    for name, value in (("signal", signal), ("noise", noise)):
        checks.shape_is(where, name, value, prior.out_shape)
        checks.finite(where, name, value)
        if jnp.iscomplexobj(value):
            checks.fail(where, name, "be real", value)
    step_size = checks.positive(where, "step_size", step_size, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    tolerance = checks.positive(where, "tolerance", tolerance, single=True)
    require_norm(where, "prior.kernel", prior.kernel)
    sigma = spectrum(prior.kernel)
    largest = jnp.max(sigma) ** 2
    if checks.is_concrete((step_size, largest)) and step_size * float(largest) > 1 + 1e-5:
        expected = f"be at most 1/σ_1² = {1 / float(largest):.4g}"
        checks.fail(where, "step_size", expected, step_size)
    params = prior.params if params is None else checks.array(where, "params", params)
    checks.shape_is(where, "params", params, prior.params.shape)
    checks.finite(where, "params", params)
    problem = Problem(identity(prior.out_shape), signal + noise, prior)
    _, path = signals_of_descent(problem, params, step_size, num_steps)
    measured = _errors(path, signal)
    linear, bound = _linear_curves(sigma, path[0], signal, noise, step_size, num_steps)
    if kernel == "empirical":
        matrix = empirical_kernel(prior, params)
        steps = jnp.arange(num_steps + 1)
        residual = linearized_descent(matrix, (path[0] - problem.y).ravel(), step_size, steps)
        linear = _errors(residual, -noise.ravel())
    found = _compare(measured, linear, bound, tolerance)
    return checks.no_nan(where, "prior, signal and noise", found)


@jax.jit
def _errors(path: Array, signal: Array) -> Array:
    return jax.vmap(numerics.safe_norm)(path - signal)


@partial(jax.jit, static_argnums=5)
def _linear_curves(
    sigma: Array, start: Array, signal: Array, noise: Array, step_size: Any, num_steps: int
) -> tuple[Array, Array]:
    """Return the error of the linear model, and the bound, at steps 0 to T."""

    def coefficients(x: Array) -> Array:
        return jnp.fft.fftn(x, norm="ortho").reshape(-1)

    steps = jnp.arange(num_steps + 1).astype(sigma.dtype)
    values = (sigma * sigma).reshape(-1)
    rate = jnp.asarray(step_size, sigma.dtype)
    kept, fitted = kept_share(values, rate, steps), fitted_share(values, rate, steps)
    first, truth, error = coefficients(start), coefficients(signal), coefficients(noise)
    norm = jax.vmap(numerics.safe_norm)
    linear = norm(kept * (first - truth) + fitted * error)
    present = jnp.abs(truth) > _SMALL * jnp.max(jnp.abs(truth))
    slowest = jnp.min(jnp.where(present, values, jnp.inf), keepdims=True)
    slowest = jnp.where(jnp.isfinite(slowest), slowest, 0)
    remains = kept_share(slowest, rate, steps)[:, 0] * numerics.safe_norm(signal)
    return linear, remains + norm(fitted * error) + norm(kept * first)


@jax.jit
def _compare(
    measured: Array, predicted: Array, bound: Array, tolerance: float | Array
) -> DenoisingCurve:
    departure = numerics.safe_divide(jnp.abs(predicted - measured), measured)
    best = jnp.argmin(measured)
    early = jnp.arange(measured.size) <= jnp.maximum(3 * best, 1)
    worst = jnp.max(jnp.where(early, departure, 0))
    later = jnp.max(jnp.where(early, 0, departure))
    return DenoisingCurve(
        measured, predicted, bound, departure, best, worst, later, worst <= tolerance
    )
