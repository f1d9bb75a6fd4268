"""Networks from weights that are given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks
from jaxinv.generators._piecewise_linear import PiecewiseLinear, unit_slope
from jaxinv.generators._relu import Relu

_HINT = "Kernels of shape (inputs, outputs), as Flax and Keras keep them, are given as W.T."


def from_weights(
    weights: Sequence[Num[ArrayLike, "_ _"]],
    biases: Sequence[Num[ArrayLike, "_"]] | None = None,
    *,
    negative_slope: float = 0.0,
    dtype: Any = None,
) -> Relu | PiecewiseLinear:
    r"""Make a network of piecewise linear units from weights of your own.

    .. math:: h_0 = z, \qquad h_i = \sigma(W_i h_{i-1} + b_i), \qquad G(z) = h_d, \qquad
        \sigma(t) = \max(t, 0) + \alpha \min(t, 0)

    For trained weights, or for those of an example. It is what ``relu`` and
    ``piecewise_linear`` draw, so that decoders and the exact conditions of ``theory`` take it.
    The last layer has its unit too: a network that ends in a linear layer is one for
    ``from_function``.

    Args:
        weights: (W_1, ..., W_d), one matrix (n_i, n_{i-1}) a layer, n_0 = k; as PyTorch keeps
            them, the transposed of Flax kernels.
        biases: (b_1, ..., b_d), each of shape (n_i,), or None for none, with which G(c z) = c G(z)
            for c > 0 and conditions on the range are exact.
        negative_slope: α, static: 0 for ReLU, in (0, 1) for leaky units, −1 for the absolute value.
        dtype: real floating type; None for that of the weights.

    Returns:
        What ``relu`` returns where there are no biases and α = 0, else what
        ``piecewise_linear`` does; the arrays are its leaves.

    Raises:
        TypeError: what is no list of arrays.
        ValueError: shapes that do not chain, numbers that are not finite or not real.

    Example:
        >>> import numpy as np, jaxinv as ji
        >>> G = from_weights([np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.eye(3)[:2]])
        >>> G(np.array([2.0, -1.0])).tolist()
        [2.0, 0.0]
        >>> len(ji.theory.regions(G).rays)
        6
    """
    where = "from_weights"
    matrices = _layers(where, "weights", weights, 2)
    for index, (first, second) in enumerate(itertools.pairwise(matrices), 1):
        if second.shape[1] != first.shape[0]:
            expected = f"have {first.shape[0]} columns, the rows of weights[{index - 1}]"
            checks.fail(where, f"weights[{index}]", expected, f"shape {second.shape}", _HINT)
    slope = unit_slope(where, negative_slope)
    vectors = [] if biases is None else _layers(where, "biases", biases, 1)
    if biases is not None and len(vectors) != len(matrices):
        checks.fail(where, "biases", f"be {len(matrices)}, one a layer", f"{len(vectors)}")
    for index, (vector, matrix) in enumerate(zip(vectors, matrices, strict=False)):
        checks.shape_is(where, f"biases[{index}]", vector, matrix.shape[:1])
    common = jnp.result_type(*matrices, *vectors)
    dtype = common if dtype is None else checks.float_type(where, dtype, real=True)
    params, offsets = (
        tuple(jax.tree.map(lambda held: held.astype(dtype), part)) for part in (matrices, vectors)
    )
    if biases is None and slope == 0:
        return Relu(params)
    return PiecewiseLinear({"weights": params, "biases": offsets}, slope)


def _layers(where: str, argument: str, given: Any, ndim: int) -> list[Array]:
    """Return one real array with entries a layer."""
    kind = {1: "vectors", 2: "matrices"}[ndim]
    if not isinstance(given, list | tuple) or not given:
        checks.fail_type(where, argument, f"be a list of {kind}, one a layer", given)
    found = []
    for index, entry in enumerate(given):
        name = f"{argument}[{index}]"
        held = checks.array(where, name, entry)
        if held.ndim != ndim or not held.size:
            hint = "Use jax.vmap for a batch of networks." if held.ndim > ndim else ""
            checks.fail(where, name, f"have {ndim} dimension(s) and entries", held, hint)
        if jnp.iscomplexobj(held):
            checks.fail(where, name, "be real", held)
        checks.finite(where, name, held)
        found.append(held)
    return found
