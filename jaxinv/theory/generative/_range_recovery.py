"""Least squares over the range of a generator, and the error bounds of Bora et al. beside it."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks
from jaxinv.generators import Generator
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.theory.generative._cones import RANK_CUT, least_gain, simplicial
from jaxinv.theory.generative._regions import Regions, enumerate_regions, host_weights, unit_layers
from jaxinv.theory.generative._search import measuring
from jaxinv.theory.generative._set_restricted import host_operator, real_rows

_HALVINGS = 200


class RangeLeastSquares(NamedTuple):
    """The global minimum of ‖y - A G(z)‖.

    Attributes:
        latent: z, shape (k,).
        signal: G(z), shape (n,).
        residual: ‖y - A G(z)‖, the least there is.
    """

    latent: np.ndarray
    signal: np.ndarray
    residual: float


class RangeRecovery(NamedTuple):
    """The error of least squares over the range, beside what is promised.

    Attributes:
        measured: ‖x̂ - x*‖ of the global minimum x̂.
        bound: 6 min ‖G(z) - x*‖ + 3 ‖η‖ + 2 δ.
        holds: whether the error is at most that.
        proven: what follows from γ without probabilities; the error is always below it.
        eigenvalue: γ, exact.
        representation_error: min ‖G(z) - x*‖, exact.
        noise_norm: ‖η‖.
    """

    measured: float
    bound: float
    holds: bool
    proven: float
    eigenvalue: float
    representation_error: float
    noise_norm: float


def range_least_squares(
    operator: Num[ArrayLike, "m n"] | LinearOperator,
    generator: Generator,
    y: Num[ArrayLike, "m"],
    *,
    radius: Any = None,
) -> RangeLeastSquares:
    r"""Minimize ‖y - A G(z)‖ over all latents, or a ball of them, to the global minimum.

    .. math:: \hat z = \arg\min_{\|z\| \le r} \|y - A G(z)\|

    What decoders are assumed to find and no descent can promise: for a ReLU network with at most
    three latents, by least squares with weights >= 0 on the edges of every linear piece.

    Args:
        operator: A, shape (m, n), or a linear operator on signals.
        generator: G, a network of ReLU units without biases, k <= 3.
        y: measurements, shape (m,), complex only where A is.
        radius: r > 0, or None for all latents.

    Returns:
        ``RangeLeastSquares(latent, signal, residual)``, of the host in double precision.

    Raises:
        TypeError: a generator that is not a ReLU network.
        ValueError: more latents or pieces than can be enumerated, measurements of another size.

    Cost: 2^k - 1 decompositions of m × k a piece.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (2, 10, 20))
        >>> A = ji.operators.gaussian(jax.random.key(1), 8, 20)
        >>> found = range_least_squares(A, G, A(G(jnp.array([1.0, -2.0]))))
        >>> found.latent.round(4).tolist(), found.residual < 1e-5
        ([1.0, -2.0], True)

    Source: Bora, Jalal, Price, Dimakis (2017), the decoder of Theorems 1.1 and 1.2.
    """
    where = "range_least_squares"
    operator = measuring(where, operator, generator)
    if radius is not None:
        radius = checks.positive(where, "radius", radius, single=True)
    y = _measurements(where, "y", operator, y)
    pieces = enumerated(where, operator, generator, with_eigenvalue=False)
    level = pieces.scale * pieces.size
    latent, residual = nearest(pieces.matrix, pieces.found, y / level, radius)
    return RangeLeastSquares(
        latent, pieces.size * _signal(pieces.weights, latent), residual * level
    )


def range_recovery_bound(
    representation_error: Any,
    noise_norm: Any = 0.0,
    *,
    delta: Any = 0.0,
    eigenvalue: Any = None,
    expansion: Any = 2.0,
) -> float:
    r"""Return the error that least squares over the range is promised.

    .. math:: \|\hat x - x_*\| \le 6 \min_z \|G(z) - x_*\| + 3 \|\eta\| + 2 \delta

    with high probability over A, given enough measurements (``sufficient_measurements``); or,
    with γ and c = ``expansion``, what follows from S-REC(γ, δ) and
    ‖A(x_* - G(z))‖ <= c ‖x_* - G(z)‖ at the best z:

    .. math:: \|\hat x - x_*\| \le \Big(1 + \frac{2c}{\gamma}\Big) \min_z \|G(z) - x_*\|
              + \frac{2 \|\eta\| + \delta}{\gamma}

    Args:
        representation_error: min ‖G(z) - x*‖ >= 0.
        noise_norm: ‖η‖ >= 0.
        delta: δ >= 0: 0 for ReLU networks.
        eigenvalue: γ > 0, or None for the theorems' constants.
        expansion: c > 0, with ``eigenvalue``.

    Returns:
        The bound.

    Raises:
        ValueError: negative numbers.

    Notes: the constants 6, 3, 2 follow for γ >= 4/5 and c = 2. With γ = ½, at which the survey
        states the condition, the same proof gives 9, 4, 2.

    Example:
        >>> range_recovery_bound(0.5, 0.1)
        3.3
        >>> round(range_recovery_bound(0.5, 0.1, eigenvalue=0.5), 12)
        4.9

    Source: Bora, Jalal, Price, Dimakis (2017), Theorems 1.1, 1.2 and Lemma 4.3.
    """
    where = "range_recovery_bound"
    error = checks.nonnegative(where, "representation_error", representation_error, single=True)
    noise = checks.nonnegative(where, "noise_norm", noise_norm, single=True)
    delta = checks.nonnegative(where, "delta", delta, single=True)
    expansion = checks.positive(where, "expansion", expansion, single=True)
    if eigenvalue is None:
        return float(6 * error + 3 * noise + 2 * delta)
    gamma = checks.positive(where, "eigenvalue", eigenvalue, single=True)
    return float((1 + 2 * expansion / gamma) * error + (2 * noise + delta) / gamma)


def check_range_recovery(
    problem: Problem, *, radius: Any = None, delta: Any = 0.0
) -> RangeRecovery:
    r"""Solve a problem to the global minimum over the range, and hold the error beside the bounds.

    Both sides are exact: the minimum, the representation error and the eigenvalue γ come from
    all linear pieces. The truth is used for the score and the bounds only.

    Args:
        problem: with a linear operator, a ``generators.relu`` prior of at most three latents and
            a truth, which need not lie in the range.
        radius: r > 0 of the ball of latents of Theorem 1; None for all (Theorem 2).
        delta: δ >= 0 of Theorem 1.

    Returns:
        ``RangeRecovery``.

    Raises:
        TypeError: another prior or operator.
        ValueError: no truth, more latents or pieces than can be enumerated.

    Cost: that of ``set_restricted_eigenvalue`` by ``"exact"``.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(2, 6, 12), num_measurements=9, noise_norm=0.1)
        >>> found = check_range_recovery(family.sample(jax.random.key(0)))
        >>> found.holds, found.measured < found.proven
        (True, True)

    Source: Bora, Jalal, Price, Dimakis (2017), Theorems 1.1 and 1.2.
    """
    where = "check_range_recovery"
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a Problem", problem)
    if getattr(problem.truth, "x", None) is None:
        checks.fail(where, "problem.truth", "hold the signal x", "None")
    if not isinstance(problem.operator, LinearOperator):
        checks.fail_type(where, "problem.operator", "be linear", problem.operator)
    operator = measuring(where, problem.operator, problem.prior)
    delta = checks.nonnegative(where, "delta", delta, single=True)
    if radius is not None:
        radius = checks.positive(where, "radius", radius, single=True)
    y = _measurements(where, "problem.y", operator, problem.y)
    pieces = enumerated(where, operator, problem.prior, with_eigenvalue=True)
    truth = np.asarray(problem.truth.x, np.float64)
    return scored(pieces, truth, y, radius=radius, delta=delta)


def _measurements(where: str, argument: str, operator: LinearOperator, y: Any) -> np.ndarray:
    """Return measurements in double precision, a complex one as two real ones."""
    y = checks.array(where, argument, y)
    checks.shape_is(where, argument, y, operator.out_shape)
    checks.finite(where, argument, y)
    if not checks.is_concrete((y, operator)):
        hint = "Call it outside jit, grad and vmap."
        checks.fail(where, argument, "hold numbers that can be looked at", "tracers", hint)
    is_complex = np.issubdtype(operator.out_dtype, np.complexfloating)
    if np.iscomplexobj(y) and not is_complex:
        hint = "Take np.real(y), or measure with a complex operator."
        checks.fail(where, argument, "be real, as the operator is", y, hint)
    return real_rows(y, is_complex)


class Pieces(NamedTuple):
    """A network and an operator in double precision, each divided by its scale, and γ."""

    weights: list[np.ndarray]
    found: Regions
    matrix: np.ndarray
    size: float
    scale: float
    eigenvalue: float


def enumerated(
    where: str, operator: LinearOperator, generator: Any, *, with_eigenvalue: bool
) -> Pieces:
    """Return the linear pieces of a network beside an operator, and γ where it is asked for."""
    weights = host_weights(where, generator)
    unit = unit_layers(where, weights)
    found = enumerate_regions(where, unit, 2000)
    matrix, scale = host_operator(where, operator)
    size = float(np.prod([np.max(np.abs(weight)) for weight in weights]))
    checks.scalar(where, "generator", scale * size, low=1e-250, high=1e250)
    gamma = least_gain(matrix, found).value * scale if with_eigenvalue else 0.0
    return Pieces(unit, found, matrix, size, scale, gamma)


def scored(
    pieces: Pieces, truth: np.ndarray, y: np.ndarray, *, radius: Any = None, delta: float = 0.0
) -> RangeRecovery:
    """Return the error of the global minimum beside its bounds."""
    weights, found, matrix, size, scale, gamma = pieces
    latent, _ = nearest(matrix, found, y / (scale * size), radius)
    best, error = nearest(np.eye(len(truth)), found, truth / size, radius)
    noise = float(np.linalg.norm(y - scale * (matrix @ truth)))
    missing = truth - size * _signal(weights, best)
    gain = scale * np.linalg.norm(matrix @ missing) / max(np.linalg.norm(missing), 1e-300)
    measured = float(np.linalg.norm(size * _signal(weights, latent) - truth))
    bound = range_recovery_bound(size * error, noise, delta=delta)
    proven = (1 + 2 * gain / gamma) * size * error + 2 * noise / gamma if gamma else np.inf
    slack = 1e-6 * np.linalg.norm(truth)  # of single precision
    holds = bool(measured <= bound + slack)
    return RangeRecovery(measured, bound, holds, float(proven), gamma, size * error, noise)


def nearest(
    matrix: np.ndarray, found: Regions, y: np.ndarray, radius: float | None = None
) -> tuple[np.ndarray, float]:
    """Return the z with the least ‖y − A G(z)‖ over all pieces, and that residual."""
    cones, owners = simplicial(found)
    measured = matrix @ found.maps[owners] @ cones.transpose(0, 2, 1)
    latent = cones.shape[1]
    best = (float(np.linalg.norm(y)), np.zeros(latent))  # z = 0
    for size in range(1, latent + 1):
        for face in itertools.combinations(range(latent), size):
            edges = cones[:, face]
            amounts = _face_weights(measured[:, :, face], edges, y, radius)
            feasible = np.all(amounts >= 0, axis=1)
            predicted = np.einsum("cmi,ci->cm", measured[:, :, face], amounts)
            residuals = np.where(feasible, np.linalg.norm(y - predicted, axis=1), np.inf)
            at = int(np.argmin(residuals))
            if residuals[at] < best[0]:
                best = (float(residuals[at]), amounts[at] @ edges[at])
    return best[1], best[0]


def _face_weights(
    measured: np.ndarray, edges: np.ndarray, y: np.ndarray, radius: float | None
) -> np.ndarray:
    """Return the weights of least squares on the span of each face, NaN where there is none.

    In a ball the minimum has a multiplier λ with ‖z(λ)‖ = r, where ‖z‖ falls with λ.
    """
    root = np.linalg.cholesky(np.matmul(edges, edges.transpose(0, 2, 1)))
    inverse = np.linalg.inv(root)
    left, sizes, right = np.linalg.svd(measured @ inverse.transpose(0, 2, 1), full_matrices=False)
    if sizes.shape[1] < edges.shape[1]:  # fewer measurements than edges: the faces below do
        return np.full((len(edges), edges.shape[1]), np.nan)
    part = np.einsum("cmi,m->ci", left, y)
    independent = sizes[:, -1] > RANK_CUT * sizes[:, 0]
    sizes = np.where(independent[:, None], sizes, 1)
    multiplier = np.zeros((len(edges), 1))
    if radius is not None:
        outside = np.linalg.norm(part / sizes, axis=1, keepdims=True) > radius
        low, high = multiplier, np.linalg.norm(sizes * part, axis=1, keepdims=True) / radius
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            long = np.linalg.norm(sizes * part / (sizes**2 + middle), axis=1) > radius
            low = np.where(long[:, None], middle, low)
            high = np.where(long[:, None], high, middle)
        multiplier = np.where(outside, high, 0)
    solved = np.einsum("cij,ci->cj", right, sizes * part / (sizes**2 + multiplier))
    weights = np.einsum("cij,ci->cj", inverse, solved)
    return np.where(independent[:, None], weights, np.nan)


def _signal(weights: list[np.ndarray], latent: np.ndarray) -> np.ndarray:
    for weight in weights:
        latent = np.maximum(weight @ latent, 0)
    return latent
