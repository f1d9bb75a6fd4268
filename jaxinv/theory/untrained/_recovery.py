"""Recovery from Gaussian measurements by smooth models: bounds beside experiments."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.ntk import expected_kernel, linearized_signal
from jaxinv.ntk._descent import require_symmetric, significant
from jaxinv.problems import Problem
from jaxinv.theory.untrained._descent import signals_of_descent
from jaxinv.theory.untrained._inputs import real_signal, two_layer_problem

CONSTANT = 1024.0  # C of Theorem 1, from its proof


class SketchBound(NamedTuple):
    """A bound on the squared error as a factor of Σ ⟨w_i, x*⟩²/σ_i², and its probability."""

    factor: Array
    probability: float


class SketchedRecovery(NamedTuple):
    """Squared errors of smooth recovery from random measurements.

    Attributes:
        measured: ‖x̂ − x*‖² of every trial.
        bound: of Theorem 1.
        sharper_bound: of Proposition 1, with its own coefficients.
        probability: with which the proof promises both.
        holds: whether at least that share of the trials is below each.
    """

    measured: Array
    bound: Array
    sharper_bound: Array
    probability: float
    holds: Array


class NetworkRecovery(NamedTuple):
    """Squared errors of compressed sensing with a two-layer network.

    Attributes:
        measured: ‖G(C_t) − x*‖² at steps 0 to T, shape (T + 1,).
        predicted: ‖x_t − x*‖² of the linear model with the expected kernel, likewise.
        limit: the same at t = ∞.
        bound: right-hand side of (13) with the constant of the proof.
        departure: ‖G(C_T) − x_T‖ / ‖x*‖ between network and linear model at the end.
        holds: whether ``measured[-1]`` is below the bound.
    """

    measured: Array
    predicted: Array
    limit: Array
    bound: Array
    departure: Array
    holds: Array


def sketch_bound(
    singular_values: Num[ArrayLike, "n"], split: int, num_measurements: int
) -> SketchBound:
    r"""Return the error factor for m = k + p Gaussian measurements of a linear model.

    .. math:: \|J \hat c - J c^*\|^2 \le \|U_n^T c^*\|^2 \Bigl( \bigl(\sigma_{k+1} e
        (a + b u) + e b \sqrt{\textstyle\sum_{i>k} \sigma_i^2} \bigr)^2
        + \sum_{i>k} \sigma_i^2 \Bigr), \quad a = \sqrt{\tfrac{3k}{p+1}},\;
        b = \tfrac{e \sqrt{k+p}}{p+1}

    with u = √(2p) and probability 1 − 3 e^{−p}.

    Args:
        singular_values: σ_1 >= ... >= σ_n >= 0 of J (sorted if they are not).
        split: k >= 1.
        num_measurements: m = k + p with p >= 4, m <= n.

    Returns:
        ``SketchBound(factor, probability)``; multiply by Σ ⟨w_i, x*⟩²/σ_i².

    Raises:
        ValueError: p < 4, sizes out of range, negative values.

    Cost: a sort.

    Notes: the printed coefficient of the root has u in place of the first e, which the theorem
        it rests on does not give: its parameter t is e there.

    Example:
        >>> import jax.numpy as jnp
        >>> found = sketch_bound(0.5 ** jnp.arange(30.0), 10, 20)
        >>> float(found.factor) < 1e-2, found.probability > 0.99
        (True, True)

    Source: Heckel, Soltanolkotabi (2020), Proposition 1; Halko, Martinsson, Tropp (2011),
    Theorem 10.8.
    """
    where = "sketch_bound"
    values = checks.array(where, "singular_values", singular_values, ndim=1)
    k = checks.count(where, "split", split)
    m = checks.count(where, "num_measurements", num_measurements)
    p = m - k
    if p < 4:
        checks.fail(where, "num_measurements", f"be at least split + 4 = {k + 4}", m)
    if m > values.size:
        checks.fail(where, "num_measurements", f"be at most n = {values.size}", m)
    return SketchBound(_factor(values, k, m), _probability(k, m))


def _probability(split: int, num_measurements: int) -> float:
    return 1 - 3 * math.exp(split - num_measurements)


@partial(jax.jit, static_argnums=(1, 2))
def _factor(values: Array, k: int, m: int) -> Array:
    p = m - k
    values = jnp.sort(values)[::-1]
    tail = jnp.sum(values[k:] ** 2)
    b = math.e * math.sqrt(m) / (p + 1)
    deviation = math.sqrt(2 * p)
    first = math.e * (math.sqrt(3 * k / (p + 1)) + b * deviation)
    root = values[k] * first + math.e * b * jnp.sqrt(tail)
    return root**2 + tail


def recovery_bound(
    kernel_matrix: Num[ArrayLike, "n n"],
    signal: Num[ArrayLike, "n"],
    num_measurements: int,
    *,
    constant: float | int = CONSTANT,
) -> Float[Array, ""]:
    r"""Bound the squared error of recovery from m Gaussian measurements by a linear model.

    .. math:: \|\hat x - x^*\|^2 \le C \Bigl( \sum_i \frac{\langle w_i, x^* \rangle^2}
        {\sigma_i^2} \Bigr) \sum_{i > 2m/3} \sigma_i^2

    Args:
        kernel_matrix: Σ = J Jᵀ with eigenpairs (σ_i², w_i), shape (n, n).
        signal: x*, shape (n,).
        num_measurements: m in [12, n].
        constant: C; the proof gives 32² = 1024.

    Returns:
        The bound; infinite for a signal with energy where σ_i = 0.

    Raises:
        ValueError: sizes out of range, shapes that do not fit.

    Cost: an eigendecomposition, n³.

    Notes: it holds with probability 1 − 3 e^{−m/3}, since p = m/3 in the proof; the theorem
        prints e^{−m/2}.

    Example:
        >>> import jax.numpy as jnp
        >>> smooth = jnp.diag(0.1 ** jnp.arange(20.0))
        >>> float(recovery_bound(smooth, jnp.eye(20)[0], 12)) < 1e-4
        True

    Source: Heckel, Soltanolkotabi (2020), Theorem 1.
    """
    where = "recovery_bound"
    values, _, energy = _model(where, kernel_matrix, signal)
    m = _measurements(where, num_measurements, values.size)
    constant = checks.positive(where, "constant", constant, single=True)
    return _tail_bound(constant, energy, values, 2 * m // 3)


@partial(jax.jit, static_argnums=3)
def _tail_bound(constant: Any, energy: Array, values: Array, split: int) -> Array:
    return _bound(constant, energy, jnp.sum(values[split:]))


def _bound(constant: Any, energy: Array, tail: Array) -> Array:
    """Return C · energy · tail, infinite for a signal outside the range of J."""
    return jnp.where(jnp.isinf(energy), jnp.inf, constant * energy * tail)


def geometric_recovery_bound(
    decay: Any, num_measurements: Any, *, constant: float | int = CONSTANT
) -> Float[Array, "..."]:
    r"""Bound the relative squared error for geometric decay and an m/3-smooth signal.

    .. math:: \frac{\|\hat x - x^*\|^2}{\|x^*\|^2} \le C \frac{\gamma^{m/3}}{1 - \gamma}
        \qquad (\sigma_i^2 = \gamma^i)

    Args:
        decay: γ in (0, 1), scalar or array.
        num_measurements: m >= 12, scalar or array.
        constant: C.

    Returns:
        The bound of the broadcast shape. A network adds ξ² to it.

    Raises:
        ValueError: numbers out of range.

    Notes: no kernel of a two-layer convolutional network has this spectrum: σ comes in equal
        pairs (sine and cosine), and its tail is a power law (see ``ntk.spectrum``). The bound is
        for linear models; for networks use ``check_network_recovery``.

    Example:
        >>> float(geometric_recovery_bound(0.5, 60)) < 2e-3
        True

    Source: Heckel, Soltanolkotabi (2020), equation (8); Theorem 8 of Scarlett, Heckel,
    Rodrigues, Hand, Eldar (2022).
    """
    where = "geometric_recovery_bound"
    decay = checks.scalar(where, "decay", decay, low=0.0, high=1 - 1e-12, open_low=True)
    m = checks.scalar(where, "num_measurements", num_measurements, low=12.0)
    constant = checks.positive(where, "constant", constant)
    decay = jnp.asarray(decay)
    return constant * decay ** (m / 3) / (1 - decay)


def check_sketched_recovery(
    key: Any,
    kernel_matrix: Num[ArrayLike, "n n"],
    signal: Num[ArrayLike, "n"],
    num_measurements: int,
    *,
    num_trials: int = 20,
) -> SketchedRecovery:
    r"""Recover a signal from Gaussian measurements by a linear model, beside the bounds.

    .. math:: \hat x = J \arg\min \{\|c\| : A J c = A x^*\} = \Sigma A^T (A \Sigma A^T)^{-1} A x^*

    which is the limit of gradient descent from 0; A has entries N(0, 1/m).

    Args:
        key: JAX PRNG key.
        kernel_matrix: Σ = J Jᵀ, shape (n, n); any model, such as ``ntk.expected_kernel(u)``.
        signal: x*, shape (n,).
        num_measurements: m in [12, n].
        num_trials: draws of A.

    Returns:
        ``SketchedRecovery(measured, bound, sharper_bound, probability, holds)``.

    Raises:
        ValueError: as ``recovery_bound``.

    Cost: an n³ decomposition, and a QR factorization of n × m for every trial.

    Notes: the bounds are far from tight: measured errors lie orders of magnitude below.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> smooth = jnp.diag(0.5 ** jnp.arange(40.0))
        >>> found = check_sketched_recovery(jax.random.key(0), smooth, jnp.eye(40)[0], 18)
        >>> bool(found.holds)
        True

    Source: Heckel, Soltanolkotabi (2020), Theorem 1 and Proposition 1.
    """
    where = "check_sketched_recovery"
    key = checks.key(where, key)
    num_trials = checks.count(where, "num_trials", num_trials)
    values, coefficients, energy = _model(where, kernel_matrix, signal)
    m = _measurements(where, num_measurements, values.size)
    split = 2 * m // 3
    model = (values, coefficients, energy)
    measured, bound, sharper, holds = _sketches(key, num_trials, model, split, m)
    probability = _probability(split, m)
    found = SketchedRecovery(measured, bound, sharper, probability, holds)
    return checks.no_nan(where, "kernel_matrix and signal", found)


@partial(jax.jit, static_argnums=(1, 3, 4))
def _sketches(
    key: Array, num_trials: int, model: tuple[Array, Array, Array], split: int, m: int
) -> tuple[Array, Array, Array, Array]:
    values, coefficients, energy = model
    keys = jax.random.split(key, num_trials)
    measured = jax.lax.map(lambda k: _one_sketch(k, values, coefficients, m), keys)
    bound = _tail_bound(CONSTANT, energy, values, split)
    sharper = _bound(1, energy, _factor(jnp.sqrt(values), split, m))
    shares = [jnp.mean(measured <= limit) for limit in (bound, sharper)]
    probability = _probability(split, m)
    return measured, bound, sharper, (shares[0] >= probability) & (shares[1] >= probability)


def check_network_recovery(
    problem: Problem, signal: Any, step_size: Any, num_steps: int, *, error: float | int = 0.1
) -> NetworkRecovery:
    r"""Run compressed sensing with a two-layer network; compare with its theory.

    .. math:: \|G(C_\infty) - x^*\|^2 \le C \Bigl( \sum_i \frac{\langle w_i, x^* \rangle^2}
        {\sigma_i^2} \Bigr) \sum_{i > 2m/3} \sigma_i^2 + \xi^2 \|x^*\|^2

    Args:
        problem: linear A (the theorem: Gaussian, N(0, 1/m)), y = A x* and a
            ``generators.two_layer`` prior, started at ``prior.params``. Its truth is not read.
        signal: x*, for the errors only.
        step_size: η > 0; the theorem asks η <= m/(4 n ‖U‖²).
        num_steps: T >= 1; "until convergence" in the theorem.
        error: ξ.

    Returns:
        ``NetworkRecovery``; ``holds`` says whether the network's error at T is below the bound,
        though the width that the proof asks for (``width_constants``) is out of reach.

    Raises:
        TypeError: another prior, an operator that is not linear.
        ValueError: fewer than 12 measurements, shapes that do not fit.

    Cost: T steps of the network; n³ and m³ for the linear model.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> u = jnp.array([1.0, 2.0, 3.0, 2.0, 1.0] + 19 * [0.0]) / 19**0.5
        >>> A = ji.operators.gaussian(jax.random.key(0), 12, 24)
        >>> problem = ji.Problem(A, A(jnp.ones(24)), ji.generators.two_layer(u, 256, scale=0.1))
        >>> found = check_network_recovery(problem, jnp.ones(24), 0.05, 200)
        >>> bool(found.holds), bool(found.departure < 0.2)
        (True, True)

    Source: Heckel, Soltanolkotabi (2020), Theorem 2.
    """
    where = "check_network_recovery"
    prior, operator = two_layer_problem(where, problem)
    signal = real_signal(where, "signal", signal, prior.out_shape)
    step_size = checks.positive(where, "step_size", step_size, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    error = checks.positive(where, "error", error, single=True)
    matrix = expected_kernel(prior.kernel)
    m = math.prod(operator.out_shape)
    bound = recovery_bound(matrix, signal.ravel(), m)
    _, path = signals_of_descent(problem._replace(truth=None), prior.params, step_size, num_steps)
    times = np.append(np.arange(num_steps + 1.0), np.inf)
    linear = linearized_signal(matrix, operator, problem.y, step_size, times, start=path[0])
    found = _beside(path, linear, signal, bound, error)
    return checks.no_nan(where, "problem, signal and step_size", found)


@jax.jit
def _beside(path: Array, linear: Array, signal: Array, bound: Array, error: Any) -> NetworkRecovery:
    squares = jax.vmap(numerics.sum_squares)
    measured, predicted = squares(path - signal), squares(linear - signal)
    departure = numerics.safe_norm(path[-1] - linear[-2]) / numerics.safe_norm(signal)
    bound = bound + error**2 * numerics.sum_squares(signal)
    return NetworkRecovery(
        measured, predicted[:-1], predicted[-1], bound, departure, measured[-1] <= bound
    )


def _model(where: str, kernel_matrix: Any, signal: Any) -> tuple[Array, Array, Array]:
    """Return σ² decreasing, the coefficients ⟨w_i, x*⟩, and Σ ⟨w_i, x*⟩²/σ_i²."""
    matrix = require_symmetric(where, "kernel_matrix", kernel_matrix)
    signal = checks.array(where, "signal", signal)
    checks.shape_is(where, "signal", signal, matrix.shape[:1])
    for name, value in (("kernel_matrix", matrix), ("signal", signal)):
        checks.finite(where, name, value)
        if jnp.iscomplexobj(value):
            checks.fail(where, name, "be real", value)
    dtype = jnp.result_type(matrix, signal, jnp.float32)
    found = _coordinates(matrix.astype(dtype), signal.astype(dtype))
    return checks.no_nan(where, "kernel_matrix and signal", found)


@jax.jit
def _coordinates(matrix: Array, signal: Array) -> tuple[Array, Array, Array]:
    values, vectors = jnp.linalg.eigh(matrix)
    values, vectors = significant(values)[::-1], vectors[:, ::-1]
    coefficients = numerics.matmul(signal.astype(matrix.dtype), vectors)
    # what rounding leaves outside the signal's span would be divided by tiny σ²
    floor = 10 * jnp.finfo(matrix.dtype).eps * numerics.safe_norm(coefficients)
    squares = jnp.where(jnp.abs(coefficients) > floor, coefficients**2, 0)
    terms = jnp.where(squares > 0, numerics.safe_divide(squares, values, math.inf), 0)
    return values, coefficients, jnp.sum(terms)


def _measurements(where: str, num_measurements: Any, size: int) -> int:
    m = checks.count(where, "num_measurements", num_measurements, minimum=12)
    if m > size:
        checks.fail(where, "num_measurements", f"be at most n = {size}", m)
    return m


@partial(jax.jit, static_argnums=3)
def _one_sketch(key: Array, values: Array, coefficients: Array, num_measurements: int) -> Array:
    """Return ‖x̂ − x*‖² for one A; in the basis w_i, where A is as Gaussian as before."""
    sigma = jnp.sqrt(values)
    rows = jax.random.normal(key, (num_measurements, values.size), values.dtype)
    space, _ = jnp.linalg.qr((rows * sigma).T)  # of (A J)ᵀ
    c = numerics.safe_divide(coefficients, sigma)
    return numerics.sum_squares(sigma * (c - numerics.matmul(space, numerics.matmul(space.T, c))))
