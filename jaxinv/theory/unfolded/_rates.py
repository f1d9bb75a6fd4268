"""Linear rates of coupled layers with thresholds from the theorem, with support selection."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks
from jaxinv.operators import LinearOperator
from jaxinv.theory.sparse._coherence import largest_interference, normalized_weights
from jaxinv.theory.sparse._columns import host_matrix


class LinearRate(NamedTuple):
    """What the theorem promises for T layers.

    Attributes:
        bound: bound of ‖x_t - x*‖₁, hence of the 2-norm, at layers 0 to T; shape (T + 1,).
        thresholds: θ_t that the theorem chooses, shape (T,).
        rate: c = -log((2s - 1) μ̃) > 0, the exponent without support selection.
        trusted: entries of the support that surely pass unchanged, shape (T,).
    """

    bound: np.ndarray
    thresholds: np.ndarray
    rate: float
    trusted: np.ndarray


class RateCheck(NamedTuple):
    """Errors of layers run on signals, beside the promise.

    Attributes:
        measured: ‖x_t - x*‖₁, shape (num_signals, T + 1).
        bound: the ``LinearRate`` of the class of the signals.
        errors: ‖x_t - x*‖₂, likewise.
        false_positives: entries outside the support that were ever not zero; promised to be 0.
        holds: whether ``measured`` is below the bound everywhere, and there is none of those.
    """

    measured: np.ndarray
    bound: LinearRate
    errors: np.ndarray
    false_positives: int
    holds: bool


def linear_rate(
    coherence: Any,
    sparsity: int,
    num_layers: int,
    *,
    largest: Any = 1.0,
    smallest: Any = 0.0,
    noise: Any = 0.0,
    bypass_counts: Any = None,
) -> LinearRate:
    r"""Return the error bound and the thresholds of layers with generalized coherence μ̃.

    The layers are x ← soft(x + Wᵀ(y - A x), θ_t) from x₀ = 0, for all x* of at most s entries,
    |x*_i| <= B, and y = A x* + η with ‖Wᵀη‖_∞ <= ε:

    .. math:: \theta_t = \tilde\mu b_t + \varepsilon, \qquad
              b_{t+1} = (2s - 1 - q_t) \tilde\mu b_t + (2s - q_t) \varepsilon, \qquad b_0 = s B

    The thresholds come from the recursion of the bound, not from the signal. Without noise and
    selection, b_t = s B exp(-c t) with c = -log(2 s μ̃ - μ̃). With support selection the k_t
    largest entries pass unchanged if above θ_t; q_t = min(k_t, s) of them surely belong to the
    support and save their threshold once every |x*_i| > 2 θ_t, and 0 before.

    Args:
        coherence: μ̃ in [0, 1], see ``generalized_coherence``.
        sparsity: s >= 1 with (2s - 1) μ̃ < 1, see ``sufficient_sparsity``.
        num_layers: T >= 1.
        largest: B > 0.
        smallest: lower bound of the nonzero |x*_i|, in [0, B]; serves support selection only.
        noise: ε >= 0; with ‖η‖₁ <= σ it is max |W_ij| σ.
        bypass_counts: k_t for each layer, integers >= 0; None for no support selection.

    Returns:
        ``LinearRate(bound, thresholds, rate, trusted)``, NumPy arrays in float64.

    Raises:
        ValueError: (2s - 1) μ̃ >= 1, where nothing is promised; numbers out of range; counts
            that are not one per layer.

    Cost: O(T) on the host.

    Notes: with q_t entries trusted the source counts in the same way, for a given signal; the
    condition on |x*_i| makes it a bound for the class.

    Example:
        >>> found = linear_rate(0.1, 3, 4)
        >>> found.bound.round(4).tolist()  # 3 · 0.5^t
        [3.0, 1.5, 0.75, 0.375, 0.1875]

    Source: Chen, Liu, Wang, Yin (2018), Theorems 2 and 3; Liu, Chen, Wang, Yin (2019),
    Theorem 1; Theorems 9 and 10 of Scarlett, Heckel, Rodrigues, Hand, Eldar (2023).
    """
    where = "linear_rate"
    mu = checks.scalar(where, "coherence", coherence, low=0.0, high=1.0, single=True)
    sparsity = checks.count(where, "sparsity", sparsity)
    num_layers = checks.count(where, "num_layers", num_layers)
    largest = checks.positive(where, "largest", largest, single=True)
    smallest = checks.scalar(where, "smallest", smallest, low=0.0, high=largest, single=True)
    noise = checks.nonnegative(where, "noise", noise, single=True)
    counts = _counts(where, bypass_counts, num_layers)
    factor = (2 * sparsity - 1) * mu
    if factor >= 1:
        hint = f"The theorem needs sparsity < {(1 + 1 / mu) / 2:.3g}."
        checks.fail(where, "sparsity", "have (2 s - 1) coherence < 1", f"{factor:.3g}", hint)
    bound, thresholds, trusted = [sparsity * largest], [], []
    for count in counts:
        threshold = mu * bound[-1] + noise
        passed = min(count, sparsity) if smallest > 2 * threshold else 0
        thresholds.append(threshold)
        trusted.append(passed)
        keep = 2 * sparsity - passed
        bound.append((keep - 1) * mu * bound[-1] + keep * noise)
    rate = -math.log(factor) if factor > 0 else math.inf
    return LinearRate(np.array(bound), np.array(thresholds), rate, np.array(trusted))


def check_linear_rate(
    matrix: Num[ArrayLike, "m n"] | LinearOperator,
    weights: Num[ArrayLike, "m n"] | LinearOperator,
    signals: Num[ArrayLike, "signals n"],
    noise: Num[ArrayLike, "signals m"] | None = None,
    *,
    num_layers: int,
    bypass_counts: Any = None,
) -> RateCheck:
    r"""Run coupled layers with the theorem's thresholds and compare the errors with its bound.

    The class is the smallest that holds all the signals: s is their largest number of nonzero
    entries, B the largest magnitude, ε the largest max |W_ij| ‖η‖₁.

    Args:
        matrix: A, shape (m, n).
        weights: W, shape (m, n), with w_i* a_i = 1.
        signals: x*, shape (num_signals, n), none of them all zero.
        noise: η, shape (num_signals, m); None for none.
        num_layers: T >= 1.
        bypass_counts: as in ``linear_rate``.

    Returns:
        ``RateCheck(measured, bound, errors, false_positives, holds)``.

    Raises:
        ValueError: shapes that do not fit, or signals too dense for the theorem.

    Cost: T products with A and Wᵀ for all signals, in float64 on the host, since float32 would
    end the decay near 1e-7.

    Example:
        >>> import jax, numpy as np
        >>> A = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
        >>> found = check_linear_rate(A, A, np.array([[0.0, 2.0, 0.0]]), num_layers=3)
        >>> found.holds, found.errors[0].round(3).tolist()
        (True, [2.0, 1.6, 1.28, 1.024])

    Source: as for ``linear_rate``.
    """
    where = "check_linear_rate"
    A = host_matrix(where, matrix)
    W = normalized_weights(where, weights, A)
    num_layers = checks.count(where, "num_layers", num_layers)
    counts = _counts(where, bypass_counts, num_layers)
    truth = _rows(where, "signals", signals, A.shape[1])
    eta = np.zeros((len(truth), A.shape[0])) if noise is None else noise
    eta = _rows(where, "noise", eta, A.shape[0])
    checks.shape_is(where, "noise", eta, (len(truth), A.shape[0]), "One row for each signal.")
    sizes = np.abs(truth)
    if not np.all(np.any(sizes > 0, axis=1)):
        checks.fail(where, "signals", "each have a nonzero entry", "an all-zero signal")
    mu, most = min(largest_interference(W, A), 1.0), int(np.count_nonzero(truth, axis=1).max())
    if (2 * most - 1) * mu >= 1:
        got = f"{most} nonzero entries with a coherence of {mu:.3g}"
        checks.fail(where, "signals", "have s entries with (2 s - 1) coherence < 1", got)
    promise = linear_rate(
        mu,
        most,
        num_layers,
        largest=float(sizes.max()),
        smallest=float(sizes[sizes > 0].min()),
        noise=float(np.abs(W).max() * np.sum(np.abs(eta), axis=1).max()),
        bypass_counts=counts,
    )
    y = truth @ A.T + eta
    x, wrong, path = np.zeros_like(y @ W.conj()), np.zeros(truth.shape, bool), [truth]
    for threshold, count in zip(promise.thresholds, counts, strict=True):
        x = _select(x + (y - x @ A.T) @ W.conj(), threshold, count)
        wrong |= (x != 0) & (truth == 0)
        path.append(x - truth)
    errors = np.stack([np.linalg.norm(e, axis=1) for e in path], axis=1)
    measured = np.stack([np.sum(np.abs(e), axis=1) for e in path], axis=1)
    below = measured <= promise.bound * (1 + 1e-9) + 1e-12 * float(sizes.max())
    holds = bool(below.all() and not wrong.any())
    return RateCheck(measured, promise, errors, int(wrong.sum()), holds)


def _select(z: np.ndarray, threshold: float, count: int) -> np.ndarray:
    """Soft threshold all but the ``count`` largest entries of each row."""
    sizes = np.abs(z)
    # what lies within rounding of the threshold counts as not above it
    excess = np.where(sizes > threshold * (1 + 1e-12) + 1e-15, sizes - threshold, 0.0)
    soft = z * (excess / np.maximum(sizes, 1e-300))
    if count == 0:
        return soft
    count = min(count, z.shape[1])
    bar = -np.partition(-sizes, count - 1, axis=1)[:, count - 1 : count]
    return np.where((sizes >= bar) & (excess > 0), z, soft)


def _counts(where: str, counts: Any, num_layers: int) -> list[int]:
    if counts is None:
        return [0] * num_layers
    if isinstance(counts, jax.Array | np.ndarray) and checks.is_integer(counts) and counts.ndim:
        counts = counts.tolist()
    if not isinstance(counts, list | tuple):
        checks.fail_type(where, "bypass_counts", "be a list of integers", counts)
    found = [checks.count(where, "bypass_counts", count, minimum=0) for count in counts]
    if len(found) != num_layers:
        checks.fail(where, "bypass_counts", f"hold {num_layers} counts", f"{len(found)}")
    return found


def _rows(where: str, argument: str, value: Any, size: int) -> np.ndarray:
    checks.array(where, argument, value, ndim=2)
    rows = np.asarray(value, complex if np.iscomplexobj(value) else float)
    checks.finite(where, argument, rows)
    if rows.shape[1] != size or not len(rows):
        checks.fail(where, argument, f"have shape (num_signals, {size})", rows)
    return rows
