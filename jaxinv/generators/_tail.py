"""The last layers of a network as a generator of their own."""

from __future__ import annotations

from typing import Any

from jaxinv._core import checks
from jaxinv.generators._base import Generator


def tail(generator: Any, layer: int) -> Generator:
    r"""Cut off the first layers of a network: the map from a hidden layer to the signal.

    .. math:: G = T_i \circ H_i, \qquad
        T_i(h) = \mathrm{relu}(W_d \cdots \mathrm{relu}(W_{i+1} h))

    Its range is larger than that of G: what ``solvers.intermediate_layers`` searches.

    Args:
        generator: a network of layers, such as ``generators.relu`` or ``piecewise_linear``.
        layer: i in [1, d − 1], the number of layers that are cut off.

    Returns:
        The generator T_i, from shape (n_i,).

    Raises:
        TypeError: a generator that has no layers.
        ValueError: no such layer.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (2, 8, 6))
        >>> tail(G, 1).in_shape, tail(G, 1).out_shape
        ((8,), (6,))

    Source: Daras, Dean, Jalal, Dimakis (2021), "Intermediate layer optimization for inverse
        problems using deep generative models", section 2.
    """
    where = "tail"
    if not callable(getattr(generator, "between", None)):
        hint = "For example generators.relu."
        checks.fail_type(where, "generator", "be a network of layers", generator, hint)
    layer = checks.count(where, "layer", layer, maximum=generator.depth - 1)
    return generator.between(layer, generator.depth)
