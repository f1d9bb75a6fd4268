"""The conditions on random networks and measurements, measured over many draws."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float

from jaxinv._core import checks, numerics
from jaxinv.generators._relu import Relu, random_weights
from jaxinv.operators import gaussian
from jaxinv.theory.generative._isometry import range_restricted_isometry
from jaxinv.theory.generative._measurements import (
    log_pieces,
    sufficient_measurements,
    width_conditions,
)
from jaxinv.theory.generative._search import SAMPLING, largest
from jaxinv.theory.generative._weights import (
    range_restricted_weight_distribution,
    weight_distribution,
)


class RandomCondition(NamedTuple):
    """A condition with constant ε, over random draws.

    Attributes:
        measured: the constant found in each draw, shape (num_trials,): the true one is at least
            as large, so that it can refute and not prove.
        bound: ε.
        holds: whether no more than ε was found, shape (num_trials,).
        premise: whether the sizes are those that the statement asks for, with the constant given.
    """

    measured: Float[Array, "trials"]
    bound: float
    holds: Bool[Array, "trials"]
    premise: bool


class NoiseGain(NamedTuple):
    """How strongly noise pulls at a latent, over random draws.

    Attributes:
        measured: the largest ‖Λ_xᵀAᵀη‖/‖η‖ found in each draw, shape (num_trials,).
        bound: ω.
        holds: whether it is at most ω, shape (num_trials,).
        probability: with which the lemma promises that.
    """

    measured: Float[Array, "trials"]
    bound: float
    holds: Bool[Array, "trials"]
    probability: float


def noise_gain(widths: Sequence[int], num_measurements: int, weight_scale: Any = 2.0) -> float:
    r"""Return ω, which bounds how strongly noise pulls at the latent of a random network.

    .. math:: \omega = 2 \Big( \frac{c}{2} \Big)^{d/2} \sqrt{\frac{13}{12}} \sqrt{\frac{k}{m}}
              \log\Big( 5 \prod_i \frac{e n_i}{k} \Big), \qquad
              \|\Lambda_x^T A^T \eta\| \le \omega \|\eta\| \text{ for all } x

    for weights N(0, c/n_i), A of N(0, 1/m) and any fixed η.

    Args:
        widths: (k, n_1, ..., n_d).
        num_measurements: m >= 1.
        weight_scale: c > 0: 2 for the library's networks, 1 for the paper's.

    Returns:
        ω.

    Raises:
        ValueError: sizes that are not positive.

    Notes: the paper prints 2^{-d/2}, which is c = 1. Its Theorem 5.4 needs 2^{d/2} times that,
        the ω of c = 2: the measured error of the signal over ‖η‖√(k/m) is 1.0 at every depth from
        1 to 6, while with the printed factor the bound would go to 0. A union bound over the
        linear pieces gives the square root of the logarithm; the paper's is weaker, not wrong.

    Example:
        >>> round(noise_gain((20, 700, 600), 300), 2)
        5.68

    Source: Cocola (2022), equation (13).
    """
    where = "noise_gain"
    sizes = checks.sizes(where, "widths", widths)
    if len(sizes) < 2:
        checks.fail(where, "widths", "be (k, n_1, ..., n)", f"{sizes}")
    m = checks.count(where, "num_measurements", num_measurements)
    scale = checks.positive(where, "weight_scale", weight_scale, single=True)
    depth, latent = len(sizes) - 1, sizes[0]
    log = max(math.log(5) + log_pieces(sizes), 0.0)
    root = math.sqrt(13 / 12 * latent / m)
    return 2 * math.exp(depth / 2 * math.log(scale / 2)) * root * log


def check_noise_gain(
    key: Any, widths: Sequence[int], num_measurements: int, *, num_trials: int = 20
) -> NoiseGain:
    r"""Measure how strongly noise pulls at latents of random networks, beside ω.

    .. math:: \max_x \|\Lambda_x^T A^T \eta\| \le \omega \|\eta\|
              \quad \text{with probability } 1 - e^{-\frac{k}{2} \log(5 \prod_i e n_i / k)}

    Args:
        key: JAX PRNG key.
        widths: (k, n_1, ..., n_d); weights N(0, 2/n_i).
        num_measurements: m.
        num_trials: draws of network, A and η, >= 1.

    Returns:
        ``NoiseGain(measured, bound, holds, probability)``; the largest is found by search.

    Raises:
        ValueError: sizes that are not positive.

    Cost: 120 000 Jacobians a draw.

    Example:
        >>> import jax
        >>> found = check_noise_gain(jax.random.key(0), (2, 8, 12), 6, num_trials=2)
        >>> bool(found.holds.all())
        True

    Source: Cocola (2022), Lemma 5.3.
    """
    where = "check_noise_gain"
    key, sizes, m, num_trials = _sizes(where, key, widths, num_measurements, num_trials)
    bound = noise_gain(sizes, m)
    measured = _noise_gains(jax.random.split(key, num_trials), sizes, m)
    probability = 1 - math.exp(-sizes[0] / 2 * max(math.log(5) + log_pieces(sizes), 0.0))
    return NoiseGain(measured, bound, measured <= bound, probability)


def check_range_isometry(
    key: Any,
    widths: Sequence[int],
    num_measurements: int,
    epsilon: Any = 0.5,
    *,
    constant: Any = 1.0,
    num_trials: int = 20,
    method: str = "sampled",
) -> RandomCondition:
    r"""Measure the range restricted isometry of Gaussian A over random networks.

    The lemma: with m >= C_ε k log Π(e n_i/k) measurements, A of N(0, 1/m) satisfies the RRIC with
    constant ε, with probability 1 - γ e^{-cεm}. Its constants are not known.

    Args:
        key: JAX PRNG key.
        widths: (k, n_1, ..., n_d).
        num_measurements: m.
        epsilon: ε > 0.
        constant: C_ε > 0, for ``premise``.
        num_trials: draws, >= 1.
        method: of ``range_restricted_isometry``, ``"search"`` or ``"sampled"``.

    Returns:
        ``RandomCondition(measured, bound, holds, premise)``.

    Raises:
        ValueError: sizes that are not positive.

    Cost: that of ``range_restricted_isometry``, a draw.

    Example:
        >>> import jax
        >>> found = check_range_isometry(jax.random.key(0), (2, 8, 12), 500, num_trials=3)
        >>> bool(found.holds.all()), found.premise
        (True, True)

    Source: Cocola (2022), Lemma 5.1.
    """
    where = "check_range_isometry"
    key, sizes, m, num_trials = _sizes(where, key, widths, num_measurements, num_trials)
    checks.choice(where, "method", method, SAMPLING)
    epsilon = checks.positive(where, "epsilon", epsilon, single=True)
    constant = checks.positive(where, "constant", constant, single=True)
    measured = _conditions(jax.random.split(key, num_trials), sizes, m, method, "isometry")
    premise = m >= sufficient_measurements("isometry", sizes, constant=constant)
    return RandomCondition(measured, epsilon, measured <= epsilon, premise)


def check_range_weights(
    key: Any,
    widths: Sequence[int],
    epsilon: Any = 0.5,
    *,
    constant: Any = 1.0,
    num_trials: int = 20,
    method: str = "sampled",
) -> RandomCondition:
    r"""Measure the range restricted weight distribution condition over random networks.

    The lemma: networks of N(0, 1/n_i) weights with n_1 >= C_ε k, n_i >= C_ε k log Π_{j<i} (e n_j/k)
    satisfy the R2WDC with constant ε in all layers, with a probability that its text states up
    to constants that are not known. Layers may contract.

    Args:
        key: JAX PRNG key.
        widths: (k, n_1, ..., n_d).
        epsilon: ε > 0.
        constant: C_ε > 0, for ``premise``.
        num_trials: draws, >= 1.
        method: of ``range_restricted_weight_distribution``.

    Returns:
        ``RandomCondition(measured, bound, holds, premise)``: the largest constant of all layers.

    Raises:
        ValueError: sizes that are not positive.

    Cost: that of ``range_restricted_weight_distribution``, a draw and layer.

    Example:
        >>> import jax
        >>> found = check_range_weights(jax.random.key(0), (1, 200, 100), num_trials=3)
        >>> bool(found.holds.all()), found.premise
        (True, True)

    Source: Cocola (2022), Lemma 5.2.
    """
    where = "check_range_weights"
    key, sizes, _, num_trials = _sizes(where, key, widths, 1, num_trials)
    checks.choice(where, "method", method, SAMPLING)
    epsilon = checks.positive(where, "epsilon", epsilon, single=True)
    premise = width_conditions(sizes, checks.positive(where, "constant", constant, single=True))
    measured = _conditions(jax.random.split(key, num_trials), sizes, 1, method, "range_weights")
    return RandomCondition(measured, epsilon, measured <= epsilon, premise.holds)


def check_expansive_conditions(
    key: Any,
    widths: Sequence[int],
    num_measurements: int,
    epsilon: Any = 0.5,
    *,
    constant: Any = 1.0,
    num_trials: int = 20,
) -> RandomCondition:
    r"""Measure both conditions of the expansive theory, WDC of all layers and RRIC.

    The proposition: with n_i >= c n_{i-1} log n_{i-1} and m > c k d log Π n_i both hold with
    constant ε, with high probability, for weights N(0, 1/n_i) and A of N(0, 1/m).

    Args:
        key: JAX PRNG key.
        widths: (k, n_1, ..., n_d).
        num_measurements: m.
        epsilon: ε > 0.
        constant: c > 0, for ``premise``.
        num_trials: draws, >= 1.

    Returns:
        ``RandomCondition(measured, bound, holds, premise)``: the larger constant of the two, from
        samples.

    Raises:
        ValueError: sizes that are not positive.

    Cost: 500 eigenvalue problems of size n_{i-1}, a draw and layer.

    Example:
        >>> import jax
        >>> found = check_expansive_conditions(jax.random.key(0), (1, 8, 150), 90, num_trials=3)
        >>> found.premise, found.measured.shape
        (True, (3,))

    Source: Hand, Voroninski (2019), Proposition 6; Proposition 1 in Scarlett et al. (2022).
    """
    where = "check_expansive_conditions"
    key, sizes, m, num_trials = _sizes(where, key, widths, num_measurements, num_trials)
    epsilon = checks.positive(where, "epsilon", epsilon, single=True)
    constant = checks.positive(where, "constant", constant, single=True)
    measured = _conditions(jax.random.split(key, num_trials), sizes, m, "sampled", "expansive")
    wide = width_conditions(sizes, constant, theorem="expansive").holds
    many = m > sufficient_measurements("conditions", sizes, constant=constant)
    return RandomCondition(measured, epsilon, measured <= epsilon, wide and many)


def _sizes(
    where: str, key: Any, widths: Any, num_measurements: Any, num_trials: Any
) -> tuple[Array, tuple[int, ...], int, int]:
    sizes = checks.sizes(where, "widths", widths)
    if len(sizes) < 2:
        checks.fail(where, "widths", "be (k, n_1, ..., n)", f"{sizes}")
    for i, size in enumerate(sizes):
        checks.count(where, f"widths[{i}]", size, maximum=10**5)
    m = checks.count(where, "num_measurements", num_measurements, maximum=10**6)
    return checks.key(where, key), sizes, m, checks.count(where, "num_trials", num_trials)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _noise_gains(keys: Array, sizes: tuple[int, ...], m: int) -> Array:
    def one(key: Array) -> Array:
        weight_key, operator_key, noise_key, search_key = jax.random.split(key, 4)
        prior = Relu(random_weights(weight_key, sizes, 2.0, jnp.float32))
        operator = gaussian(operator_key, m, sizes[-1])
        noise = jax.random.normal(noise_key, (m,), jnp.float32)
        pull = operator.adjoint(noise / numerics.safe_norm(noise))
        shape = (1, sizes[0])
        return largest(_pull, (prior, pull), search_key, shape, jnp.float32, 500, "search")[0]

    return lax.map(one, keys)


def _pull(parts: Any, z: Array) -> Array:
    prior, pull = parts
    return numerics.safe_norm(numerics.matmul(prior.jacobian(z[0]).T, pull))


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _conditions(keys: Array, sizes: tuple[int, ...], m: int, method: str, what: str) -> Array:
    def one(key: Array) -> Array:
        weight_key, operator_key, search_key = jax.random.split(key, 3)
        prior = Relu(random_weights(weight_key, sizes, 1.0, jnp.float32))
        options = {"key": search_key, "num_samples": 500}
        found = []
        if what in ("isometry", "expansive"):
            A = gaussian(operator_key, m, sizes[-1])
            found.append(range_restricted_isometry(A, prior, method, **options).value)
        if what == "range_weights":
            found += [
                range_restricted_weight_distribution(prior, i + 1, method, **options).value
                for i in range(len(sizes) - 1)
            ]
        if what == "expansive":
            found += [weight_distribution(w, method, **options).value for w in prior.params]
        return jnp.max(jnp.stack(found))

    return lax.map(one, keys)
