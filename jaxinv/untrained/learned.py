"""Learned regularization: what the weights of fits to similar images look like."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.problems import Problem
from jaxinv.untrained.fitting import fit

Array = jax.Array

READINGS = ("diagonal", "means", "weights")
_RIDGE = 1e-6  # on covariances, in units of their mean diagonal
_FLOOR = 1e-2  # of a tensor's variance, added to that of each of its weights


@pytree
class LearnedRegularizer:
    """A Gaussian model of a network's weights as a penalty; see ``learned_regularizer``.

    Attributes:
        weight: λ >= 0.
        mean: μ: one number a tensor (``diagonal``, ``means``), or a tree like the parameters.
        precision: one number a tensor, the full inverse covariance, or a tree like the parameters.
        reading: which of the three it is.
        shapes: shapes of the parameters it was learned from.
        names: their places in the tree.
    """

    weight: Any
    mean: Any
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
    if model.reading == "means":
        gap = jnp.stack([jnp.mean(leaf) for leaf in leaves]) - model.mean
        total = gap @ model.precision @ gap
    else:
        squares = [
            jnp.sum(precision * jnp.square(leaf - mean))
            for leaf, mean, precision in zip(leaves, model.mean, model.precision, strict=True)
        ]
        total = sum(squares[1:], squares[0])
    return jnp.asarray(model.weight).astype(total.dtype) * total


def regularizer_from(params: Any, weight: Any, reading: str = "diagonal") -> LearnedRegularizer:
    r"""Make a regularizer of the weights that several fits found.

    .. math:: R(w) = \lambda\, (w - \mu)^T \Sigma^{-1} (w - \mu)

    Args:
        params: parameters with a first axis of Q >= 2 fits, such as ``fit(...).params``.
        weight: λ >= 0.
        reading: the published text and code differ in what w, μ and Σ are.
            ``"diagonal"`` (the text): one μ and one variance for each tensor, over all its
            weights and all fits; R sums over the weights.
            ``"means"`` (the code): w is the vector of the tensors' means; Σ, of one row a tensor,
            is the covariance of single weights drawn from the tensors of one fit: the variance
            of all weights on the diagonal, the covariance of the tensors' means beside it. The
            code estimates it by sampling; here it is computed.
            ``"weights"``: a mean and a variance for every single weight (plus .01 of its
            tensor's, as Q is small), which needs fits that share input and start.

    Returns:
        A ``LearnedRegularizer``, for ``fit(regularizer=...)``.

    Raises:
        ValueError: fewer than two fits, an unknown reading.

    Example:
        >>> found = regularizer_from({"w": jnp.asarray([[1.0, 2.0], [3.0, 2.0]])}, 1.0)
        >>> float(found({"w": jnp.asarray([2.0, 2.0])}))
        0.0

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
    mean, precision = _statistics(leaves, reading)
    return LearnedRegularizer(weight, mean, precision, reading, shapes, _names(params))


@functools.partial(jax.jit, static_argnums=1)
def _statistics(leaves: list[Array], reading: str) -> tuple[Any, Any]:
    """Return the mean and the precision in one of the readings."""
    if reading == "weights":
        mean = tuple(jnp.mean(leaf, axis=0) for leaf in leaves)
        precision = tuple(
            _inverse(jnp.var(leaf, axis=0) + _FLOOR * jnp.var(leaf)) for leaf in leaves
        )
    elif reading == "diagonal":
        mean = tuple(jnp.mean(leaf) for leaf in leaves)
        precision = tuple(_inverse(jnp.var(leaf)) for leaf in leaves)
    else:
        means = jnp.stack([jnp.mean(leaf.reshape(leaf.shape[0], -1), axis=1) for leaf in leaves])
        mean = jnp.mean(means, axis=1)
        gaps = means - mean[:, None]
        between = numerics.matmul(gaps, gaps.T) / gaps.shape[1]
        spread = jnp.stack([jnp.var(leaf) for leaf in leaves])
        covariance = between - jnp.diag(jnp.diag(between)) + jnp.diag(spread)
        ridge = _RIDGE * jnp.mean(spread)
        precision = jnp.linalg.inv(covariance + ridge * jnp.eye(len(leaves), dtype=spread.dtype))
    return mean, precision


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
    reading: str = "diagonal",
    **options: Any,
) -> LearnedRegularizer:
    """Learn how weights look from measurements of a handful of similar images.

    One network is fitted to each measurement (the images themselves are not needed), all from
    one start and one input; the weights become a Gaussian model (``regularizer_from``), to be
    used with the same prior and, for ``"weights"``, with the same key.

    Args:
        key: a JAX PRNG key, shared by the fits.
        prior: an untrained prior.
        problems: Q >= 2 measurements.
        axes: which parts of ``problems`` have a first axis of Q, as in ``fit``; default: y.
        weight: λ >= 0 of the regularizer.
        reading: ``"diagonal"``, ``"means"`` or ``"weights"``; see ``regularizer_from``.
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
    return regularizer_from(found.params, weight, reading)
