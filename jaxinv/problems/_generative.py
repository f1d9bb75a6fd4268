"""Compressed sensing and denoising with a random ReLU network as the prior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.generators import Generator
from jaxinv.generators._relu import Relu, random_weights
from jaxinv.operators._dense import Dense
from jaxinv.operators._mask import Identity
from jaxinv.problems._fixed_generator import GeneratorFamily, fixed_generator
from jaxinv.problems._problem import (
    Family,
    Problem,
    Truth,
    active_mask,
    active_size,
    gaussian_matrix,
    gaussian_noise,
    masked,
    num_starts,
    require_scalars,
)

_PROBLEM, _START = 0, 1  # streams of one trial's key
_SCALARS = (
    "active_latent",
    "active_measurements",
    "noise_norm",
    "noise_std",
    "signal_norm",
    "weight_scale",
)


@pytree
class GenerativeFamily(Family):
    """Random generative recovery problems; see ``generative``."""

    active_latent: Any
    active_measurements: Any
    noise_norm: Any
    noise_std: Any
    signal_norm: Any
    weight_scale: Any
    widths: tuple[int, ...] = static()
    num_measurements: int | None = static()
    dtype: Any = static()

    def with_active(self, latent: Any = None, measurements: Any = None) -> GenerativeFamily:
        """Return the family with k and m in use below its maxima; both may be traced."""
        changes = {}
        if latent is not None:
            changes["active_latent"] = active_size(
                "with_active", "latent", latent, self.widths[0], "widths[0]"
            )
        if measurements is not None:
            if self.num_measurements is None:
                checks.fail("with_active", "measurements", "be None for denoising", measurements)
            changes["active_measurements"] = active_size(
                "with_active", "measurements", measurements, self._size(), "num_measurements"
            )
        return replace(self, **changes)

    def sample(self, key: Any) -> Problem:
        """Draw network, signal, operator and noise from one key."""
        require_scalars(self, *_SCALARS)
        return _draw(self, checks.key("sample", key))

    def initial(self, key: Any, num_restarts: int | None = None) -> Float[Array, "*restarts k"]:
        """Draw a start N(0, c^{-d} I_k), shape (k,), or (num_restarts, k).

        In the papers' scaling (c = 1) this is N(0, I_k); other scalings give the same start.
        Independent of ``sample`` with the same key.
        """
        key = checks.key("initial", key)
        require_scalars(self, "active_latent", "weight_scale")
        shape = self.widths[:1]
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return _draw_start(self, key, shape)

    def _latent_mask(self) -> Array | None:
        return active_mask(self.active_latent, self.widths[0])

    def _size(self) -> int:
        return self.widths[-1] if self.num_measurements is None else self.num_measurements

    def _operator(self, key: Array) -> Dense | Identity:
        if self.num_measurements is None:
            return Identity(self.widths[-1:])
        shape = (self.num_measurements, self.widths[-1])
        return Dense(gaussian_matrix(key, shape, self.active_measurements, self.dtype))


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _draw(family: GenerativeFamily, key: Array) -> Problem:
    root = jax.random.fold_in(key, _PROBLEM)
    weight_key, latent_key, operator_key, noise_key = jax.random.split(root, 4)
    latent_mask = family._latent_mask()
    weights = random_weights(weight_key, family.widths, family.weight_scale, family.dtype)
    prior = Relu((masked(weights[0], latent_mask), *weights[1:]))
    operator = family._operator(operator_key)
    direction = jax.random.normal(latent_key, family.widths[:1], family.dtype)
    direction = masked(direction, latent_mask)
    # G is positively homogeneous, so scaling the latent sets the norm of the signal
    scale = numerics.safe_divide(family.signal_norm, numerics.safe_norm(prior(direction)))
    u = direction * scale.astype(family.dtype)
    x = prior(u)
    levels = (family.noise_norm, family.noise_std)
    row_mask = active_mask(family.active_measurements, family._size())
    noise = gaussian_noise(noise_key, (family._size(),), family.dtype, levels, row_mask)
    return Problem(operator, operator(x) + noise, prior, Truth(u, x, noise))


@partial(jax.jit, static_argnums=2, inline=True)
def _draw_start(family: GenerativeFamily, key: Array, shape: tuple[int, ...]) -> Array:
    root = jax.random.fold_in(key, _START)
    depth = len(family.widths) - 1
    scale = jnp.asarray(family.weight_scale, family.dtype) ** (-depth / 2)
    start = scale * jax.random.normal(root, shape, family.dtype)
    return masked(start, family._latent_mask())


def generative(
    widths: Sequence[int] | None = None,
    num_measurements: int | None = None,
    *,
    generator: Generator | None = None,
    active_latent: Any = None,
    active_measurements: Any = None,
    noise_norm: Any = 0.0,
    noise_std: Any = 0.0,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> GenerativeFamily | GeneratorFamily:
    r"""Make the family of recovery problems of random ReLU networks, or of a given generator.

    .. math:: y = A\, G(z^*) + \eta, \qquad A_{ij} \sim N(0, 1/m), \quad \|G(z^*)\| = r

    Every trial draws its own network, operator, signal and noise. ``widths`` and
    ``num_measurements`` are maxima: with ``active_latent`` = k and ``active_measurements`` = m
    (numbers that may be traced) the problem is padded, so that a whole (k, m) grid compiles
    once. Padding sets columns of W_1 and rows of A to zero; the problem that is left has
    exactly the distribution of the unpadded one.

    With ``generator``, fixed or trained, all trials share G, and the truth is z* ~ N(0, I) with
    the signal G(z*) as it is.

    Args:
        widths: (k, n_1, ..., n), as in ``generators.relu``; None with ``generator``.
        num_measurements: m, or None for denoising: A is then the identity, m = n.
        generator: G, any generator whose latent has a known shape; signals of several axes are
            measured row by row. It takes no ``active_latent``, ``signal_norm``, ``weight_scale``.
        active_latent: k in use, in [1, widths[0]]; default all.
        active_measurements: m in use, in [1, num_measurements]; default all. A scales with it.
        noise_norm: ‖η‖ of noise with a fixed norm and random direction, >= 0.
        noise_std: standard deviation of Gaussian noise per measurement, >= 0; the two kinds
            cannot be combined. (The papers' denoising noise σ²/n I is ``noise_std`` σ/√n.)
        signal_norm: r > 0, the norm of the true signal; default 1.
        weight_scale: c of ``generators.relu``; default 2.
        dtype: real floating type of every array.

    Returns:
        A family with ``sample(key)``, ``initial(key)``, ``batch(keys)`` and ``axes``.

    Raises:
        ValueError: sizes that are not positive, or active sizes above the maxima.

    Notes: a network that is 0 at the latent drawn (with probability about 2^{-n_1}, so only a
        very narrow one) has no signal of norm r: the truth is then 0.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = generative(widths=(5, 50, 100), num_measurements=40)
        >>> problem = family.sample(jax.random.key(0))
        >>> problem.y.shape, float(jax.numpy.linalg.norm(problem.truth.x).round(4))
        ((40,), 1.0)
        >>> G = ji.generators.relu(jax.random.key(1), (5, 50, 100))
        >>> family = generative(generator=G, num_measurements=40, noise_std=0.1)
        >>> family.batch(jax.random.split(jax.random.key(0), 3)).y.shape
        (3, 40)

    Source: Hand, Voroninski (2019); protocol of Cocola (2022), appendix H.
    """
    where = "generative"
    shared = {
        **_checked_measurements(where, num_measurements, active_measurements),
        **_checked_noise(where, noise_norm, noise_std),
        "dtype": checks.float_type(where, dtype, real=True),
    }
    if generator is not None:
        given = {
            "widths": widths,
            "active_latent": active_latent,
            "signal_norm": signal_norm,
            "weight_scale": weight_scale,
        }
        for name, value in given.items():
            if value is not None:
                checks.fail(where, name, "be None: the generator is given", value)
        return fixed_generator(where, generator, **shared)
    sizes = checks.sizes(where, "widths", widths)
    if len(sizes) < 2:
        checks.fail(where, "widths", "be (k, n_1, ..., n) with at least one layer", sizes)
    return GenerativeFamily(
        active_latent=active_size(where, "active_latent", active_latent, sizes[0], "widths[0]"),
        signal_norm=checks.positive(where, "signal_norm", _default(signal_norm, 1.0)),
        weight_scale=checks.positive(where, "weight_scale", _default(weight_scale, 2.0)),
        widths=sizes,
        **shared,
    )


def _default(value: Any, default: float) -> Any:
    return default if value is None else value


def _checked_measurements(where: str, num_measurements: Any, active: Any) -> dict[str, Any]:
    if num_measurements is None:
        if active is not None:
            checks.fail(where, "active_measurements", "be None for denoising", active)
        return {"num_measurements": None, "active_measurements": None}
    largest = checks.count(where, "num_measurements", num_measurements)
    active = active_size(where, "active_measurements", active, largest, "num_measurements")
    return {"num_measurements": largest, "active_measurements": active}


def _checked_noise(where: str, noise_norm: Any, noise_std: Any) -> dict[str, Any]:
    noise_norm = checks.nonnegative(where, "noise_norm", noise_norm)
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    if isinstance(noise_norm, float) and isinstance(noise_std, float) and noise_norm * noise_std:
        got = f"{noise_norm} and {noise_std}"
        checks.fail(where, "noise_norm and noise_std", "not both be set", got)
    return {"noise_norm": noise_norm, "noise_std": noise_std}
