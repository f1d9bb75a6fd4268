"""Spiked matrices whose spike is a signal of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, pytree, replace, static
from jaxinv.generators import Generator, copies
from jaxinv.problems._generative import GenerativeFamily, Networks, make_family
from jaxinv.problems._models import Wigner, Wishart

_MODELS = ("wigner", "wishart")


@pytree
class Several(Networks):
    """A random ReLU network a trial, and several signals in its range, each of a given norm."""

    count: int = static()

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Shape of x."""
        return (self.count, *super().signal_shape)

    def draw(self, weight_key: Array, latent_key: Array) -> tuple[Generator, Array, Array]:
        """Return a network, latents and their signals."""
        keys = jax.random.split(latent_key, self.count)
        draw = jax.vmap(super().draw, in_axes=(None, 0), out_axes=(None, 0, 0))
        prior, u, x = draw(weight_key, keys)
        return copies(prior, self.count), u, x

    def start(self, key: Array, batch: tuple[int, ...]) -> Array:
        """Return starts N(0, c^{-d} I_k) of all signals, of the shape (*batch, count, k)."""
        return super().start(key, (*batch, self.count))


def spiked(
    widths: Sequence[int] | None = None,
    num_measurements: int | None = None,
    *,
    model: str = "wigner",
    noise_std: Any = 1.0,
    rank: int = 1,
    generator: Generator | None = None,
    active_latent: Any = None,
    active_measurements: Any = None,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> GenerativeFamily:
    r"""Make the family of spiked matrices, principal components with a generative prior.

    .. math:: \text{Wigner:} \quad & M = x x^\top + \nu H, \qquad
        H_{ij} = H_{ji} \sim N(0, 1/n), \; H_{ii} \sim N(0, 2/n) \\
        \text{Wishart:} \quad & M = \tfrac1N \textstyle\sum_i s_i s_i^\top - \sigma^2 I, \qquad
        s_i = u_i x + \sigma z_i, \; u_i \sim N(0, 1), \; z_i \sim N(0, I)

    with x = G(z*). The loss is ¼‖G(z) G(z)ᵀ − M‖², by the structured misfit of
    ``operators.outer``. Padded as ``generative`` is; N takes the place of m.

    With ``rank`` r > 1 there are r spikes x_j = G(z_j) in the range of one network, each of norm
    ``signal_norm``: Σ_j x_j x_jᵀ takes the place of x xᵀ, and Σ_j u_ij x_j that of u_i x. Signals
    have shape (r, n), the unknown (r, k). The matrix alone tells the spikes up to an orthogonal
    mixture; that each lies in the range leaves their order, unless they lie in one linear piece
    of G. ``metrics.outer_error`` compares.

    Args:
        widths: (k, n_1, ..., n), maxima; as in ``generative``, as are ``active_latent``,
            ``generator``, ``signal_norm``, ``weight_scale`` and ``dtype``.
        num_measurements: N >= 1 of Wishart, a maximum; None for Wigner.
        model: ``"wigner"`` or ``"wishart"``.
        noise_std: ν, or σ, >= 0; may be traced.
        rank: r, the number of spikes, from 1 (vectors, no axis of spikes) to k.
        active_measurements: N in use, in [1, num_measurements]; default all; may be traced.

    Returns:
        A family; its operator is ``operators.outer(n)``. y is an (n, n) array for Wigner, and
        for Wishart an operator v ↦ Xᵀ(X v) − σ² v of N n numbers, where no (n, n) array is
        made; ``truth.noise`` is None then.

    Raises:
        ValueError: as ``generative``; signals of several axes; a rank above k.

    Notes: the errors of a good estimate are about ν √(k/n), and σ √((1 + σ²) k/N) at ‖x‖ = 1,
        of one spike.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = spiked((3, 50, 200), noise_std=0.3)
        >>> problem = family.sample(jax.random.key(0))
        >>> solver = ji.solvers.levenberg_marquardt(num_restarts=4)
        >>> found = ji.solve(solver, problem, family.initial(jax.random.key(0), 4))
        >>> bool(ji.metrics.relative_error(found.x, problem.truth.x) < 0.1)
        True

    Source: Cocola, Hand, Voroninski (2020), "Nonasymptotic guarantees for spiked matrix
        recovery with generative priors"; Liu, Liu, Ghosh, Han, Scarlett (2022), "Generative
        principal component analysis", whose matrices have rank one.
    """
    where = "spiked"
    rank = checks.count(where, "rank", rank)
    checks.choice(where, "model", model, _MODELS)
    if model == "wigner":
        for name, value in (
            ("num_measurements", num_measurements),
            ("active_measurements", active_measurements),
        ):
            if value is not None:
                checks.fail(where, name, 'be None for model="wigner"', value)
    else:
        num_measurements = checks.count(where, "num_measurements", num_measurements)
    family = make_family(
        where,
        Wigner() if model == "wigner" else Wishart(),
        (num_measurements, active_measurements),
        (0.0, noise_std),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )
    shape = family.source.signal_shape
    if len(shape) != 1:
        checks.fail(where, "generator", "have signals of shape (n,)", f"{shape}")
    checks.count(where, "widths[-1]", shape[0], maximum=46340)
    return family if rank == 1 else _of_rank(where, rank, family)


def _of_rank(where: str, rank: int, family: GenerativeFamily) -> GenerativeFamily:
    """Return the family with several spikes in place of one."""
    source = family.source
    is_drawn = isinstance(source, Networks)
    k = source.widths[0] if is_drawn else math.prod(source.prior.in_shape or ())
    if is_drawn and checks.is_concrete(source.active_latent):
        k = k if source.active_latent is None else int(np.min(source.active_latent))
    if rank > k:
        hint = "Use a network with a larger latent, or fewer spikes."
        checks.fail(where, "rank", f"be at most k = {k}, the size of the latent", rank, hint)
    if not is_drawn:
        return replace(family, source=replace(source, generator=copies(source.prior, rank)))
    spikes = Several(
        source.active_latent, source.signal_norm, source.weight_scale,
        source.widths, source.dtype, rank,
    )  # fmt: skip
    return replace(family, source=spikes)
