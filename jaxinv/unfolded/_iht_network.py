"""Unfolded IHT: hard thresholding with trained matrices."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv._core.numerics import largest_mask
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import (
    bypass_count,
    correlate,
    first_weights,
    measurement,
    relative_change,
    threshold_schedule,
)

_SHARE = 0.15  # of the entries, by default
_THRESHOLDS = (1.6, 0.01)  # first and last, for entries N(0, 1) and analytic weights


class UnfoldedIhtState(NamedTuple):
    """State of ``UnfoldedIht``: the estimate."""

    u: Array


@pytree
class UnfoldedIht(Solver):
    r"""A layer of ``iht_network``.

    .. math:: x_{t+1} = H_t\bigl(x_t + W_t^* (y - A x_t)\bigr)

    H keeps the largest entries (``share``), or is a ramp (``threshold`` and ``width``): 0 up to
    τ − σ, the identity from τ + σ on, linear between. ``info.error`` is
    ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        weights: W, shape (m, n).
        share: the share of the n entries that are kept; None for the ramp.
        threshold: τ > 0, the middle of the ramp; None for a share.
        width: σ > 0, half the width of the ramp, at most τ; None for a share.
        operator: the A that the weights were made for; the problem's own is the one applied.
        positive: names of fields that training keeps positive.
    """

    weights: Array
    share: Any
    threshold: Any
    width: Any
    operator: Any
    positive: tuple[str, ...] = static(default=("threshold", "width"))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> UnfoldedIhtState:
        return UnfoldedIhtState(u0)

    def step(self, problem: Problem, state: UnfoldedIhtState) -> tuple[UnfoldedIhtState, Info]:
        u = state.u
        residual = -problem.residual(u)
        v = u + correlate(self.weights, residual)
        if self.share is None:
            following = ramp_threshold(v, self.threshold, self.width)
        else:
            kept = largest_mask(v, bypass_count(self.share, v.size))
            following = jnp.where(kept, v, 0)
        error = relative_change(following, u)
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return UnfoldedIhtState(following), info


def ramp_threshold(v: Array, threshold: Any, width: Any) -> Array:
    """Return 0 for |v| <= τ − σ, v for |v| >= τ + σ, and on a line between, with σ <= τ.

    The hard threshold has derivative 0 with respect to τ almost everywhere; this has not.
    """
    real = numerics.real_dtype(v.dtype)
    threshold = jnp.maximum(jnp.asarray(threshold), 0).astype(real)
    width = jnp.clip(jnp.asarray(width).astype(real), 0, threshold)
    size = jnp.abs(v)
    upper = threshold + width
    line = upper * numerics.safe_divide(size - threshold + width, 2 * width)
    factor = numerics.safe_divide(jnp.maximum(line, 0), size)
    return jnp.where(size >= upper, v, v * factor.astype(v.dtype))


def iht_network(
    operator: Any,
    num_layers: int,
    num_nonzeros: Any = None,
    *,
    ramp: Any = None,
    tied: bool = False,
    initial_weights: str = "analytic",
) -> Layers:
    r"""Make unfolded IHT: iterative hard thresholding with a trained matrix a layer.

    .. math:: x_{t+1} = H_t\bigl(x_t + W_t^* (y - A x_t)\bigr)

    Give ``num_nonzeros`` to keep the largest entries: no threshold, exactly equivariant to the
    scale of y. Give ``ramp`` to train a threshold in every layer instead. Hard thresholding has
    no bias, and for that mistakes of an early layer weigh more than with ``lista_cpss``.

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        num_nonzeros: an integer k in [1, n], or a float: the share k/n in (0, 1], which may be
            traced. Rather too large than too small; default 0.15, for signals a tenth of
            whose entries are not 0.
        ramp: σ/τ at the start, in (0, 1]: the threshold is a line from τ − σ to τ + σ, so that
            τ and σ have a gradient. Small is close to hard, 1 is no threshold at all; 0.6 suits.
            The first τ are meant for entries of size 1.
        tied: one W for all layers.
        initial_weights: first weights, ``"analytic"`` or ``"adjoint"``, as in ``lista_cp``.

    Returns:
        ``Layers``; trained are ``weights``, and for ``ramp`` ``threshold`` and ``width``.

    Raises:
        ValueError: A with a zero column or more rows than columns; both of
            ``num_nonzeros`` and ``ramp``, or one out of its range; other ``initial_weights``.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> matrix = A.matrix / jnp.linalg.norm(A.matrix, axis=0)
        >>> iht_network(matrix, 8, 10, tied=True).solver.weights.shape
        (50, 100)
        >>> iht_network(matrix, 8, ramp=0.3).trainable
        ('weights', 'threshold', 'width')

    Source: the largest entries as in Xin, Wang, Gao, Wipf, Wang (2016) and the M-sparse encoder
        of Wang, Ling, Huang (2016), whose HELU is a ramp of this kind.
    """
    where = "iht_network"
    if num_nonzeros is None and ramp is None:
        num_nonzeros = _SHARE
    if num_nonzeros is not None and ramp is not None:
        checks.fail(where, "num_nonzeros or ramp", "be left out, one of the two", "both")
    given = measurement(where, operator)
    weights, thresholds = first_weights(where, given, num_layers, initial_weights)
    if initial_weights == "analytic":
        thresholds = threshold_schedule(len(thresholds), *_THRESHOLDS)
    real = jnp.finfo(weights.dtype).dtype
    share = width = None
    if num_nonzeros is not None:
        share = jnp.asarray(_share(where, num_nonzeros, weights.shape[1]), real)
    else:
        width = checks.scalar(where, "ramp", ramp, low=0.0, high=1.0, open_low=True)
    solvers = [
        UnfoldedIht(
            weights=weights,
            share=share,
            threshold=None if width is None else jnp.asarray(threshold, real),
            width=None if width is None else jnp.asarray(width * threshold, real),
            operator=given.operator,
        )
        for threshold in thresholds
    ]
    shared = ("operator", "share")
    shared = (*shared, "weights") if checks.boolean(where, "tied", tied) else shared
    trained = ("weights",) if width is None else ("weights", "threshold", "width")
    return Layers.stack(solvers, shared=shared, trainable=trained)


def _share(where: str, given: Any, size: int) -> Any:
    """Return the share of entries that a count, or a share, stands for."""
    if isinstance(given, numbers.Integral):
        given = checks.count(where, "num_nonzeros", given)
        if given > size:
            hint = "A share of the entries is a float."
            checks.fail(where, "num_nonzeros", f"be at most n = {size}", given, hint)
        return given / size
    hint = "A count is an int."
    return checks.scalar(where, "num_nonzeros", given, low=0.0, high=1.0, open_low=True, hint=hint)
