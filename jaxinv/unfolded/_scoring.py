"""How good a network is: losses over a batch, and errors on fresh problems, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.operators._require import fail_function
from jaxinv.problems import Family, Problem
from jaxinv.problems._problem import require_family
from jaxinv.solvers import Layers, unfold
from jaxinv.solvers._unfold import same_model

LOGARITHMIC = ("log_nmse", "log_error", "balanced", "mean_log_nmse")
_TRUTHFUL = (*LOGARITHMIC, "mse")
_LOSSES = (*_TRUTHFUL, "lasso")

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
    checks.report(where, "progress", progress)
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


def check_loss(where: str, loss: Any, layers: Any, family: Any) -> Any:
    """Return a loss by name, or a function of one sample, tried on the shapes of the family."""
    check_family(where, layers, family, truth=isinstance(loss, str) and loss in _TRUTHFUL)
    if callable(loss):
        _try(where, loss, family)
        return loss
    checks.choice(where, "loss", loss, _LOSSES)
    if loss == "lasso" and not hasattr(layers.solver, "prox"):
        hint = "Use it with unfolded.step_lista, or give a function loss(u, problem)."
        expected = "have a penalty for loss='lasso'"
        checks.fail(where, "layers", expected, type(layers.solver).__name__, hint)
    return loss


def _try(where: str, loss: Any, family: Any) -> None:
    def one(key: Array) -> Any:
        return loss(family.initial(key), family.sample(key))

    try:
        value = jax.eval_shape(one, jax.random.key(0))
    except (TypeError, ValueError) as error:
        fail_function(where, "loss", "(u, problem)", error)
    if getattr(value, "shape", None) != ():
        checks.fail(where, "loss", "return a scalar", f"{value}")


def batch_loss(
    loss: str | Callable[[Any, Problem], Array],
    solver: Any,
    axes: Problem,
    outputs: Any,
    problems: Problem,
) -> Array:
    """Return the loss of a batch of outputs (B, ...), a scalar."""
    if callable(loss):
        return jnp.mean(jax.vmap(loss, in_axes=(0, axes))(outputs, problems))
    if loss == "lasso":
        value = jax.vmap(solver.objective, in_axes=(axes, 0))(problems, outputs)
        return jnp.mean(value)
    errors, energies = _energies(outputs, problems)
    if loss == "mse":
        return jnp.mean(errors)
    tiny = jnp.finfo(errors.dtype).tiny
    sums = jnp.log(jnp.sum(errors) + tiny) - jnp.log(jnp.sum(energies) + tiny)
    if loss == "log_nmse":
        return sums
    ratio = numerics.safe_divide(errors, energies, default=1.0) + jnp.finfo(errors.dtype).eps ** 2
    if loss == "mean_log_nmse":
        return jnp.mean(jnp.log(ratio))
    means = 2 * jnp.log(jnp.mean(jnp.sqrt(ratio)))
    return means if loss == "log_error" else (3 * sums + means) / 4


def _energies(outputs: Any, problems: Problem) -> tuple[Array, Array]:
    truth = problems.truth.u
    return (
        jax.vmap(numerics.sum_squares)(outputs - truth),
        jax.vmap(numerics.sum_squares)(truth),
    )


def check_family(where: str, layers: Layers, family: Any, *, truth: bool) -> None:
    """Refuse a family that draws another operator than the network was made for.

    Args:
        where: the function that asks.
        layers: the network.
        family: where problems come from.
        truth: whether the problems must hold their truth.
    """
    require_family(where, family)
    drawn = jax.eval_shape(family.sample, jax.random.key(0))
    if truth and drawn.truth is None:
        hint = 'Use loss="lasso", or a function of u and the problem.'
        checks.fail(where, "family", "draw problems with their truth", "problems without", hint)
    made_for = layers.operator
    if made_for is None:
        return
    hint = "Give the family the network's operator: problems.sparse(..., operator=A)."
    for name in ("operator", "prior"):
        if jax.tree.leaves(getattr(family.axes, name)) and getattr(drawn, name) is not None:
            expected = "share one operator, the network's"
            got = f"one that draws an {name} for each trial".replace("an prior", "a prior")
            checks.fail(where, "family", expected, got, hint)
    shapes = (made_for.in_shape, made_for.out_shape)
    first = drawn.operator if drawn.prior is None else drawn.prior
    theirs = (getattr(first, "in_shape", None), drawn.operator.out_shape)
    if shapes != theirs:
        expected = f"measure as the network, from {shapes[0]} to {shapes[1]}"
        checks.fail(where, "family", expected, f"from {theirs[0]} to {theirs[1]}", hint)
    if not same_model(made_for, _shared(family, drawn)):
        got = "another operator" if drawn.prior is None else "another operator, with its prior"
        checks.fail(where, "family", "share the network's operator", got, hint)


def _shared(family: Any, drawn: Problem) -> Problem:
    """Return a problem of the family, with the operator and the prior of all."""
    given = getattr(family, "operator", None)
    if drawn.prior is None and jax.tree.structure(given) == jax.tree.structure(drawn.operator):
        return drawn._replace(operator=given)  # it need not be drawn
    return family.sample(jax.random.key(0))
