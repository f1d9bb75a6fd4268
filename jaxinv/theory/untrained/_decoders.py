"""Under-parameterized decoders: noise they cannot fit, signals they identify and compress."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics
from jaxinv._core.numerics import largest_mask
from jaxinv.generators._two_layer_decoder import TwoLayerDecoder
from jaxinv.operators import gaussian, identity, wavelet
from jaxinv.problems import Problem
from jaxinv.solvers import gradient, solve
from jaxinv.theory.untrained._inputs import real_signal, require_decoder, require_prior


class NoiseBound(NamedTuple):
    """How much of the energy of noise a two-layer decoder can fit.

    Attributes:
        fitted: with high probability no parameters fit more than this share of ‖η‖².
        residual: 1 − ``fitted``, a bound from below of min ‖G(w) − η‖²/‖η‖².
        rate: p log n / n, the share up to a constant.
        constant: ``fitted / rate``, the constant c that the published form needs here.
    """

    fitted: float
    residual: float
    rate: float
    constant: float


class NoiseFit(NamedTuple):
    """Noise fitted by a decoder.

    Attributes:
        measured: ‖G(ŵ) − η‖²/‖η‖² of the best of several descents.
        subspace: least residual in the linear piece that the best descent ended in.
        bound: of ``noise_bound``.
        holds: whether both are at least ``bound.residual``.
    """

    measured: Array
    subspace: Array
    bound: NoiseBound
    holds: Array


class DecoderRecovery(NamedTuple):
    """Recovery of signals in a decoder's range from Gaussian measurements.

    Attributes:
        measured: ‖G(ŵ) − x*‖/‖x*‖.
        bound: largest ``measured`` that counts as recovered, the ``tolerance``.
        misfit: ‖A G(ŵ) − y‖/‖y‖: a descent that did not fit y says nothing about uniqueness.
        enough: 2 k², measurements from which on the signal is unique.
        unique: whether m is at least that.
        holds: whether a signal that is unique and was fitted was also recovered.
    """

    measured: Array
    bound: float
    misfit: Array
    enough: int
    unique: bool
    holds: Array


class Compression(NamedTuple):
    """One image in as many numbers, by a decoder and by its largest wavelet coefficients.

    Attributes:
        measured: ‖G(ŵ) − x‖/‖x‖.
        bound: the same of the wavelet approximation.
        num_parameters: numbers stored by either (the wavelet's positions come on top).
        holds: whether the decoder is at least as close.
    """

    measured: Array
    bound: Array
    num_parameters: int
    holds: Array


def noise_bound(
    size: int, num_channels: int, *, failure_probability: float | int = 0.01
) -> NoiseBound:
    r"""Bound the share of Gaussian noise that a two-layer decoder of k channels can fit.

    .. math:: \min_w \|G(w) - \eta\|^2 \ge \|\eta\|^2 \Bigl( 1 - c \frac{p \log n}{n} \Bigr),
        \qquad p = k^2 + k

    computed without an unknown c. For given activations G(w) lies in a subspace of dimension
    d = k²; a column of n signs that k variables make takes at most 2 Σ_{j<k} (n−1 choose j)
    patterns, so there are N <= that^k subspaces; and the share of η in one of them exceeds q
    with probability at most exp(−n/2 KL(d/n ‖ q)). The union over them gives

    .. math:: \log N - \tfrac n2 \, \mathrm{KL}(d/n \,\|\, q) = \log \delta

    Args:
        size: n, outputs.
        num_channels: k, with k² < n.
        failure_probability: δ in (0, 1), for all w at once.

    Returns:
        ``NoiseBound(fitted, residual, rate, constant)``.

    Raises:
        ValueError: k² >= n, where a decoder may fit anything.

    Cost: a bisection on the host.

    Notes: B_0 and U_0 are arbitrary. For k² well below n / log n it says something; for sizes
        in between the bound is valid but near 0.

    Example:
        >>> found = noise_bound(4096, 4)
        >>> 0 < found.fitted < 0.2
        True

    Source: Heckel, Hand (2019), Proposition 1; Proposition 2 of Scarlett, Heckel, Rodrigues,
    Hand, Eldar (2022). The constant is derived here: Cover (1965); Dasgupta, Gupta (2003).
    """
    where = "noise_bound"
    n = checks.count(where, "size", size, minimum=2)
    k = checks.count(where, "num_channels", num_channels)
    delta = checks.share(where, "failure_probability", failure_probability, single=True)
    if k * k >= n:
        checks.fail(where, "num_channels", f"be below √n = {math.sqrt(n):.4g}", k)
    patterns = 2 * sum(math.comb(n - 1, j) for j in range(k))
    needed = (k * math.log(patterns) - math.log(delta)) * 2 / n
    share = k * k / n
    low, high = share, 1.0
    for _ in range(60):
        q = (low + high) / 2
        divergence = share * math.log(share / q)
        divergence += (1 - share) * (math.log1p(-share) - math.log1p(-q)) if q < 1 else math.inf
        low, high = (q, high) if divergence < needed else (low, q)
    rate = (k * k + k) * math.log(n) / n
    return NoiseBound(high, 1 - high, rate, high / rate)


def check_noise_fit(
    decoder: TwoLayerDecoder,
    key: Any,
    *,
    num_starts: int = 4,
    num_steps: int = 2000,
    learning_rate: float | int = 0.02,
) -> NoiseFit:
    r"""Fit a two-layer decoder to Gaussian noise as well as descent can; compare with the bound.

    Args:
        decoder: ``generators.two_layer_decoder(n, k)`` with k² < n.
        key: JAX PRNG key of the noise and of the starts.
        num_starts: descents; the best is taken by its own loss.
        num_steps: Adam steps of each.
        learning_rate: of Adam.

    Returns:
        ``NoiseFit(measured, subspace, bound, holds)``. The problem is not convex: what is
        measured is an upper bound of the minimum, which the theorem bounds from below.

    Raises:
        TypeError: another network.
        ValueError: numbers out of range.

    Cost: ``num_starts · num_steps`` passes, and an SVD of n × k².

    Example:
        >>> import jax, jaxinv as ji
        >>> found = check_noise_fit(ji.generators.two_layer_decoder(64, 3), jax.random.key(0),
        ...                   num_starts=2, num_steps=200)
        >>> bool(found.holds), 0.5 < float(found.measured) < 1
        (True, True)

    Source: as ``noise_bound``.
    """
    where = "check_noise_fit"
    require_decoder(where, decoder)
    key = checks.key(where, key)
    (size,) = decoder.out_shape
    bound = noise_bound(size, decoder.num_channels)
    for_noise, for_start = jax.random.split(key)
    noise = _noise(for_noise, size, decoder.upsampling.dtype)
    problem = Problem(identity((size,)), noise, decoder)
    params = _fit(where, problem, for_start, num_starts, num_steps, learning_rate)
    measured, subspace, holds = _fitted(decoder, params, noise, bound.residual)
    found = NoiseFit(measured, subspace, bound, holds)
    return checks.no_nan(where, "decoder and learning_rate", found)


@partial(jax.jit, static_argnums=(1, 2))
def _noise(key: Array, size: int, dtype: Any) -> Array:
    return jax.random.normal(key, (size,), dtype)


@jax.jit
def _fitted(
    decoder: TwoLayerDecoder, params: Any, noise: Array, least: Array
) -> tuple[Array, Array, Array]:
    """Return the residual energy of a fit, and the least in the linear piece it ended in."""
    energy = numerics.sum_squares(noise)
    measured = numerics.sum_squares(decoder(params) - noise) / energy
    channels = numerics.matmul(decoder.upsampling.astype(noise.dtype), decoder.z)
    active = numerics.matmul(channels, params["W0"]) > 0
    columns = (active[:, :, None] * channels[:, None, :]).reshape(noise.size, -1)
    left, singular, _ = jnp.linalg.svd(columns, full_matrices=False)
    kept = singular > noise.size * jnp.finfo(noise.dtype).eps * singular[0]
    inside = numerics.matmul(left.T, noise) * kept
    subspace = 1 - numerics.sum_squares(inside) / energy
    return measured, subspace, jnp.minimum(measured, subspace) >= least


def check_decoder_recovery(
    decoder: TwoLayerDecoder,
    key: Any,
    num_measurements: int,
    *,
    num_starts: int = 8,
    num_steps: int = 3000,
    learning_rate: float | int = 0.02,
    tolerance: float | int = 0.05,
) -> DecoderRecovery:
    r"""Recover a signal of a two-layer decoder's range from Gaussian measurements.

    The range lies in a union of finitely many subspaces of dimension k². Two of them span at
    most 2 k² dimensions, on which A is injective with probability 1 once m >= 2 k²: then only
    one signal of the range agrees with y = A x*. That no more is needed says nothing about
    descent, which may end in a local minimum.

    Args:
        decoder: ``generators.two_layer_decoder(n, k)``.
        key: JAX PRNG key of x* = G(w*), A and the starts.
        num_measurements: m.
        num_starts, num_steps, learning_rate: as ``check_noise_fit``.
        tolerance: relative error that counts as recovered, and tenfold misfit as not fitted.

    Returns:
        ``DecoderRecovery(measured, bound, misfit, enough, unique, holds)``.

    Raises:
        TypeError, ValueError: as ``check_noise_fit``.

    Cost: ``num_starts · num_steps`` passes.

    Example:
        >>> import jax, jaxinv as ji
        >>> decoder = ji.generators.two_layer_decoder(64, 2)
        >>> found = check_decoder_recovery(decoder, jax.random.key(0), 16,
        ...                                num_starts=2, num_steps=300)
        >>> found.enough, found.unique, bool(found.holds)
        (8, True, True)

    Source: section III-B of Scarlett, Heckel, Rodrigues, Hand, Eldar (2022); 2 k² is derived
    here, as for sparse vectors.
    """
    where = "check_decoder_recovery"
    require_decoder(where, decoder)
    m = checks.count(where, "num_measurements", num_measurements)
    tolerance = checks.positive(where, "tolerance", tolerance)
    (size,), dtype = decoder.out_shape, decoder.upsampling.dtype
    for_truth, for_operator, for_start = jax.random.split(checks.key(where, key), 3)
    operator = gaussian(for_operator, m, size, dtype=dtype)
    signal, y = _measured(decoder, operator, for_truth)
    checks.finite(where, "decoder", signal, "This is a signal that it makes.")
    problem = Problem(operator, y, decoder)
    params = _fit(where, problem, for_start, num_starts, num_steps, learning_rate)
    enough = 2 * decoder.num_channels**2
    measured, misfit, holds = _errors(problem, params, signal, tolerance, m >= enough)
    found = DecoderRecovery(measured, tolerance, misfit, enough, m >= enough, holds)
    return checks.no_nan(where, "decoder and learning_rate", found)


@jax.jit
def _measured(decoder: TwoLayerDecoder, operator: Any, key: Array) -> tuple[Array, Array]:
    signal = decoder(decoder.init(key))
    return signal, operator(signal)


@jax.jit
def _errors(
    problem: Problem, params: Any, signal: Array, tolerance: Any, unique: Any
) -> tuple[Array, Array, Array]:
    """Return the relative error and misfit, and whether what had to be recovered was."""
    found = problem.prior(params)
    measured = numerics.safe_norm(found - signal) / numerics.safe_norm(signal)
    misfit = numerics.safe_norm(problem.residual(params)) / numerics.safe_norm(problem.y)
    fitted = misfit <= tolerance / 10
    return measured, misfit, ~unique | ~fitted | (measured <= tolerance)


def check_compression(
    prior: Any,
    image: Num[ArrayLike, "*shape"],
    *,
    num_steps: int = 2000,
    learning_rate: float | int = 0.01,
    name: str = "db4",
    levels: int = 3,
) -> Compression:
    r"""Represent an image by an untrained network's parameters, beside as many wavelet terms.

    Args:
        prior: any untrained prior with fewer parameters than the image has entries.
        image: x, of ``prior.out_shape``, with sizes divisible by ``2**levels``; real.
        num_steps: Adam steps from ``prior.params``.
        learning_rate: of Adam.
        name, levels: wavelet, as ``operators.wavelet``.

    Returns:
        ``Compression(measured, bound, num_parameters, holds)``.

    Raises:
        ValueError: more parameters than entries, shapes that do not fit.

    Cost: ``num_steps`` forward and backward passes.

    Notes: that decoders beat wavelets is reported for photographs of 512 × 512 at 30-fold
        compression; for small or random images it need not be so, and ``holds`` tells.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> prior = ji.generators.two_layer_decoder(64, 3)
        >>> wave = 2 + jnp.sin(jnp.arange(64) / 10)
        >>> found = check_compression(prior, wave, num_steps=300)
        >>> found.num_parameters, bool(found.holds)  # so few terms say more of a sine
        (12, False)

    Source: Heckel, Hand (2019), section 3; section III-B of Scarlett, Heckel, Rodrigues, Hand,
    Eldar (2022).
    """
    where = "check_compression"
    require_prior(where, prior)
    image = real_signal(where, "image", image, prior.out_shape, nonzero=True)
    transform = wavelet(image.shape, name, levels)
    num_parameters = prior.num_parameters
    if num_parameters >= image.size:
        expected = f"have fewer parameters than the {image.size} entries"
        checks.fail(where, "prior", expected, f"{num_parameters}")
    problem = Problem(identity(image.shape), image, prior)
    rate = checks.positive(where, "learning_rate", learning_rate, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    found = solve(gradient(_adam(rate)), problem, prior.params, tol=0, max_steps=num_steps).x
    measured, bound = _approximations(transform, image, found, num_parameters)
    found = Compression(measured, bound, num_parameters, measured <= bound)
    return checks.no_nan(where, "image, prior and learning_rate", found)


@partial(jax.jit, static_argnums=3)
def _approximations(
    transform: Any, image: Array, found: Array, num_parameters: int
) -> tuple[Array, Array]:
    """Return the relative error of the fit, and of as many wavelet terms."""
    terms = transform(image)
    kept = jnp.where(largest_mask(terms.ravel(), num_parameters).reshape(terms.shape), terms, 0)
    size = numerics.safe_norm(image)
    measured = numerics.safe_norm(found - image) / size
    return measured, numerics.safe_norm(transform.adjoint(kept) - image) / size


def _adam(learning_rate: Any) -> Any:
    import optax

    return (
        _one_adam(learning_rate) if checks.is_concrete(learning_rate) else optax.adam(learning_rate)
    )


@lru_cache(maxsize=16)
def _one_adam(learning_rate: float) -> Any:
    """Return one object for each rate, so that it traces once."""
    import optax

    return optax.adam(learning_rate)


def _fit(
    where: str, problem: Problem, key: Array, num_starts: Any, num_steps: Any, learning_rate: Any
) -> Any:
    """Return the parameters with the lowest loss of several descents."""
    num_starts = checks.count(where, "num_starts", num_starts)
    num_steps = checks.count(where, "num_steps", num_steps)
    rate = checks.positive(where, "learning_rate", learning_rate, single=True)
    keys = jax.random.split(key, num_starts)
    solver = gradient(_adam(rate), num_restarts=num_starts)
    starts = jax.vmap(problem.prior.init)(keys)
    if num_starts == 1:
        starts = jax.tree.map(lambda leaf: leaf[0], starts)
    return solve(solver, problem, starts, tol=0, max_steps=num_steps).u
