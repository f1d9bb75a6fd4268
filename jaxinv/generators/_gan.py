"""Wasserstein GANs with a gradient penalty: a generator trained against a critic."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.generators import _learned
from jaxinv.generators._learned import Learned

_PENALTY = 10.0  # of the paper
_CRITIC_UPDATES = 5  # a step
_DIRECTIONS = 128  # of the sliced distance


@pytree
class Gan(Learned):
    """See ``gan``; ``params`` holds "generator" and "critic"."""

    params: dict[str, Any]
    signal_shape: tuple[int, ...] = static()
    latent_size: int = static()
    hidden: tuple[int, ...] = static()
    kind: str = static()
    unit: str = static()
    bounded: bool = static()
    dtype: Any = static()

    name = "gan"
    players = (*((("critic",),) * _CRITIC_UPDATES), ("generator",))
    adam = (1e-4, 0.5, 0.9)

    def _apply(self, z: Array) -> Array:
        return self._made(self.params, z).reshape(self.signal_shape)

    def _made(self, params: Any, z: Array) -> Array:
        x = _learned.decoder_module(self).apply({"params": params["generator"]}, z)
        return jax.nn.sigmoid(x) if self.bounded else x

    def _judged(self, params: Any, x: Array) -> Array:
        module = _learned.encoder_module(replace(self, unit="leaky"), 1)
        return module.apply({"params": params["critic"]}, x)[..., 0]

    def check_signals(self, where: str, signals: Any) -> None:
        low, high = float(signals.min()), float(signals.max())
        if self.bounded and (low < 0 or high > 1):
            hint = "Scale them, or make the model with bounded=False."
            checks.fail(where, "signals", "lie in [0, 1]", f"[{low:g}, {high:g}]", hint)

    def training_loss(
        self, params: Any, player: Any, x: Float[Array, "batch n"], key: PRNGKeyArray, done: Any
    ) -> Float[Array, ""]:
        latent_key, mix_key = jax.random.split(key)
        z = jax.random.normal(latent_key, (len(x), self.latent_size), x.dtype)
        made = self._made(params, z)
        if player == ("generator",):
            return -jnp.mean(self._judged(params, made))
        share = jax.random.uniform(mix_key, (len(x), 1), x.dtype)
        between = share * x + (1 - share) * made
        slopes = jax.grad(lambda v: jnp.sum(self._judged(params, v)))(between)
        excess = jax.vmap(numerics.safe_norm)(slopes) - 1
        gap = jnp.mean(self._judged(params, made)) - jnp.mean(self._judged(params, x))
        return gap + _PENALTY * jnp.mean(jnp.square(excess))

    def held_out_loss(
        self, params: Any, x: Float[Array, "batch n"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """Return the sliced Wasserstein distance (squared) from as many generated signals.

        The critic's own loss does not fall as the generator gets better.
        """
        latent_key, direction_key = jax.random.split(key)
        z = jax.random.normal(latent_key, (len(x), self.latent_size), x.dtype)
        directions = jax.random.normal(direction_key, (x.shape[-1], _DIRECTIONS), x.dtype)
        directions = directions / jnp.linalg.norm(directions, axis=0)
        pairs = (numerics.matmul(v, directions) for v in (x, self._made(params, z)))
        ours, theirs = (jnp.sort(v, 0) for v in pairs)
        return jnp.mean(jnp.square(ours - theirs))


def gan(
    key: PRNGKeyArray,
    signal_shape: int | tuple[int, ...],
    latent_size: int = 20,
    *,
    kind: str = "dense",
    hidden: Any = None,
    unit: str = "relu",
    bounded: bool = True,
    dtype: Any = jnp.float32,
) -> Gan:
    r"""Make a Wasserstein GAN, to be trained on signals by ``trained.fit``.

    .. math:: \min_G \max_D \mathbb E\, D(x) - \mathbb E\, D(G(z))
        - 10\, \mathbb E (\|\nabla D(\hat x)\| - 1)^2

    Sharper signals than those of a VAE (``generators.vae``), and kinds of signals that it never
    makes: compare both by ``trained.diagnose`` on held-out signals. It takes several times as
    long to train.

    Args:
        key: a JAX PRNG key; decides the first weights.
        signal_shape: shape of x, such as (28, 28).
        latent_size: k >= 1.
        kind, hidden, unit: of the generator, as in ``generators.vae``; the critic has the hidden
            layers in reverse, and leaky units.
        bounded: whether signals lie in [0, 1]; G then ends in a sigmoid.
        dtype: real floating type.

    Returns:
        A generator from shape (k,), whose ``params`` hold the critic, too.

    Raises:
        ValueError: unknown names; a convolutional one for signals that are no images.

    Cost: Σ n_i n_{i-1} multiplications a call.

    Example:
        >>> import jax
        >>> gan(jax.random.key(0), (8, 8), 4, hidden=(16,))(jax.numpy.zeros(4)).shape
        (8, 8)

    Source: Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville (2017), "Improved training of
        Wasserstein GANs", algorithm 1.
    """
    where = "gan"
    key = checks.key(where, key)
    shape = _learned.signal_shape(where, signal_shape)
    latent_size = checks.count(where, "latent_size", latent_size)
    kind, unit, hidden = _learned.sizes(where, kind, unit, hidden, shape)
    bounded = checks.boolean(where, "bounded", bounded)
    dtype = checks.float_type(where, dtype, real=True)
    model = Gan({}, shape, latent_size, hidden, kind, unit, bounded, dtype)
    first, second = jax.random.split(key)
    decoder, critic = _learned.decoder_module(model), _learned.encoder_module(model, 1)
    params = {
        "generator": _learned.drawn(decoder, first, latent_size, dtype),
        "critic": _learned.drawn(critic, second, model.num_entries, dtype),
    }
    return replace(model, params=params)
