"""Recovery of signals in the range of a network, for any measurement model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.generators import Generator
from jaxinv.generators._relu import Relu, random_weights
from jaxinv.operators import LinearOperator, Operator
from jaxinv.problems._fixed_generator import FixedGenerator, fixed_generator
from jaxinv.problems._own_generator import OwnGenerator
from jaxinv.problems._problem import (
    Family,
    Problem,
    Truth,
    active_mask,
    active_size,
    gaussian_noise,
    gaussian_operator,
    masked,
    num_starts,
    require_scalars,
)

_PROBLEM, _START = 0, 1  # streams of one trial's key


Draw = tuple[Operator, Any, Any]  # operator, measurements, noise


class Rows(NamedTuple):
    """How many measurements there are: the static maximum (None: n), and those in use."""

    size: int | None
    active: Any

    @property
    def mask(self) -> Array | None:
        """Which are in use; None for all."""
        return None if self.size is None else active_mask(self.active, self.size)

    @property
    def in_use(self) -> Any:
        """How many are in use."""
        return self.size if self.active is None else self.active


class Model:
    """A measurement model; its arrays are leaves of the family."""

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        """Measure a signal with keys of the operator and of the noise, which has two levels."""
        raise NotImplementedError


@pytree
class Linear(Model):
    """A x with entries of A N(0, 1/m); x itself where no number of measurements is given."""

    def wrapped(self, linear: LinearOperator) -> Operator:
        """Return the operator that measures, given its linear part."""
        return linear

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        operator = self.wrapped(gaussian_operator(keys[0], x, rows))
        clean = operator(x)
        noise = gaussian_noise(keys[1], clean.shape, clean.dtype, levels, rows.mask)
        return operator, clean + noise, noise


@pytree
class Networks:
    """A random ReLU network a trial, and a signal of a given norm in its range."""

    active_latent: Any
    signal_norm: Any
    weight_scale: Any
    widths: tuple[int, ...] = static()
    dtype: Any = static()

    is_shared = False
    num_keys = 2  # of a draw: of the network, of the signal

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Shape of x."""
        return self.widths[-1:]

    def check(self) -> None:
        """Refuse arrays where one number is meant."""
        require_scalars(self, "active_latent", "signal_norm", "weight_scale")

    def with_latent(self, latent: Any) -> Networks:
        """Return the source with k in use below its maximum."""
        names = ("with_active", "latent", latent, self.widths[0], "widths[0]")
        return replace(self, active_latent=active_size(*names))

    def draw(self, weight_key: Array, latent_key: Array) -> tuple[Generator, Array, Array]:
        """Return a network, a latent and its signal."""
        latent_mask = active_mask(self.active_latent, self.widths[0])
        weights = random_weights(weight_key, self.widths, self.weight_scale, self.dtype)
        prior = Relu((masked(weights[0], latent_mask), *weights[1:]))
        direction = jax.random.normal(latent_key, self.widths[:1], self.dtype)
        direction = masked(direction, latent_mask)
        # G is positively homogeneous, so scaling the latent sets the norm of the signal
        scale = numerics.safe_divide(self.signal_norm, numerics.safe_norm(prior(direction)))
        u = direction * scale.astype(self.dtype)
        return prior, u, prior(u)

    def start(self, key: Array, batch: tuple[int, ...]) -> Array:
        """Return starts N(0, c^{-d} I_k), of the shape (*batch, k)."""
        return _start(self, key, batch)


@partial(jax.jit, static_argnums=2, inline=True)
def _start(source: Networks, key: Array, batch: tuple[int, ...]) -> Array:
    depth = len(source.widths) - 1
    scale = jnp.asarray(source.weight_scale, source.dtype) ** (-depth / 2)
    shape = (*batch, source.widths[0])
    start = scale * jax.random.normal(key, shape, source.dtype)
    return masked(start, active_mask(source.active_latent, source.widths[0]))


@pytree
class GenerativeFamily(Family):
    """Measurements of signals of a network; see ``generative`` and the other models."""

    source: Networks | FixedGenerator | OwnGenerator
    model: Model
    active_measurements: Any
    noise_norm: Any
    noise_std: Any
    num_measurements: int | None = static()

    @property
    def axes(self) -> Problem:
        """All trials share a generator that was given; the rest differs."""
        return Problem(operator=0, y=0, prior=None if self.source.is_shared else 0, truth=0)

    def with_active(self, latent: Any = None, measurements: Any = None) -> GenerativeFamily:
        """Return the family with k and m in use below its maxima; both may be traced."""
        changes: dict[str, Any] = {}
        if latent is not None:
            changes["source"] = self.source.with_latent(latent)
        if measurements is not None:
            size = self.num_measurements
            if size is None:
                checks.fail("with_active", "measurements", "be None for denoising", measurements)
            names = ("with_active", "measurements", measurements, size, "num_measurements")
            changes["active_measurements"] = active_size(*names)
        return replace(self, **changes)

    def sample(self, key: Any) -> Problem:
        """Draw network (unless it was given), signal, operator and noise from one key."""
        self.source.check()
        require_scalars(self, "active_measurements", "noise_norm", "noise_std")
        (operator, y, noise), prior, u, x = _draw(self, checks.key("sample", key))
        if not isinstance(self.source, Networks) and self.source.is_shared:
            prior = self.source.prior  # outside of the program, so that it is not copied
        return Problem(operator, y, prior, Truth(u, x, noise))

    def initial(self, key: Any, num_restarts: int | None = None) -> Float[Array, "..."]:
        """Draw a start N(0, c^{-d} I_k), or (num_restarts, k) of them; N(0, I) if G was given.

        In the papers' scaling (c = 1) this is N(0, I_k); other scalings give the same start.
        Independent of ``sample`` with the same key.
        """
        root = jax.random.fold_in(checks.key("initial", key), _START)
        self.source.check()
        batch = () if num_restarts is None else (num_starts(num_restarts),)
        return self.source.start(root, batch)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _draw(family: GenerativeFamily, key: Array) -> tuple[Draw, Any, Array, Array]:
    source = family.source
    root = jax.random.fold_in(key, _PROBLEM)
    *drawn, operator_key, noise_key = jax.random.split(root, source.num_keys + 2)
    prior, u, x = source.draw(*drawn)
    rows = Rows(family.num_measurements, family.active_measurements)
    levels = (family.noise_norm, family.noise_std)
    measured = family.model.draw((operator_key, noise_key), x, rows, levels)
    return measured, None if source.is_shared else prior, u, x


def make_family(
    where: str, model: Model, measurements: tuple[Any, Any], noise: tuple[Any, Any], **source: Any
) -> GenerativeFamily:
    """Return a family of a model; refuse what its arguments cannot mean."""
    size, active = checked_rows(where, *measurements)
    noise_norm, noise_std = checked_levels(where, *noise)
    return GenerativeFamily(
        source=checked_source(where, **source),
        model=model,
        active_measurements=active,
        noise_norm=noise_norm,
        noise_std=noise_std,
        num_measurements=size,
    )


def checked_source(
    where: str,
    widths: Any,
    generator: Any,
    *,
    active_latent: Any,
    signal_norm: Any,
    weight_scale: Any,
    dtype: Any,
) -> Networks | FixedGenerator:
    """Return the source that the arguments of a family describe; refuse what does not fit."""
    dtype = checks.float_type(where, dtype, real=True)
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
        return fixed_generator(where, generator, dtype)
    if widths is None:
        checks.fail(where, "widths or generator", "be given, one of the two", "neither")
    sizes = network_sizes(where, "widths", widths)
    signal_norm = 1.0 if signal_norm is None else signal_norm
    weight_scale = 2.0 if weight_scale is None else weight_scale
    return Networks(
        active_latent=active_size(where, "active_latent", active_latent, sizes[0], "widths[0]"),
        signal_norm=checks.positive(where, "signal_norm", signal_norm),
        weight_scale=checks.positive(where, "weight_scale", weight_scale),
        widths=sizes,
        dtype=dtype,
    )


def network_sizes(where: str, argument: str, widths: Any) -> tuple[int, ...]:
    """Return the widths of a network of at least one layer."""
    sizes = checks.sizes(where, argument, widths)
    if len(sizes) < 2:
        checks.fail(where, argument, "be (k, n_1, ..., n) with at least one layer", sizes)
    return sizes


def checked_rows(where: str, num_measurements: Any, active: Any) -> Rows:
    """Return how many measurements a family has; None for as many as the signal has entries."""
    if num_measurements is None:
        if active is not None:
            checks.fail(where, "active_measurements", "be None for denoising", active)
        return Rows(None, None)
    largest = checks.count(where, "num_measurements", num_measurements)
    active = active_size(where, "active_measurements", active, largest, "num_measurements")
    return Rows(largest, active)


def checked_levels(where: str, noise_norm: Any, noise_std: Any) -> tuple[Any, Any]:
    """Return the two levels of noise, one of which is 0."""
    noise_norm = checks.nonnegative(where, "noise_norm", noise_norm)
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    if isinstance(noise_norm, float) and isinstance(noise_std, float) and noise_norm * noise_std:
        got = f"{noise_norm} and {noise_std}"
        checks.fail(where, "noise_norm and noise_std", "not both be set", got)
    return noise_norm, noise_std


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
) -> GenerativeFamily:
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
        A family with ``sample(key)``, ``initial(key)``, ``batch(keys)``, ``axes`` and
        ``with_active(latent, measurements)``.

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
    return make_family(
        "generative",
        Linear(),
        (num_measurements, active_measurements),
        (noise_norm, noise_std),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )
