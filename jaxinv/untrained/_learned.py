"""Learned regularization: what the weights of fits to similar images look like."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.problems import Problem
from jaxinv.untrained._fitting import fit

READINGS = ("printed", "released", "per_weight")
_RCOND = 1e-5  # of the correlations of the tensors: directions that vary less are not penalized
_FLOOR = 1e-2  # of a tensor's variance, added to that of each of its weights


@pytree
class LearnedRegularizer:
    """A Gaussian model of a network's weights as a penalty; see ``learned_regularizer``.

    Attributes:
        weight: λ >= 0.
        mean: μ: one number a tensor (``printed``, ``released``), or a tree like the parameters.
        covariance: Σ: one variance a tensor (``printed``), a matrix with a row for each tensor
            (``released``), or a tree like the parameters (``per_weight``).
        precision: what stands for Σ⁻¹ in the penalty, of the same shape.
        reading: which of the three it is.
        shapes: shapes of the parameters it was learned from.
        names: their places in the tree.
    """

    weight: Any
    mean: Any
    covariance: Any
    precision: Any
    reading: str = static()
    shapes: tuple[tuple[int, ...], ...] = static()
    names: tuple[str, ...] = static()

    def __call__(self, params: Any) -> Array:
        """Return λ (w − μ)ᵀ Σ⁻¹ (w − μ)."""
        leaves = jax.tree.leaves(params)
        shapes = tuple(jnp.shape(leaf) for leaf in leaves)
        if shapes != self.shapes or _names(params) != self.names:
            hint = "Learn from the params of several fits, fit(keys, ...).params, of one prior."
            got = f"{len(shapes)} tensors {shapes}"
            expected = f"hold the {len(self.shapes)} tensors that were learned from {self.shapes}"
            expected = expected[:160]
            checks.fail("LearnedRegularizer", "params", expected, got[:120], hint)
        return _penalty(self, leaves)

    def scaled(self, weight: Any) -> LearnedRegularizer:
        """Return the same statistics with another λ."""
        return replace(self, weight=checks.nonnegative("scaled", "weight", weight))


def _names(params: Any) -> tuple[str, ...]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return tuple(jax.tree_util.keystr(path) for path, _ in leaves)


@functools.partial(jax.jit, inline=True)
def _penalty(model: LearnedRegularizer, leaves: list[Array]) -> Array:
    if model.reading == "released":
        gap = jnp.stack([jnp.mean(leaf) for leaf in leaves]) - model.mean
        total = gap @ model.precision @ gap
    else:
        squares = [
            jnp.sum(precision * jnp.square(leaf - mean))
            for leaf, mean, precision in zip(leaves, model.mean, model.precision, strict=True)
        ]
        total = sum(squares[1:], squares[0])
    return jnp.asarray(model.weight).astype(total.dtype) * total


def regularizer_from(
    params: Any, weight: Any, reading: str = "printed", *, num_samples: int | None = None
) -> LearnedRegularizer:
    r"""Make a regularizer of the weights that several fits found.

    .. math:: R(w) = \lambda\, (w - \mu)^T \Sigma^{-1} (w - \mu)

    Algorithm 1 of the source draws a fit, S weights of each of its tensors, their means and the
    covariance about these means, and averages over the draws. Here the expected value is
    computed: μ is the mean of a tensor in all fits, Σ a covariance within a fit. A tensor is
    what the source calls a layer.

    Args:
        params: parameters with a first axis of Q >= 2 fits, such as ``fit(...).params``.
        weight: λ >= 0; half of a published one, whose misfit is ‖·‖² without the factor ½.
        reading: the published text and code differ in what w, μ and Σ are.
            ``"printed"`` (equation 5, algorithm 1): w is every weight, μ and Σ are one number
            for each tensor; Σ is the variance of a tensor's weights about the tensor's own mean
            in the same fit, 0 between tensors.
            ``"released"`` (the code): w is the vector of the tensors' means. Vectors, as batch
            normalization has, are taken whole, so that Σ holds the covariance of two of them of
            one length, channel by channel; 0 between all others.
            ``"per_weight"``: a mean and a variance over the fits for every single weight (in R
            plus .01 of its tensor's, as Q is small), which needs fits that share input and start.
        num_samples: S of algorithm 1. S weights drawn with replacement vary about their own mean
            by 1 − 1/S of the variance; the code has S = 64. None: no such factor.

    Returns:
        A ``LearnedRegularizer``, for ``fit(regularizer=...)``.

    Raises:
        ValueError: fewer than two fits, an unknown reading.

    Example:
        >>> found = regularizer_from({"w": jnp.asarray([[1.0, 3.0], [5.0, 7.0]])}, 1.0)
        >>> found.mean[0].tolist(), found.covariance[0].tolist()
        (4.0, 1.0)

    Source: Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis (2018), equation 5 and
    algorithm 1, and the code published with it.
    """
    where = "regularizer_from"
    checks.choice(where, "reading", reading, READINGS)
    weight = checks.nonnegative(where, "weight", weight)
    leaves = jax.tree.leaves(checks.arrays(where, "params", params))
    checks.finite(where, "params", leaves)
    if any(leaf.ndim == 0 or leaf.shape[0] < 2 or not leaf.size for leaf in leaves):
        hint = "Fit at least two images: fit(keys, ...).params."
        checks.fail(where, "params", "have a first axis of two fits or more", leaves[:1], hint)
    counts = sorted({leaf.shape[0] for leaf in leaves})
    if len(counts) > 1:
        checks.fail(where, "params", "have one number of fits in all tensors", counts)
    if any(leaf.ndim == 1 for leaf in leaves):
        hint = "These look like those of one fit; give fit several keys."
        expected = "have a first axis of fits before the axes of each tensor"
        checks.fail(where, "params", expected, next(x for x in leaves if x.ndim == 1), hint)
    shapes = tuple(leaf.shape[1:] for leaf in leaves)
    factor = 1.0
    if num_samples is not None:
        factor -= 1 / checks.count(where, "num_samples", num_samples, minimum=2)
    mean, covariance, precision = _statistics(leaves, reading, factor)
    names = _names(params)
    return LearnedRegularizer(weight, mean, covariance, precision, reading, shapes, names)


@functools.partial(jax.jit, static_argnums=1)
def _statistics(leaves: list[Array], reading: str, factor: float) -> tuple[Any, Any, Any]:
    """Return the mean, the covariance and the precision in one of the readings."""
    if reading == "per_weight":
        mean = tuple(jnp.mean(leaf, axis=0) for leaf in leaves)
        variances = tuple(jnp.var(leaf, axis=0) for leaf in leaves)
        held = [v + _FLOOR * jnp.var(leaf) for v, leaf in zip(variances, leaves, strict=True)]
        return mean, variances, tuple(_inverse(variance) for variance in held)
    rows = [leaf.reshape(leaf.shape[0], -1) for leaf in leaves]
    means = tuple(jnp.mean(row) for row in rows)
    within = tuple(factor * jnp.mean(jnp.var(row, axis=1)) for row in rows)
    if reading == "printed":
        return means, within, tuple(_inverse(variance) for variance in within)
    covariance = _channelwise(leaves, jnp.stack(within))
    return jnp.stack(means), covariance, _pseudo_inverse(covariance)


def _channelwise(leaves: list[Array], within: Array) -> Array:
    """Return the variances within a fit, and the covariances of vectors of one length."""
    covariance = jnp.diag(within)
    for length in {leaf.shape[1] for leaf in leaves if leaf.ndim == 2}:
        whole = [i for i, leaf in enumerate(leaves) if leaf.shape[1:] == (length,)]
        vectors = jnp.stack([leaves[i] for i in whole])  # (tensors, fits, channels)
        gaps = vectors - jnp.mean(vectors, axis=-1, keepdims=True)
        gaps = gaps.reshape(len(whole), -1)
        block = numerics.matmul(gaps, gaps.T) / gaps.shape[1]
        covariance = covariance.at[jnp.ix_(jnp.asarray(whole), jnp.asarray(whole))].set(block)
    return covariance


def _pseudo_inverse(covariance: Array) -> Array:
    """Invert by way of the correlations; what did not vary is not penalized."""
    scale = jnp.sqrt(_inverse(jnp.diagonal(covariance)))
    scale = scale[:, None] * scale
    return scale * jnp.linalg.pinv(scale * covariance, rtol=_RCOND, hermitian=True)


def _inverse(variance: Array) -> Array:
    """Return 1 / variance, and 0 where nothing varied at all."""
    return numerics.safe_divide(1.0, variance)


def learned_regularizer(
    key: Any,
    prior: Any,
    problems: Problem,
    *,
    axes: Problem | None = None,
    weight: Any = 1.0,
    reading: str = "printed",
    num_samples: int | None = None,
    **options: Any,
) -> LearnedRegularizer:
    """Learn how weights look from measurements of a handful of similar images.

    One network is fitted to each measurement (the images themselves are not needed), all from
    one start and one input; the weights become a Gaussian model (``regularizer_from``), to be
    used with the same prior and, for ``"per_weight"``, with the same key.

    Args:
        key: a JAX PRNG key, shared by the fits.
        prior: an untrained prior.
        problems: Q >= 2 measurements.
        axes: which parts of ``problems`` have a first axis of Q, as in ``fit``; default: y.
        weight: λ >= 0 of the regularizer.
        reading, num_samples: ``"printed"``, ``"released"`` or ``"per_weight"``, and S of
            algorithm 1; see ``regularizer_from``.
        options: of ``fit``, such as ``num_steps`` and ``stop``.

    Returns:
        A ``LearnedRegularizer``.

    Raises:
        ValueError: as ``fit`` and ``regularizer_from``.

    Example:
        >>> import jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 40, 64)
        >>> y = jnp.stack([A(jnp.ones(64)), A(jnp.linspace(0, 1, 64))])
        >>> prior = ji.generators.two_layer_decoder(64, 4)
        >>> learned = learned_regularizer(
        ...     jax.random.key(1), prior, ji.Problem(A, y), num_steps=50, stop=None)
        >>> bool(learned(prior.params) > 0)
        True

    Source: as ``regularizer_from``.
    """
    where = "learned_regularizer"
    checks.choice(where, "reading", reading, READINGS)
    key = checks.key(where, key)
    axes = Problem(None, 0) if axes is None else axes
    if not isinstance(axes, Problem) or axes.y != 0:
        checks.fail(where, "axes", "be a Problem with y=0: one measurement for each image", axes)
    checks.nonnegative(where, "weight", weight)
    if not hasattr(prior, "draw"):
        hint = "Such as generators.deep_decoder(shape)."
        checks.fail_type(where, "prior", "be an untrained prior", prior, hint)
    if not isinstance(problems, Problem):
        checks.fail_type(where, "problems", "be a jaxinv.Problem", problems)
    y = checks.array(where, "problems.y", problems.y)
    if y.ndim == 0 or y.shape[0] < 2:
        checks.fail(where, "problems.y", "have a first axis of two images or more", y)
    checks.finite(where, "problems", (y, problems.operator))
    shape = getattr(problems.operator, "out_shape", None)
    if axes.operator is None and shape is not None:
        checks.shape_is(where, "problems.y", y, (len(y), *shape), "A first axis for the images.")
    count = len(y)
    keys = jnp.broadcast_to(key, (count,))
    found = fit(keys, prior, problems, axes=axes, **options)
    return regularizer_from(found.params, weight, reading, num_samples=num_samples)
