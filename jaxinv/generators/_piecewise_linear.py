"""Random networks of piecewise linear units: biases, leaky units, absolute values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Inexact, PRNGKeyArray

from jaxinv._core import checks, pytree, replace, static
from jaxinv.generators._base import Generator
from jaxinv.generators._relu import check_chain, random_weights
from jaxinv.operators import LinearOperator
from jaxinv.operators._dense import Dense


class Layered(Generator):
    """Linear layers, each followed by a bias and a unit; a subclass gives ``layers``."""

    negative_slope: float

    @property
    def layers(self) -> tuple[LinearOperator, ...]:
        """The linear map of every layer."""
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.layers)

    @property
    def biases(self) -> tuple[Array, ...]:
        """What is added after the linear map of every layer; empty where nothing is."""
        return ()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.layers[0].in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return self.layers[-1].out_shape

    @property
    def homogeneous(self) -> bool:
        return not self.biases

    @property
    def zero_is_fixed(self) -> bool:
        return self.homogeneous and self.negative_slope == 0

    @property
    def can_redraw(self) -> bool:
        return True

    def fresh(self, key: PRNGKeyArray, z: Any) -> Any:
        """Return Gaussian parameters, each array of its present root mean square."""
        leaves, structure = jax.tree.flatten(self.params)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jax.random.normal(leaf_key, leaf.shape, leaf.dtype)
            * jnp.sqrt(jnp.mean(jnp.square(leaf)))
            for leaf_key, leaf in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, drawn)

    def _preactivations(self, z: Array) -> list[Array]:
        """Return what enters the units of every layer."""
        found = []
        for index, layer in enumerate(self.layers):
            z = layer._apply(z)
            if self.biases:
                z = z + self.biases[index]
            found.append(z)
            z = self._unit(z)
        return found

    def _unit(self, v: Array) -> Array:
        return jnp.where(v > 0, v, self.negative_slope * v)

    def _apply(self, z: Array) -> Array:
        return self._unit(self._preactivations(z)[-1])

    def activation_pattern(self, z: Any) -> tuple[Bool[Array, "width"], ...]:
        """Return which units are on their positive side at ``z``, one vector a layer."""
        z = self._checked(f"{type(self).__name__}.activation_pattern", z)
        return tuple(v > 0 for v in self._preactivations(z))

    def jacobian(self, z: Any) -> Inexact[Array, "n k"]:
        """Return Λ_z, shape (n, k); at a kink the negative side is taken."""
        z = self._checked(f"{type(self).__name__}.jacobian", z)
        columns = jnp.eye(z.size, dtype=z.dtype)
        for layer, v in zip(self.layers, self._preactivations(z), strict=True):
            slopes = jnp.where(v > 0, 1, self.negative_slope).astype(v.dtype)
            columns = slopes[:, None] * jax.vmap(layer._apply, 1, 1)(columns)
        return columns

    def without_activations(self, z: Array) -> Array:
        """Return ``W_d ... W_1 z``, the network with every unit and bias left away."""
        for layer in self.layers:
            z = layer._apply(z)
        return z


@pytree
class PiecewiseLinear(Layered):
    """See ``piecewise_linear``; ``params`` holds "weights" and "biases", a tuple each."""

    params: dict[str, tuple[Array, ...]]
    negative_slope: float = static(default=0.0)
    precision: str = static(default="highest")

    @property
    def layers(self) -> tuple[LinearOperator, ...]:
        return tuple(Dense(weight, self.precision) for weight in self.params["weights"])

    @property
    def biases(self) -> tuple[Array, ...]:
        return self.params["biases"]

    def _checked(self, where: str, z: Any) -> Array:
        check_chain(where, self.params["weights"])
        return super()._checked(where, z)

    def between(self, first: int, last: int) -> PiecewiseLinear:
        """Return the layers from number ``first`` to before ``last`` as a network."""
        parts = {name: held[first:last] for name, held in self.params.items()}
        return replace(self, params=parts)


def piecewise_linear(
    key: PRNGKeyArray,
    widths: Sequence[int],
    *,
    negative_slope: float = 0.0,
    bias_std: float = 0.0,
    weight_scale: float | None = None,
    dtype: Any = jnp.float32,
) -> PiecewiseLinear:
    r"""Draw a random network of piecewise linear units, with or without biases.

    .. math:: h_i = \sigma(W_i h_{i-1} + b_i), \qquad
        \sigma(t) = \max(t, 0) + \alpha \min(t, 0), \qquad (W_i)_{jl} \sim N(0, c / n_i), \quad
        (b_i)_j \sim N(0, \beta^2 / n_i)

    These are, up to factors, all units with σ(c t) = c σ(t) for c > 0: ``generators.relu`` for
    α = 0 (prefer it, its products are faster), leaky for α in (0, 1), the absolute value for −1,
    a linear network for 1.

    Args:
        key: a JAX PRNG key.
        widths: (k, n_1, ..., n_d), as in ``generators.relu``.
        negative_slope: α, any number; static.
        bias_std: β >= 0, about the norm of the biases of a layer; 0 for none.
        weight_scale: c > 0; default 2/(1 + α²), with which E‖G(z)‖² = ‖z‖² without biases.
        dtype: real floating type.

    Returns:
        A generator from shape (k,) to (n,) with ``jacobian``, ``activation_pattern`` and
        ``layers``, the linear map of every layer.

    Raises:
        ValueError: fewer than two widths, or one that is not positive; a negative ``bias_std``.

    Cost: Σ n_i n_{i-1} multiplications a call, k times that for the Jacobian.

    Example:
        >>> import jax
        >>> G = piecewise_linear(jax.random.key(0), (5, 50, 80), negative_slope=0.2, bias_std=0.1)
        >>> G(jax.numpy.zeros(5)).shape, len(G.layers)
        ((80,), 2)
    """
    where = "piecewise_linear"
    key = checks.key(where, key)
    sizes = checks.sizes(where, "widths", widths)
    if len(sizes) < 2:
        checks.fail(where, "widths", "be (k, n_1, ..., n) with at least one layer", sizes)
    slope = unit_slope(where, negative_slope)
    bias_std = checks.nonnegative(where, "bias_std", bias_std, single=True)
    scale = unit_scale(where, weight_scale, slope)
    dtype = checks.float_type(where, dtype, real=True)
    weights = random_weights(key, sizes, scale, dtype)
    biases: tuple[Array, ...] = ()
    if not checks.is_concrete(bias_std) or bias_std > 0:
        keys = jax.random.split(jax.random.fold_in(key, 1), len(weights))
        biases = tuple(
            jax.random.normal(bias_key, (n,), dtype) * jnp.asarray(bias_std / n**0.5, dtype)
            for bias_key, n in zip(keys, sizes[1:], strict=True)
        )
    return PiecewiseLinear({"weights": weights, "biases": biases}, slope)


def unit_slope(where: str, negative_slope: Any) -> float:
    """Return α as a static number."""
    slope = checks.scalar(where, "negative_slope", negative_slope, single=True)
    if not checks.is_concrete(slope):
        hint = "It is part of the program: give a Python number."
        checks.fail_type(where, "negative_slope", "be a number", negative_slope, hint)
    return float(slope)


def unit_scale(where: str, weight_scale: Any, slope: float) -> Any:
    """Return c, by default the one that keeps norms."""
    if weight_scale is None:
        return 2 / (1 + slope * slope)
    return checks.positive(where, "weight_scale", weight_scale, single=True)
