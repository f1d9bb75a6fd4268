"""Normalizing flows: invertible generators whose density is exact."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num, PRNGKeyArray

from jaxinv._core import checks, pytree, replace, static
from jaxinv.generators import _learned
from jaxinv.generators._adapters import FromFunction
from jaxinv.generators._learned import Learned

_STRONGEST = 2.0  # of the logarithm of the factor of one coupling
_LEAST_SCALE = 1e-3  # of an entry, relative to the largest


@pytree
class Flow(Learned):
    """See ``flow``; ``masks`` says which entries each coupling keeps."""

    params: dict[str, Any]
    masks: Bool[Array, "layers n"]
    signal_shape: tuple[int, ...] = static()
    num_layers: int = static()
    hidden: tuple[int, ...] = static()
    unit: str = static()
    noise_std: float = static()
    dtype: Any = static()

    name = "flow"
    players = (("couplings", "location", "log_scale"),)

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """k = n: a flow keeps the dimension."""
        return self.num_entries

    def _module(self) -> Any:
        from jaxinv.generators._modules import Mlp

        widths = (*self.hidden, 2 * self.num_entries)
        return Mlp(widths, self.unit, zero=True, dtype=self.dtype)

    def _coupling(self, params: Any, index: int, h: Array) -> tuple[Array, Array]:
        """Return log factor and shift of one coupling; 0 for the entries it keeps."""
        keeps = self.masks[index]
        kept = jnp.where(keeps, h, 0)
        found = self._module().apply({"params": params["couplings"][f"layer{index}"]}, kept)
        log_factor, shift = jnp.split(found, 2, axis=-1)
        log_factor = _STRONGEST * jnp.tanh(log_factor / _STRONGEST)
        return jnp.where(keeps, 0, log_factor), jnp.where(keeps, 0, shift)

    def _apply(self, z: Array) -> Array:
        return self._forward(self.params, z)[0].reshape(self.signal_shape)

    def _forward(self, params: Any, z: Array) -> tuple[Array, Array]:
        """Return the signal, and log |det| of the Jacobian."""
        h, total = z, jnp.zeros(z.shape[:-1], z.dtype)
        for index in range(self.num_layers):
            log_factor, shift = self._coupling(params, index, h)
            h, total = h * jnp.exp(log_factor) + shift, total + jnp.sum(log_factor, -1)
        log_scale = params["log_scale"]
        return params["location"] + jnp.exp(log_scale) * h, total + jnp.sum(log_scale)

    def _inverse(self, params: Any, x: Array) -> tuple[Array, Array]:
        """Return the latent, and log |det| of the inverse's Jacobian."""
        log_scale = params["log_scale"]
        h = (x - params["location"]) * jnp.exp(-log_scale)
        total = jnp.zeros(x.shape[:-1], x.dtype) - jnp.sum(log_scale)
        for index in reversed(range(self.num_layers)):
            log_factor, shift = self._coupling(params, index, h)
            h, total = (h - shift) * jnp.exp(-log_factor), total - jnp.sum(log_factor, -1)
        return h, total

    def _log_density(self, params: Any, x: Array) -> Array:
        z, log_det = self._inverse(params, x)
        constant = 0.5 * self.num_entries * math.log(2 * math.pi)
        return log_det - 0.5 * jnp.sum(z * z, -1) - constant

    def inverse(self, x: Num[ArrayLike, "*signal"]) -> Float[Array, "n"]:
        """Return the latent z of a signal, G(z) = x."""
        return self._inverse(self.params, self._flat("Flow.inverse", x))[0]

    def log_density(self, x: Num[ArrayLike, "*signal"]) -> Float[Array, ""]:
        """Return log p(x), normalized, of a signal: exact, by the change of variables."""
        return self._log_density(self.params, self._flat("Flow.log_density", x))

    def _flat(self, where: str, x: Any) -> Array:
        x = checks.array(where, "x", x)
        checks.shape_is(where, "x", x, self.signal_shape, "Use jax.vmap for a batch.")
        return x.reshape(-1)

    def on_signals(self) -> FromFunction:
        """Return the prior whose unknown is the signal itself, with −log p(x) as its energy.

        For solvers and samplers that move in the signal, where the landscape of the
        measurements is convex.
        """
        energy = Partial(_negative_log_density, self)
        return FromFunction((), Partial(_itself), self.signal_shape, energy)

    def prepared(self, signals: Float[Array, "signals n"]) -> Flow:
        """Return the flow with the mean and the spread of every entry set from signals (N, n)."""
        spread = jnp.sqrt(jnp.var(signals, 0) + self.noise_std**2)
        spread = jnp.maximum(spread, _LEAST_SCALE * jnp.max(spread))
        start = {"location": jnp.mean(signals, 0), "log_scale": jnp.log(spread)}
        return replace(self, params={**self.params, **start})

    def training_loss(
        self, params: Any, player: Any, x: Float[Array, "batch n"], key: PRNGKeyArray, done: Any
    ) -> Float[Array, ""]:
        return self.held_out_loss(params, x, key)

    def held_out_loss(
        self, params: Any, x: Float[Array, "batch n"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        x = x + self.noise_std * jax.random.normal(key, x.shape, x.dtype)
        return -jnp.mean(self._log_density(params, x))


def _itself(params: Any, x: Array) -> Array:
    return x


def _negative_log_density(flow: Flow, x: Array) -> Array:
    return -flow.log_density(x)


def flow(
    key: PRNGKeyArray,
    signal_shape: int | tuple[int, ...],
    *,
    num_layers: int = 8,
    hidden: Any = (256, 256),
    unit: str = "relu",
    noise_std: float = 0.02,
    dtype: Any = jnp.float32,
) -> Flow:
    r"""Make a flow of affine couplings, to be trained on signals by ``trained.fit``.

    .. math:: h_{i+1} = b_i h_i + (1 - b_i) \bigl(h_i e^{s_i(b_i h_i)} + t_i(b_i h_i)\bigr),
        \qquad \log p(x) = \log N(z; 0, I) - \log |\det G'(z)|, \quad x = G(z)

    Every signal is in the range of a flow: no floor stays with many measurements, and its
    density says which of the signals that fit is likely. With few measurements a VAE
    (``generators.vae``), whose latent is short, is easier to search.

    Args:
        key: a JAX PRNG key; decides the first weights and the masks b_i.
        signal_shape: shape of x, of at least 2 entries.
        num_layers: couplings, two for each random half of the entries.
        hidden: widths of the hidden layers of s_i and t_i, which share them.
        unit: ``"relu"``, ``"leaky"`` or ``"softplus"``.
        noise_std: >= 0, of noise added to the signals in training; without, the density of
            rounded numbers, or of pixels that never change, grows without bound.
        dtype: real floating type.

    Returns:
        A generator with k = n, ``inverse(x)``, ``log_density(x)`` (normalized), and
        ``on_signals()``, the prior whose unknown is x and whose energy is −log p(x).

    Raises:
        ValueError: a size that cannot be; an unknown unit.

    Cost: ``num_layers`` times the multiplications of a network n - hidden - 2 n.

    Example:
        >>> import jax
        >>> G = flow(jax.random.key(0), 4, num_layers=2, hidden=(8,))
        >>> x = G(jax.numpy.arange(4.0))
        >>> bool(jax.numpy.allclose(G.inverse(x), jax.numpy.arange(4.0))), G.in_shape
        (True, (4,))

    Source: Dinh, Sohl-Dickstein, Bengio (2017), "Density estimation using Real NVP", section 3.
    """
    where = "flow"
    key = checks.key(where, key)
    shape = _learned.signal_shape(where, signal_shape)
    num_layers = checks.count(where, "num_layers", num_layers, maximum=1000)
    hidden = checks.sizes(where, "hidden", hidden)
    unit = checks.choice(where, "unit", unit, _learned.UNITS)
    noise_std = float(checks.nonnegative(where, "noise_std", noise_std, single=True))
    dtype = checks.float_type(where, dtype, real=True)
    size = math.prod(shape)
    if size < 2:
        checks.fail(where, "signal_shape", "have at least 2 entries", shape)
    mask_key, *keys = jax.random.split(key, num_layers + 1)
    model = Flow({}, _masks(mask_key, num_layers, size), shape, num_layers, hidden, unit,
                 noise_std, dtype)  # fmt: skip
    couplings = {
        f"layer{index}": _learned.drawn(model._module(), layer_key, size, dtype)
        for index, layer_key in enumerate(keys)
    }
    zeros = jnp.zeros(size, dtype)
    params = {"couplings": couplings, "location": zeros, "log_scale": zeros}
    return replace(model, params=params)


def _masks(key: Array, num_layers: int, size: int) -> Array:
    """Return a random half of the entries and its complement, in turn."""
    half = jnp.asarray(np.arange(size) < size // 2)
    keys = jax.random.split(key, (num_layers + 1) // 2)
    halves = jax.vmap(lambda k: jax.random.permutation(k, half))(keys)
    return jnp.stack([halves, ~halves], 1).reshape(-1, size)[:num_layers]
