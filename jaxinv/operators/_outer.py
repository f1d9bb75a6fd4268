"""The outer product of a vector with itself, as a spiked matrix is measured."""

from __future__ import annotations

from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import Operator


@pytree
class Outer(Operator):
    """See ``outer``."""

    size: int = static()
    rank: int = static(default=1)

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.size,) if self.rank == 1 else (self.rank, self.size)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.size, self.size)

    def _apply(self, x: Array) -> Array:
        return x[:, None] * x[None, :] if x.ndim == 1 else numerics.matmul(x.T, x)


def outer(n: int, *, rank: int = 1) -> Outer:
    r"""Measure all products of entries: a matrix of rank one, or more, as in spiked models.

    .. math:: x \mapsto x x^\top

    A call makes the matrix, but no loss and no solver does: the loss of a problem with this
    operator is

    .. math:: \tfrac14 \|x x^\top - M\|_F^2
        = \tfrac14 \bigl(\|x\|^4 - 2 x^\top M x + \|M\|_F^2\bigr),

    with gradient ‖x‖² x − M x and curvature v ↦ ‖x‖² v + (xᵀv) x. The measurements ``y`` = M
    are a symmetric (n, n) array, or a LinearOperator with products only (of a sample covariance:
    Xᵀ(X v)/N − σ² v), whose norm is then estimated from eight products: it only moves the loss.
    ``levenberg_marquardt``, ``subgradient`` and ``gradient`` take it.

    With ``rank`` r > 1 signals are rows, shape (r, n), and the matrix is Σ_j x_j x_jᵀ. It tells
    the rows up to an orthogonal mixture, which a prior (``generators.copies(G, r)``) can narrow
    to their order: compare estimates by ``metrics.outer_error``.

    Args:
        n: size of the vector.
        rank: r >= 1; 1 takes vectors of shape (n,).

    Returns:
        An operator that is not linear.

    Raises:
        ValueError: n or rank below 1, a rank above n.

    Cost: a loss or gradient takes one product with M a row; in float32 the loss holds about
        1e-7 ‖M‖² of rounding, since it is a difference.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> outer(2)(jnp.array([1.0, 2.0])).tolist()
        [[1.0, 2.0], [2.0, 4.0]]
        >>> problem = ji.Problem(outer(2), jnp.diag(jnp.array([4.0, 1.0])))
        >>> sol = ji.solve(ji.solvers.levenberg_marquardt(), problem, jnp.array([1.0, 0.5]))
        >>> [round(abs(float(entry)), 3) for entry in sol.x]
        [2.0, 0.0]

    Source: Cocola, Hand, Voroninski (2020), "Nonasymptotic guarantees for spiked matrix
        recovery with generative priors".
    """
    size = checks.count("outer", "n", n, maximum=46340)
    return Outer(size, checks.count("outer", "rank", rank, maximum=size))
