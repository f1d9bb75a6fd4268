"""Variational autoencoders: a decoder whose latent is N(0, I), trained with its encoder."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num, PRNGKeyArray

from jaxinv._core import checks, pytree, replace, static
from jaxinv.generators import _learned
from jaxinv.generators._base import Generator
from jaxinv.generators._learned import Learned

LIKELIHOODS = ("bernoulli", "gaussian")


@pytree
class Vae(Learned):
    """See ``vae``; ``params`` holds "decoder", and "encoder" unless it was left out."""

    params: dict[str, Any]
    signal_shape: tuple[int, ...] = static()
    latent_size: int = static()
    hidden: tuple[int, ...] = static()
    kind: str = static()
    unit: str = static()
    likelihood: str = static()
    warmup: float = static()
    divergence_weight: float = static()
    dtype: Any = static()

    name = "vae"
    players = (("encoder", "decoder"),)

    @property
    def depth(self) -> int:
        """The number of layers of the decoder."""
        return len(self.params["decoder"])

    def _apply(self, z: Array) -> Array:
        return self._signal(self._decode(self.params, z)).reshape(self.signal_shape)

    def _decode(self, params: Any, z: Array) -> Array:
        return _learned.decoder_module(self).apply({"params": params["decoder"]}, z)

    def _signal(self, logits: Array) -> Array:
        return jax.nn.sigmoid(logits) if self.likelihood == "bernoulli" else logits

    def encode(self, x: Num[ArrayLike, "*signal"]) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
        """Return mean and standard deviation of the latent, given a signal."""
        x = checks.array("Vae.encode", "x", x)
        checks.shape_is("Vae.encode", "x", x, self.signal_shape, "Use jax.vmap for a batch.")
        if "encoder" not in self.params:
            hint = "Its file holds the decoder only."
            checks.fail("Vae.encode", "the model", "have an encoder", "none", hint)
        mean, log_std = self._encode(self.params, x.reshape(-1))
        return mean, jnp.exp(log_std)

    def _encode(self, params: Any, x: Array) -> tuple[Array, Array]:
        module = _learned.encoder_module(self, 2 * self.latent_size)
        mean, log_std = jnp.split(module.apply({"params": params["encoder"]}, x), 2, axis=-1)
        return mean, jnp.clip(log_std, -8.0, 4.0)

    def decoder_only(self) -> Vae:
        """Return the model without its encoder: what solvers need, at half the size."""
        return replace(self, params={"decoder": self.params["decoder"]})

    def between(self, first: int, last: int) -> Generator:
        """Return the decoder's layers from number ``first`` to before ``last`` (dense ones)."""
        from jaxinv.generators._flax import from_flax
        from jaxinv.generators._modules import Mlp

        if self.kind != "dense":
            checks.fail("between", "the model", 'have kind="dense"', self.kind)
        widths = (self.latent_size, *self.hidden, self.num_entries)
        held = [self.params["decoder"][f"layer{i}"] for i in range(first, last)]
        params = {f"layer{i}": layer for i, layer in enumerate(held)}
        if last == self.depth:
            hidden = widths[first + 1 : -1]
            return replace(
                self, params={"decoder": params}, latent_size=widths[first], hidden=hidden
            )
        module = Mlp(widths[first + 1 : last + 1], self.unit, ends=True, dtype=self.dtype)
        return from_flax(module, {"params": params}, in_shape=widths[first])

    def check_signals(self, where: str, signals: Any) -> None:
        if "encoder" not in self.params:
            hint = "Make a new one with generators.vae, or load one that was saved whole."
            checks.fail(where, "model", "have an encoder", "a decoder only", hint)
        low, high = float(signals.min()), float(signals.max())
        if self.likelihood == "bernoulli" and (low < 0 or high > 1):
            hint = 'Scale them, or make the model with likelihood="gaussian".'
            checks.fail(where, "signals", "lie in [0, 1]", f"[{low:g}, {high:g}]", hint)

    def training_loss(
        self, params: Any, player: Any, x: Float[Array, "batch n"], key: PRNGKeyArray, done: Any
    ) -> Float[Array, ""]:
        weight = 1.0 if self.warmup == 0 else jnp.minimum(done / self.warmup, 1.0)
        misfit, divergence = self._bound(params, x, key)
        return misfit + self.divergence_weight * weight * divergence

    def held_out_loss(
        self, params: Any, x: Float[Array, "batch n"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        misfit, divergence = self._bound(params, x, key)
        return misfit + self.divergence_weight * divergence

    def _bound(self, params: Any, x: Array, key: Array) -> tuple[Array, Array]:
        """Return the two parts of the negative evidence bound, means over a batch in nats."""
        mean, log_std = self._encode(params, x)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        logits = self._decode(params, mean + jnp.exp(log_std) * noise)
        divergence = _divergence(mean, log_std)
        if self.likelihood == "bernoulli":
            misfit = jnp.mean(jnp.sum(jax.nn.softplus(logits) - x * logits, -1))
        else:  # the noise level of greatest likelihood for the batch
            square = jnp.mean(jnp.square(logits - x))
            tiny = jnp.finfo(square.dtype).tiny
            misfit = 0.5 * self.num_entries * (1 + jnp.log(2 * jnp.pi * square + tiny))
        return misfit, jnp.mean(jnp.sum(divergence, -1))

    def latent_information(self, x: Num[ArrayLike, "signals *shape"]) -> Float[Array, "k"]:
        """Return the mean divergence from N(0, 1) of each latent in nats; 0 where it is collapsed.

        Args:
            x: signals, shape (N, *signal_shape).
        """
        mean, std = jax.vmap(self.encode)(checks.array("latent_information", "x", x))
        return jnp.mean(_divergence(mean, jnp.log(std)), 0)


def _divergence(mean: Array, log_std: Array) -> Array:
    """Return KL(N(mean, std²) ‖ N(0, 1)) of every entry."""
    return 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1) - log_std


def vae(
    key: PRNGKeyArray,
    signal_shape: int | tuple[int, ...],
    latent_size: int = 20,
    *,
    kind: str = "dense",
    hidden: Any = None,
    unit: str = "softplus",
    likelihood: str = "bernoulli",
    warmup: float = 0.3,
    divergence_weight: float = 1.0,
    dtype: Any = jnp.float32,
) -> Vae:
    r"""Make a variational autoencoder, to be trained on signals by ``trained.fit``.

    .. math:: \min_{\theta, \phi} \mathbb E_{q_\phi(z | x)}[-\log p_\theta(x | z)]
        + \beta w\, \mathrm{KL}(q_\phi(z | x) \,\|\, N(0, I)), \qquad G(z) = \mathbb E_\theta[x | z]

    The first choice of a trained prior: it trains in minutes, does not miss kinds of signals, and
    its latent is short, so that ``solvers.levenberg_marquardt`` finds it. A flow
    (``generators.flow``) has an exact density, a GAN (``generators.gan``) sharper signals.

    Args:
        key: a JAX PRNG key; decides the first weights.
        signal_shape: shape of x, such as (28, 28).
        latent_size: k >= 1.
        kind: ``"dense"``, or ``"convolutional"`` for images, which has fewer weights.
        hidden: widths of the decoder's hidden layers, the encoder's in reverse; (500, 500) by
            default. Convolutional: channels at a quarter and at half of the side, (32, 16).
        unit: ``"softplus"``, smooth, which suits second-order solvers; ``"relu"``, ``"leaky"``.
        likelihood: ``"bernoulli"`` for signals in [0, 1], whose G ends in a sigmoid;
            ``"gaussian"`` for others, with the noise level of greatest likelihood.
        warmup: share of the training, in [0, 1], in which w rises from 0 to 1; without, latents
            whose use is not learned early enough collapse to noise.
        divergence_weight: β > 0. At 1 the objective bounds the likelihood. Less puts more latents
            to use: signals come closer to the range, and N(0, I) says less of where in it they
            are. For reconstruction from more measurements than a few per latent, 0.1 to 0.3.
        dtype: real floating type.

    Returns:
        A generator from shape (k,), with ``encode(x)`` (mean and standard deviation of the
        latent), ``latent_information`` and ``decoder_only``.

    Raises:
        ValueError: unknown names; a convolutional one for signals that are no images.

    Cost: Σ n_i n_{i-1} multiplications a call.

    Example:
        >>> import jax
        >>> G = vae(jax.random.key(0), (8, 8), 4, hidden=(16, 16))
        >>> G(jax.numpy.zeros(4)).shape, G.encode(jax.numpy.zeros((8, 8)))[0].shape
        ((8, 8), (4,))

    Source: Kingma, Welling (2014), equation 10; 20-500-500-784 with softplus units is the
        network of Bora, Jalal, Price, Dimakis (2017); the warm-up of Bowman et al. (2016); β of
        Higgins et al. (2017).
    """
    where = "vae"
    key = checks.key(where, key)
    shape = _learned.signal_shape(where, signal_shape)
    latent_size = checks.count(where, "latent_size", latent_size)
    kind, unit, hidden = _learned.sizes(where, kind, unit, hidden, shape)
    likelihood = checks.choice(where, "likelihood", likelihood, LIKELIHOODS)
    warmup = float(checks.scalar(where, "warmup", warmup, low=0.0, high=1.0, single=True))
    weight = checks.positive(where, "divergence_weight", divergence_weight, single=True)
    dtype = checks.float_type(where, dtype, real=True)
    settings = (shape, latent_size, hidden, kind, unit, likelihood, warmup, float(weight), dtype)
    model = Vae({}, *settings)
    encoder_key, decoder_key = jax.random.split(key)
    encoder = _learned.encoder_module(model, 2 * latent_size)
    params = {
        "decoder": _learned.drawn(_learned.decoder_module(model), decoder_key, latent_size, dtype),
        "encoder": _learned.drawn(encoder, encoder_key, model.num_entries, dtype),
    }
    return replace(model, params=params)
