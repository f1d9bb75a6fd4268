"""Empirical tangent kernels and Jacobians of any prior, and their singular values along a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from jaxinv._core import checks, numerics
from jaxinv._core.typed import PyTree
from jaxinv.generators._two_layer import TwoLayer
from jaxinv.ntk._linearize import (
    Linearized,
    at,
    from_real_outputs,
    output_basis,
    real_product,
    tangent_of,
)
from jaxinv.ntk._spectrum import autocorrelation, circulant

_CHUNK = 32


def empirical_kernel(
    generator: Callable[[Any], Array], params: PyTree | None = None, *, chunk_size: int = _CHUNK
) -> Float[Array, "n n"]:
    r"""Return the neural tangent kernel K = J Jᵀ of a prior at its parameters.

    .. math:: K = J J^T, \qquad J = \partial G(\theta) / \partial \theta

    For the two-layer network it is one product, with S = 1[U C > 0] and the output weights v:

    .. math:: K = (U U^T) \circ (S \, \mathrm{diag}(v^2) \, S^T) = (U U^T) \circ (S S^T) / k

    Every other prior gets it column by column, J(Jᵀ e_i), in chunks: J itself, which has as many
    columns as parameters, is never stored.

    Args:
        generator: any map from a tree of real parameters to an array.
        params: the parameters; default ``generator.params``.
        chunk_size: columns made at once, >= 1.

    Returns:
        Shape (n, n) for n outputs, in row-major order; complex signals count as 2 n, real parts
        first.

    Raises:
        TypeError: not a function, no parameters.
        ValueError: a chunk size below 1, parameters of another network or that are not finite.

    Cost: two-layer: one n × k × n product. Else n backward and n forward passes; memory
        n² + chunk_size times the parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> empirical_kernel(jnp.cumsum, jnp.ones(3)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 2.0, 2.0], [1.0, 2.0, 3.0]]

    Source: Jacot, Gabriel, Hongler (2018); Heckel, Soltanolkotabi (2020), equation (20).
    """
    chunk_size = checks.count("empirical_kernel", "chunk_size", chunk_size)
    if isinstance(generator, TwoLayer):
        where = "empirical_kernel"
        params = generator.params if params is None else checks.array(where, "params", params)
        params = generator.checked_params(where, params)
        checks.finite(where, "params", params)
        if jnp.iscomplexobj(params):
            checks.fail(where, "params", "be real", params)
        return _two_layer_kernel(generator, params)
    tangent = tangent_of("empirical_kernel", generator, params, name="generator")
    return _kernel(tangent, chunk_size)


@jax.jit
def _two_layer_kernel(prior: TwoLayer, params: Array) -> Array:
    active = (prior.preactivations(params) > 0).reshape(-1, prior.num_channels)
    weights = prior.weights.astype(params.dtype)
    share = numerics.matmul(active * (weights * weights), active.T.astype(params.dtype))
    return circulant(autocorrelation(prior.kernel.astype(params.dtype))) * share


@partial(jax.jit, static_argnums=1)
def _kernel(tangent: Linearized, chunk_size: int) -> Array:
    columns = jax.lax.map(
        lambda v: real_product(tangent, v), output_basis(tangent.value), batch_size=chunk_size
    )
    return 0.5 * (columns + columns.T)


def jacobian(
    prior: Callable[[Any], Array], params: PyTree | None = None, *, chunk_size: int = _CHUNK
) -> Float[Array, "n p"]:
    """Return the Jacobian of a prior with respect to its parameters, as a matrix.

    Args:
        prior, params, chunk_size: as ``empirical_kernel``.

    Returns:
        Shape (n, N): a row per output (complex signals 2 n), a column per parameter, in the
        order of ``jax.flatten_util.ravel_pytree``.

    Raises:
        TypeError, ValueError: as ``empirical_kernel``.

    Cost: n backward passes, n N numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> jacobian(jnp.cumsum, jnp.ones(2)).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    chunk_size = checks.count("jacobian", "chunk_size", chunk_size)
    return _rows(tangent_of("jacobian", prior, params), chunk_size)


@partial(jax.jit, static_argnums=1)
def _rows(tangent: Linearized, chunk_size: int) -> Array:
    def row(v: Array) -> Array:
        return ravel_pytree(tangent.vjp(from_real_outputs(v, tangent.value)))[0]

    return jax.lax.map(row, output_basis(tangent.value), batch_size=chunk_size)


def jacobian_singular_values(
    prior: Callable[[Any], Array],
    trajectory: PyTree,
    *,
    accumulate: bool = False,
    leftover: PyTree | None = None,
    chunk_size: int = _CHUNK,
) -> Float[Array, "points values"]:
    r"""Return the singular values of the Jacobian at every point of a run.

    Args:
        prior: any map from a tree of real parameters to an array.
        trajectory: parameters with a leading axis of points, such as checkpoints of a fit.
        accumulate: give those of L J instead, with L the lower triangle of ones. It is what
            results when each output's gradient is added to that of the outputs before it, and
            is the matrix behind the published figure, whose values are far above those of J.
        leftover: a tree of the parameters' structure, with the leading axis of points, that is
            added to every row of L J: the last training gradient, in that same figure.
        chunk_size: rows made at once.

    Returns:
        Shape (points, min(n, N)), decreasing.

    Raises:
        TypeError, ValueError: as ``empirical_kernel``; ``leftover`` without ``accumulate``.

    Cost: at each point n backward passes and a singular value decomposition, n² N; one Jacobian
        in memory.

    Notes: accumulation also changes the left singular vectors. Those of the true J of a
        four-layer decoder are much less like trigonometric functions than those of L J.

    Example:
        >>> import jax.numpy as jnp
        >>> run = jnp.ones((1, 2))
        >>> values = jacobian_singular_values(lambda u: jnp.array([3.0, 1.0]) * u, run)
        >>> jnp.round(values, 4).tolist()
        [[3.0, 1.0]]

    Source: Heckel, Soltanolkotabi (2020), Figure 4; its released code accumulates.
    """
    where = "jacobian_singular_values"
    chunk_size = checks.count(where, "chunk_size", chunk_size)
    accumulate = checks.boolean(where, "accumulate", accumulate)
    if leftover is not None and not accumulate:
        checks.fail(where, "leftover", "come with accumulate=True", "accumulate=False")
    trajectory = checks.arrays(where, "trajectory", trajectory)
    counts = {len(leaf) if leaf.ndim else 0 for leaf in jax.tree.leaves(trajectory)}
    single = jax.tree.map(jnp.shape, getattr(prior, "params", None))
    is_single = single == jax.tree.map(jnp.shape, trajectory)
    if len(counts) != 1 or 0 in counts or is_single:
        got = "the shapes of one point" if is_single else f"first axes of {sorted(counts)}"
        hint = "One point: jax.tree.map(lambda leaf: leaf[None], params)."
        checks.fail(where, "trajectory", "have a leading axis of points in all leaves", got, hint)
    first = tangent_of(where, prior, jax.tree.map(lambda leaf: leaf[0], trajectory))
    return _along(first, trajectory, leftover, accumulate, chunk_size)


@partial(jax.jit, static_argnums=(3, 4))
def _along(
    first: Linearized, trajectory: Any, leftover: Any, accumulate: bool, chunk_size: int
) -> Array:
    def values(point: tuple[Any, Any]) -> Array:
        params, extra = point
        rows = _rows(at(first, params), chunk_size)
        if accumulate:
            rows = jnp.cumsum(rows, axis=0)
        if extra is not None:
            rows = rows + ravel_pytree(extra)[0]
        rows = rows.astype(jnp.result_type(rows, jnp.float32))
        return jnp.linalg.svd(rows, full_matrices=False, compute_uv=False)

    return jax.lax.map(values, (trajectory, leftover))
