"""Expected loss and gradient of blind demodulation with two random ReLU networks."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks
from jaxinv.theory.generative._angles import pair
from jaxinv.theory.generative._landscape import Geometry, geometry_of


def expected_blind_gradient(
    first: Num[ArrayLike, "k"],
    first_true: Num[ArrayLike, "k"],
    second: Num[ArrayLike, "p"],
    second_true: Num[ArrayLike, "p"],
    depths: tuple[int, int],
    signal_size: int,
    weight_scale: Any = 2.0,
) -> tuple[Float[Array, "k"], Float[Array, "p"]]:
    r"""Return the gradient of blind demodulation in expectation over wide random networks.

    Of ½‖G₁(h) ⊙ G₂(m) − G₁(h*) ⊙ G₂(m*)‖², with s = (``weight_scale``/2)^(d + e), the depths
    d and e, and θ_d, h̃ of ``expected_gradient`` for each network:

    .. math:: \nabla_h = \tfrac{s}{l} \big( \|m\|^2 h
        - \|m\| \|m_*\| \cos \theta^m_e \, \tilde h \big), \qquad
        \nabla_m = \tfrac{s}{l} \big( \|h\|^2 m - \|h\| \|h_*\| \cos \theta^h_d \, \tilde m \big)

    It vanishes on the hyperbolas (c h, m/c) through (h*, m*), (−ρ_d h*, m*), (h*, −ρ_e m*) and
    (−ρ_d h*, −ρ_e m*), ρ of ``rho``. Exact at any width where both networks have one layer.

    Args:
        first, first_true: h and h*, shape (k,).
        second, second_true: m and m*, shape (p,).
        depths: (d, e), numbers of layers >= 1; static under ``jit``.
        signal_size: l, the size of the product, >= 1.
        weight_scale: weights are N(0, weight_scale / n_i), in both networks; a scalar > 0.

    Returns:
        The gradients in h and in m; 0 where h or m is 0.

    Raises:
        ValueError: shapes that differ, NaN, depths or a size below 1.
        TypeError: depths that are no pair of integers, complex vectors.

    Cost: O(k + p + d + e). Batch with ``jax.vmap``.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> h, m = jnp.array([0.0, 1.0]), jnp.array([2.0, 0.0, 0.0])
        >>> rho = ji.theory.rho(2)
        >>> found = expected_blind_gradient(-3 * rho * h, h, m / 3, m, (2, 1), 50)
        >>> max(float(jnp.max(jnp.abs(part))) for part in found) < 1e-6
        True

    Source: Hand, Joshi (2019), "Global guarantees for blind demodulation with generative
        priors".
    """
    given = {"first": (first, first_true), "second": (second, second_true)}
    inputs = _inputs("expected_blind_gradient", given, depths, signal_size, weight_scale)
    return _gradient(*inputs)


def expected_blind_loss(
    first: Num[ArrayLike, "k"],
    first_true: Num[ArrayLike, "k"],
    second: Num[ArrayLike, "p"],
    second_true: Num[ArrayLike, "p"],
    depths: tuple[int, int],
    signal_size: int,
    weight_scale: Any = 2.0,
) -> Float[Array, ""]:
    r"""Return the loss of blind demodulation in expectation over wide random networks.

    .. math:: f_E = \tfrac{s}{2 l} \big( \|h\|^2 \|m\|^2
        - 2 \|h\| \|h_*\| \cos \theta^h_d \, \|m\| \|m_*\| \cos \theta^m_e
        + \|h_*\|^2 \|m_*\|^2 \big)

    Args:
        first, first_true, second, second_true, depths, signal_size, weight_scale: as in
            ``expected_blind_gradient``, which is its gradient.

    Returns:
        Shape (), >= 0.

    Raises:
        ValueError: as ``expected_blind_gradient``.
        TypeError: as ``expected_blind_gradient``.

    Example:
        >>> import jax.numpy as jnp
        >>> h, m = jnp.array([0.0, 1.0]), jnp.array([2.0, 0.0, 0.0])
        >>> float(expected_blind_loss(2 * h, h, m / 2, m, (2, 1), 50))
        0.0

    Source: Hand, Joshi (2019).
    """
    given = {"first": (first, first_true), "second": (second, second_true)}
    inputs = _inputs("expected_blind_loss", given, depths, signal_size, weight_scale)
    return _loss(*inputs)


_static = functools.partial(jax.jit, static_argnums=(2, 3))
_Pairs = tuple[tuple[Array, Array], tuple[Array, Array]]


@_static
def _gradient(
    pairs: _Pairs, weight_scale: Array, depths: tuple[int, int], signal_size: int
) -> tuple[Array, Array]:
    one, two = _geometries(pairs, depths)
    factor = (weight_scale / 2) ** sum(depths) / signal_size

    def along(x: Array, own: Geometry, other: Geometry) -> Array:
        cross = other.size * other.size_true * jnp.cos(other.theta)
        return jnp.where(own.size > 0, factor * (other.size**2 * x - cross * own.tilde), 0)

    return along(pairs[0][0], one, two), along(pairs[1][0], two, one)


@_static
def _loss(pairs: _Pairs, weight_scale: Array, depths: tuple[int, int], signal_size: int) -> Array:
    one, two = _geometries(pairs, depths)
    size, size_true = one.size * two.size, one.size_true * two.size_true
    gaps = [2 * jnp.sin(part.theta / 2) ** 2 for part in (one, two)]  # 1 − cos
    misfit = gaps[0] + gaps[1] - gaps[0] * gaps[1]  # 1 − the product of both cosines
    factor = (weight_scale / 2) ** sum(depths) / (2 * signal_size)
    return factor * ((size - size_true) ** 2 + 2 * size * size_true * misfit)


def _geometries(pairs: _Pairs, depths: tuple[int, int]) -> tuple[Geometry, Geometry]:
    one, two = (geometry_of(*part, depth) for part, depth in zip(pairs, depths, strict=True))
    return one, two


def _inputs(
    where: str, given: Any, depths: Any, signal_size: Any, weight_scale: Any
) -> tuple[_Pairs, Array, tuple[int, int], int]:
    """Return checked pairs, weight scale, depths and size."""
    pairs = [pair(where, x, x_true, (name, f"{name}_true")) for name, (x, x_true) in given.items()]
    if not isinstance(depths, tuple | list) or len(depths) != 2:
        checks.fail_type(where, "depths", "be a pair of integers >= 1", depths)
    one, two = (checks.count(where, f"depths[{i}]", depth) for i, depth in enumerate(depths))
    size = checks.count(where, "signal_size", signal_size)
    weight_scale = checks.positive(where, "weight_scale", weight_scale)
    checks.shape_is(where, "weight_scale", weight_scale, ())
    scale = jnp.asarray(weight_scale, jnp.result_type(*jax.tree.leaves(pairs)))
    return (pairs[0], pairs[1]), scale, (one, two), size
