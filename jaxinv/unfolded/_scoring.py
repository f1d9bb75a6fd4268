"""How good a network is: its error on fresh problems, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv._core import checks, numerics
from jaxinv.problems import Family
from jaxinv.solvers import Layers, unfold
from jaxinv.unfolded._family import check_family
from jaxinv.unfolded._training import check_callable

Array = jax.Array

_CHUNK = 1000  # problems that are solved at once
_FAILURE_DB = -30.0
_DEVIATIONS = 1.96  # 95 % of a normal distribution
_WORST = 10


class Evaluation(NamedTuple):
    """Errors of a network over fresh problems.

    Attributes:
        nmse_db: 10 log₁₀ Σ‖x̂ᵢ − xᵢ‖² / Σ‖xᵢ‖², after the last layer.
        interval_db: 95 % interval of ``nmse_db`` over draws of the problems, low and high.
        worst_share: share of the ten worst problems in the sum of squared errors.
        median_db: median over problems of 10 log₁₀ ‖x̂ᵢ − xᵢ‖² / ‖xᵢ‖².
        failure_rate: share of problems whose own NMSE is above ``threshold_db``, NaN included.
        layer_nmse_db, layer_interval_db, layer_worst_share, layer_median_db,
            layer_failure_rate: the same after every layer, (T,); the intervals are (T, 2).
        errors: ‖x̂ᵢ − xᵢ‖² after the last layer, (num_problems,).
        energies: ‖xᵢ‖², (num_problems,).
        threshold_db: what counts as a failure.
    """

    nmse_db: float
    interval_db: tuple[float, float]
    worst_share: float
    median_db: float
    failure_rate: float
    layer_nmse_db: np.ndarray
    layer_interval_db: np.ndarray
    layer_worst_share: np.ndarray
    layer_median_db: np.ndarray
    layer_failure_rate: np.ndarray
    errors: np.ndarray
    energies: np.ndarray
    threshold_db: float


def evaluate(
    key: Any,
    layers: Layers,
    family: Family,
    *,
    num_problems: int = 10_000,
    threshold_db: float = _FAILURE_DB,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    r"""Score a network on fresh problems.

    .. math:: \mathrm{NMSE} = 10 \log_{10} \frac{\sum_i \|\hat x_i - x_i\|^2}{\sum_i \|x_i\|^2}

    A few bad problems decide this ratio of sums, while the median ignores them: state both, with
    the interval and the failure rate. Where the ten worst problems hold most of the error, other
    problems may give a value outside the interval: score more of them.

    Args:
        key: a JAX PRNG key; another one than training had, so that the problems are new.
        layers: the network.
        family: where problems come from.
        num_problems: how many, >= 1.
        threshold_db: a problem fails when its own NMSE is above this; with noise choose it
            above what all methods reach, as ``failure_threshold`` does.
        progress: called with the number of problems done, after each chunk.

    Returns:
        ``Evaluation``, of NumPy numbers. No error is −inf dB, also for a signal of 0; NaN, or
        a signal of 0 that is missed, is +inf dB.

    Raises:
        ValueError, TypeError: an argument that cannot be; problems without truth.

    Cost: ``num_problems`` runs of the network, in chunks of 1000, in one compiled program.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.problems.sparse(20, 40).sample(jax.random.key(0)).operator
        >>> family = ji.problems.sparse(20, 40, num_nonzeros=2, operator=A)
        >>> found = evaluate(jax.random.key(2), ji.unfolded.hyperlista(A, 4), family,
        ...     num_problems=50)
        >>> found.layer_nmse_db.shape, bool(found.nmse_db == found.layer_nmse_db[-1])
        ((4,), True)

    Source: the ratio of sums is that of Chen, Liu, Wang, Yin (2018), section 4.
    """
    where = "evaluate"
    key = checks.key(where, key)
    if not isinstance(layers, Layers):
        checks.fail_type(where, "layers", "be a jaxinv.Layers", layers)
    check_family(where, layers, family, truth=True)
    check_callable(where, "progress", progress)
    if not checks.is_concrete((key, layers)):
        hint = "Call it outside jit and vmap: its sums are on the host."
        checks.fail(where, "key and layers", "be concrete", "traced values", hint)
    count = checks.count(where, "num_problems", num_problems)
    threshold_db = checks.scalar(
        where, "threshold_db", threshold_db, low=-3000.0, high=3000.0, single=True
    )
    num_chunks = math.ceil(count / _CHUNK)
    size = math.ceil(count / num_chunks)
    keys = jax.random.split(key, count)
    indices = np.minimum(np.arange(num_chunks * size), count - 1)  # the last one fills up
    errors, energies = [], []
    for chunk in indices.reshape(num_chunks, size):
        found, energy = jax.device_get(_errors(layers, family, keys[chunk]))
        errors.append(found)
        energies.append(energy)
        if progress is not None:
            progress(min(len(errors) * size, count))
    return _summary(
        np.concatenate(errors).astype(float)[:count].T,
        np.concatenate(energies).astype(float)[:count],
        threshold_db,
    )


def failure_threshold(snr_db: float | None) -> float:
    """Return the NMSE in dB above which a problem counts as failed: 10 − SNR, at least −30.

    Ten times the noise's own share of the measurements; −30 dB without noise.

    Args:
        snr_db: signal-to-noise ratio of the measurements in decibels; None: no noise.

    Returns:
        Decibels.

    Raises:
        ValueError: a ratio that is not one real number.

    Example:
        >>> failure_threshold(None), failure_threshold(40.0), failure_threshold(20.0)
        (-30.0, -30.0, -10.0)
    """
    if snr_db is None:
        return _FAILURE_DB
    level = checks.decibels("failure_threshold", "snr_db", snr_db, single=True)
    return max(_FAILURE_DB, 10.0 - level)


@jax.jit
def _errors(layers: Layers, family: Any, keys: Array) -> tuple[Array, Array]:
    """Return ‖x_t − x‖², shape (B, T), and ‖x‖², shape (B,)."""
    problems = family.batch(keys)

    def one(problem: Any) -> tuple[Array, Array]:
        truth = problem.truth.u
        outputs = unfold(layers, problem, all_layers=True)
        return jax.vmap(numerics.sum_squares)(outputs - truth), numerics.sum_squares(truth)

    if problems.truth is None:
        checks.fail("evaluate", "family", "draw problems with their truth", "none")
    return jax.vmap(one, in_axes=(family.axes,))(problems)


def _summary(errors: np.ndarray, energies: np.ndarray, threshold_db: float) -> Evaluation:
    """Return the scores of errors (T, N)."""
    ratios = ratio(errors, energies)
    sums = ratio(np.sum(errors, axis=1), np.sum(energies))
    nmse = _db(sums)
    spread = np.exp(_DEVIATIONS * _deviation(errors, energies))
    intervals = _db(np.stack([sums / spread, sums * spread], axis=1))
    worst = _worst_share(errors)
    median = _db(np.median(ratios, axis=1))
    failures = np.mean(ratios > 10 ** (threshold_db / 10), axis=1)
    return Evaluation(
        nmse_db=float(nmse[-1]),
        interval_db=(float(intervals[-1, 0]), float(intervals[-1, 1])),
        worst_share=float(worst[-1]),
        median_db=float(median[-1]),
        failure_rate=float(failures[-1]),
        layer_nmse_db=nmse,
        layer_interval_db=intervals,
        layer_worst_share=worst,
        layer_median_db=median,
        layer_failure_rate=failures,
        errors=errors[-1],
        energies=energies,
        threshold_db=threshold_db,
    )


def _deviation(errors: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the logarithm of the ratio of sums, shape (T,)."""
    shares = ratio(errors, np.sum(errors, axis=1, keepdims=True))
    parts = np.square(shares - ratio(energies, np.sum(energies)))
    return np.sqrt(np.sum(np.where(np.isfinite(parts), parts, 0), axis=1))


def _worst_share(errors: np.ndarray) -> np.ndarray:
    """Return the share of the ten worst problems; 1 where an error is not finite."""
    total = np.sum(errors, axis=1)
    worst = np.sum(np.sort(errors, axis=1)[:, -_WORST:], axis=1)
    return np.where(np.isfinite(total), ratio(worst, total), 1.0)


def ratio(errors: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Return errors over energies: 0 where there is no error, infinite where it is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors == 0, 0.0, errors / energies)
    return np.where(np.isnan(ratios), np.inf, ratios)


def _db(ratio: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(ratio)
