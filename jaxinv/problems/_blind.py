"""Blind demodulation: the entrywise product of signals of two networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, numerics, pytree, replace
from jaxinv.generators import product
from jaxinv.operators import identity
from jaxinv.problems._generative import Networks, checked_levels, network_sizes
from jaxinv.problems._problem import (
    Family,
    Problem,
    Truth,
    active_size,
    gaussian_noise,
    num_starts,
    require_scalars,
)

_PROBLEM, _START = 0, 1  # streams of one trial's key
Pair = tuple[Float[Array, "*restarts k"], Float[Array, "*restarts p"]]


@pytree
class BlindFamily(Family):
    """Products of signals of two networks; see ``blind_demodulation``."""

    first: Networks
    second: Networks
    signal_norm: Any
    noise_norm: Any
    noise_std: Any

    def with_active(self, first: Any = None, second: Any = None) -> BlindFamily:
        """Return the family with latents in use below their maxima; both may be traced."""
        changes = {}
        if first is not None:
            changes["first"] = self.first.with_latent(first)
        if second is not None:
            changes["second"] = self.second.with_latent(second)
        return replace(self, **changes)

    def sample(self, key: Any) -> Problem:
        """Draw both networks, their latents and the noise from one key."""
        key = checks.key("sample", key)
        self.first.check()
        self.second.check()
        require_scalars(self, "signal_norm", "noise_norm", "noise_std")
        return _draw(self, key)

    def initial(self, key: Any, num_restarts: int | None = None) -> Pair:
        """Draw a pair of starts N(0, c^{-d} I), with a first axis for ``num_restarts``.

        Independent of ``sample`` with the same key.
        """
        root = jax.random.fold_in(checks.key("initial", key), _START)
        batch = () if num_restarts is None else (num_starts(num_restarts),)
        keys = jax.random.split(root)
        return self.first.start(keys[0], batch), self.second.start(keys[1], batch)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _draw(family: BlindFamily, key: Array) -> Problem:
    root = jax.random.fold_in(key, _PROBLEM)
    *keys, noise_key = jax.random.split(root, 5)
    one, u, x = family.first.draw(keys[0], keys[1])
    two, v, w = family.second.draw(keys[2], keys[3])
    # both are homogeneous: each latent takes half of the factor
    share = numerics.safe_divide(jnp.asarray(family.signal_norm), numerics.safe_norm(x * w))
    share = numerics.safe_sqrt(share).astype(x.dtype)
    prior = product(one, two)
    latents = share * u, share * v
    signal = prior(latents)
    levels = (family.noise_norm, family.noise_std)
    noise = gaussian_noise(noise_key, signal.shape, signal.dtype, levels, None)
    truth = Truth(latents, signal, noise)
    return Problem(identity(signal.shape), signal + noise, prior, truth)


def blind_demodulation(
    first_widths: Sequence[int],
    second_widths: Sequence[int],
    *,
    active_first: Any = None,
    active_second: Any = None,
    noise_norm: Any = 0.0,
    noise_std: Any = 0.0,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> BlindFamily:
    r"""Make the family of blind demodulation with two random ReLU networks.

    .. math:: y = G_1(h^*) \odot G_2(m^*) + \eta

    The unknown is the pair (h, m), known up to (c h, m / c): compare signals, not latents. Local
    minima lie near (−ρ h*, m*), (h*, −ρ m*) and (−ρ h*, −ρ m*), so solvers test four signs.

    Args:
        first_widths: (k, n_1, ..., l) of G_1, a maximum.
        second_widths: (p, m_1, ..., l) of G_2, with the same l.
        active_first, active_second: k and p in use; default all; may be traced.
        noise_norm: ‖η‖ of noise with a fixed norm and random direction, >= 0.
        noise_std: standard deviation of Gaussian noise per entry, >= 0.
        signal_norm: r > 0, the norm of the product; default 1.
        weight_scale: c of ``generators.relu`` for both; default 2.
        dtype: real floating type of every array.

    Returns:
        A family whose unknown is a pair; the prior is ``generators.product``.

    Raises:
        ValueError: sizes that are not positive, last widths that differ, active sizes above
            the maxima.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = blind_demodulation((2, 30, 60), (3, 30, 60))
        >>> problem = family.sample(jax.random.key(0))
        >>> solver = ji.solvers.levenberg_marquardt(num_restarts=4)
        >>> found = ji.solve(solver, problem, family.initial(jax.random.key(0), 4))
        >>> bool(ji.metrics.relative_error(found.x, problem.truth.x) < 1e-5)
        True

    Source: Hand, Joshi (2019), "Global guarantees for blind demodulation with generative
        priors".
    """
    where = "blind_demodulation"
    dtype = checks.float_type(where, dtype, real=True)
    scale = checks.positive(where, "weight_scale", 2.0 if weight_scale is None else weight_scale)

    def source(name: str, widths: Any, active: Any) -> Networks:
        sizes = network_sizes(where, f"{name}_widths", widths)
        names = (where, f"active_{name}", active, sizes[0], f"{name}_widths[0]")
        return Networks(active_size(*names), 1.0, scale, sizes, dtype)

    first = source("first", first_widths, active_first)
    second = source("second", second_widths, active_second)
    if first.widths[-1] != second.widths[-1]:
        got = f"{first.widths} and {second.widths}"
        checks.fail(where, "first_widths and second_widths", "end in the same size", got)
    noise_norm, noise_std = checked_levels(where, noise_norm, noise_std)
    norm = checks.positive(where, "signal_norm", 1.0 if signal_norm is None else signal_norm)
    return BlindFamily(first, second, norm, noise_norm, noise_std)
