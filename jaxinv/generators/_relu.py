"""Random ReLU networks: the generator of the recovery theorems."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.generators._base import Generator


@pytree
class Relu(Generator):
    """A bias-free ReLU network; see ``relu``. ``params`` is the tuple of weight matrices."""

    params: tuple[Array, ...]
    precision: str = static(default="highest")

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.params[0].shape[-1],)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return (self.params[-1].shape[-2],)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.params)

    @property
    def zero_is_fixed(self) -> bool:
        return True

    @property
    def homogeneous(self) -> bool:
        return True

    @property
    def can_redraw(self) -> bool:
        return True

    def fresh(self, key: Array, z: Any) -> tuple[Array, ...]:
        """Return Gaussian weights, of each layer's present root mean square."""
        keys = jax.random.split(key, len(self.params))
        return tuple(
            jax.random.normal(layer_key, weight.shape, weight.dtype)
            * jnp.sqrt(jnp.mean(jnp.square(weight)))
            for layer_key, weight in zip(keys, self.params, strict=True)
        )

    def _apply(self, z: Array) -> Array:
        return _layers(self, z)[-1]

    def _checked(self, where: str, z: Any) -> Array:
        for index, weight in enumerate(self.params):
            if getattr(weight, "ndim", 2) > 2:
                hint = "The generator holds a batch; use jax.vmap."
                checks.fail(where, f"params[{index}]", "have 2 dimensions", weight, hint)
        check_chain(where, self.params)
        z = super()._checked(where, z)
        if jnp.iscomplexobj(z):
            checks.fail(where, "z", "be real", z)
        return z

    def without_activations(self, z: Array) -> Array:
        """Return ``W_d ... W_1 z``, the network with every activation left away."""
        for weight in self.params:
            z = numerics.matmul(weight, z, self.precision)
        return z

    def between(self, first: int, last: int) -> Relu:
        """Return the layers from number ``first`` to before ``last`` as a network."""
        return replace(self, params=self.params[first:last])

    def activation_pattern(self, z: Any) -> tuple[Array, ...]:
        """Return which units are active at ``z``: one boolean vector (n_i,) a layer."""
        z = self._checked("Relu.activation_pattern", z)
        return tuple(layer > 0 for layer in _layers(self, z)[1:])

    def jacobian(self, z: Any) -> Array:
        r"""Return :math:`\Lambda_z = D_d W_d \cdots D_1 W_1`, shape (n, k), D_i = diag(active).

        G is piecewise linear: ``G(z) = Λ_z z`` exactly. At a kink the inactive side is taken.
        """
        return _jacobian(self, self._checked("Relu.jacobian", z))


def check_chain(where: str, weights: Sequence[Array]) -> None:
    """Require that each layer takes what the one before gives."""
    for index in range(1, len(weights)):
        rows = weights[index - 1].shape[-2]
        if weights[index].shape[-1] != rows:
            expected = f"take the {rows} numbers of the layer before"
            checks.fail(where, f"weights[{index}]", expected, weights[index])


@functools.partial(jax.jit, inline=True)
def _layers(generator: Relu, z: Array) -> list[Array]:
    """Return z and the output of every layer."""
    layers = [z]
    for weight in generator.params:
        layers.append(jax.nn.relu(numerics.matmul(weight, layers[-1], generator.precision)))
    return layers


@functools.partial(jax.jit, inline=True)
def _jacobian(generator: Relu, z: Array) -> Array:
    columns: Array | None = None
    for weight, layer in zip(generator.params, _layers(generator, z)[1:], strict=True):
        if columns is not None:
            weight = numerics.matmul(weight, columns, generator.precision)
        columns = jnp.where(layer[:, None] > 0, weight, 0)
    assert columns is not None
    return columns


def relu(
    key: Any,
    widths: Sequence[int],
    *,
    weight_scale: Any = 2.0,
    dtype: Any = jnp.float32,
    precision: str = "highest",
) -> Relu:
    r"""Draw a random ReLU network without biases.

    .. math::
        G(z) = \mathrm{relu}(W_d \cdots \mathrm{relu}(W_1 z)), \qquad
        W_i \in \mathbb{R}^{n_i \times n_{i-1}},\; (W_i)_{jl} \sim N(0, c / n_i)

    With the default c = 2 (He scaling) ‖G(z)‖ ≈ ‖z‖ at every depth. The papers use c = 1, where
    ‖G(z)‖ ≈ 2^{-d/2} ‖z‖; the two maps are equal up to that factor.
    For weights of your own there is ``from_weights``.

    Args:
        key: a JAX PRNG key.
        widths: (k, n_1, ..., n_d): latent size, then the width of every layer; the last is n.
        weight_scale: c > 0, scalar.
        dtype: real floating type.
        precision: matmul precision, ``"highest"``, ``"high"`` or ``"default"``.

    Returns:
        ``Relu`` from shape (k,) to (n,), with ``jacobian`` and ``activation_pattern``.

    Raises:
        ValueError: fewer than two widths, or one that is not positive; a type that is not real.

    Cost: Σ n_i n_{i-1} multiplications a call, k times that for the Jacobian.

    Example:
        >>> import jax
        >>> G = relu(jax.random.key(0), (10, 100, 200))
        >>> z = jax.random.normal(jax.random.key(1), (10,))
        >>> bool(jax.numpy.allclose(G.jacobian(z) @ z, G(z), atol=1e-5))
        True

    Source: Hand, Voroninski (2019), assumption A1; Cocola (2022), section 3.
    """
    key = checks.key("relu", key)
    sizes = checks.sizes("relu", "widths", widths)
    if len(sizes) < 2:
        checks.fail("relu", "widths", "be (k, n_1, ..., n) with at least one layer", sizes)
    checks.choice("relu", "precision", precision, ("highest", "high", "default"))
    dtype = checks.float_type("relu", dtype, real=True)
    if not jnp.issubdtype(dtype, jnp.floating):
        checks.fail("relu", "dtype", "be a real floating type", dtype.name)
    scale = checks.positive("relu", "weight_scale", weight_scale, single=True)
    return Relu(random_weights(key, sizes, scale, dtype), precision)


@functools.partial(jax.jit, static_argnames=("widths", "dtype"), inline=True)
def random_weights(
    key: Array, widths: tuple[int, ...], weight_scale: Any, dtype: Any
) -> tuple[Array, ...]:
    """Draw W_i ~ N(0, weight_scale / n_i) for every layer."""
    keys = jax.random.split(key, len(widths) - 1)
    scale = jnp.asarray(weight_scale, dtype)
    return tuple(
        jax.random.normal(layer_key, (rows, columns), dtype) * jnp.sqrt(scale / rows)
        for layer_key, rows, columns in zip(keys, widths[1:], widths[:-1], strict=True)
    )
