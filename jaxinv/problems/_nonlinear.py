"""Nonlinear measurements of signals of a network: magnitudes, signs, an entrywise link."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.generators import Generator
from jaxinv.operators import identity
from jaxinv.operators import single_index as index_operator
from jaxinv.problems._fixed_generator import fixed_generator
from jaxinv.problems._generative import GenerativeFamily, make_family
from jaxinv.problems._models import Link, Magnitudes, Signs

_DRAWS = 256  # of signals, for the norm of those of a given generator
_LARGEST_BIAS = 0.01  # of the signal's norm, that a dither may leave without a word


def phase_retrieval(
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
    r"""Make the family of phase retrieval with a random ReLU network, or a given generator.

    .. math:: y = |A\, G(z^*)| + \eta, \qquad A_{ij} \sim N(0, 1/m)

    Padded as ``generative`` is. The loss ½‖|A G(z)| − y‖² has local minima: use restarts, chosen
    by the loss. A signal is determined up to its sign, and a ReLU network has no negative one.

    Args:
        widths, num_measurements: (k, n_1, ..., n) and m, maxima; as in ``generative``, as
            are ``active_latent``, ``active_measurements``, ``generator``, ``signal_norm``,
            ``weight_scale`` and ``dtype``.
        noise_norm, noise_std: of η, which is added to the magnitudes; y may become negative.

    Returns:
        A family; its operator is ``operators.magnitude(A)``.

    Raises:
        ValueError: as ``generative``.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = phase_retrieval((3, 30, 60), 40)
        >>> problem = family.sample(jax.random.key(0))
        >>> solver = ji.solvers.levenberg_marquardt(num_restarts=4)
        >>> found = ji.solve(solver, problem, family.initial(jax.random.key(0), 4))
        >>> bool(ji.metrics.relative_error(found.x, problem.truth.x) < 1e-5)
        True

    Source: Hand, Leong, Voroninski (2018), "Phase retrieval under a generative prior".
    """
    return make_family(
        "phase_retrieval",
        Magnitudes(),
        (
            checks.count("phase_retrieval", "num_measurements", num_measurements),
            active_measurements,
        ),
        (noise_norm, noise_std),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )


def one_bit(
    widths: Sequence[int] | None = None,
    num_measurements: int | None = None,
    *,
    dither: Any = None,
    generator: Generator | None = None,
    active_latent: Any = None,
    active_measurements: Any = None,
    noise_std: Any = 0.0,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> GenerativeFamily:
    r"""Make the family of dithered one-bit measurements of signals of a network.

    .. math:: y_i = \operatorname{sign}(\langle a_i, G(z^*) \rangle + \xi_i + \tau_i), \qquad
        a_i \sim N(0, I), \quad \tau_i \sim U[-\lambda, \lambda]

    Signs have no slope, so no solver moves on this problem (its status is FLAT): solve
    ``back_projected(problem, λ/m)``, the denoising of (λ/m) Aᵀy, whose minimizer is the
    published one of ‖G(z)‖² − (2λ/m) Σ yᵢ ⟨aᵢ, G(z)⟩. Its error is about λ √(k/m).

    Args:
        widths, num_measurements: (k, n_1, ..., n) and m, maxima; as in ``generative``, as
            are ``active_latent``, ``active_measurements``, ``generator``, ``signal_norm``,
            ``weight_scale`` and ``dtype``.
        dither: λ > 0; default 3 r, r the norm of the signals (the root mean square of 256 draws
            where a generator is given).
        noise_std: σ >= 0 of the Gaussian ξ before the signs are taken.

    Returns:
        A family; its operator is ``operators.sign(A, τ)``. ``truth.noise`` is ±2 where ξ has
        turned a sign.

    Raises:
        ValueError: as ``generative``; a dither that is not positive.

    Warns:
        UserWarning: λ cuts off so much that the estimate is biased by more than 1 %: it tends
            to (1 − b) G(z*), b = P(|N(0, r² + σ²)| > λ).

    Example:
        >>> import jax, jaxinv as ji
        >>> family = one_bit((3, 100, 80), 2000)
        >>> problem = family.sample(jax.random.key(0))
        >>> denoising = ji.problems.back_projected(problem, 3.0 / 2000)
        >>> solver = ji.solvers.levenberg_marquardt()
        >>> found = ji.solve(solver, denoising, family.initial(jax.random.key(0)))
        >>> bool(ji.metrics.relative_error(found.x, problem.truth.x) < 0.25)
        True

    Source: Qiu, Wei, Yang (2020), "Robust one-bit recovery via ReLU generative networks".
    """
    where = "one_bit"
    rows = checks.count(where, "num_measurements", num_measurements)
    if signal_norm is not None:
        norm = checks.positive(where, "signal_norm", signal_norm)
    else:
        norm = 1.0 if generator is None else _typical_norm(where, generator, dtype)
    dither = 3.0 * norm if dither is None else checks.positive(where, "dither", dither)
    noise_std = checks.nonnegative(where, "noise_std", noise_std)
    family = make_family(
        where,
        Signs(dither),
        (rows, active_measurements),
        (0.0, noise_std),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )
    if checks.is_concrete((dither, norm, noise_std)):
        _warn_of_bias(float(np.min(dither)), float(np.max(norm)), float(np.max(noise_std)))
    return family


def _typical_norm(where: str, generator: Any, dtype: Any) -> Any:
    """Return the root mean square norm of signals of a generator; a number where it is one."""
    dtype = checks.float_type(where, dtype, real=True)
    source = fixed_generator(where, generator, dtype)
    latents = source.start(jax.random.key(0), (_DRAWS,))
    norms = jax.vmap(lambda z: numerics.safe_norm(generator(z)))(latents)
    norm = numerics.safe_norm(norms) / math.sqrt(_DRAWS)
    norm = jnp.where(norm > 0, norm, 1)
    return float(norm) if checks.is_concrete(norm) else norm


def _warn_of_bias(dither: float, norm: float, noise_std: float) -> None:
    """Warn where λ·sign(v + τ), of mean v for |v| <= λ only, has lost more than a little of v."""
    bias = math.erfc(dither / math.hypot(norm, noise_std) / math.sqrt(2))
    if bias > _LARGEST_BIAS:
        text = (
            f"one_bit: dither {dither:g} is small for signals of norm {norm:g}: estimates tend to "
            f"{1 - bias:.3g} times the signal (a bias of {100 * bias:.2g} %). "
            f"Use dither={3 * math.hypot(norm, noise_std):g} or more."
        )
        warnings.warn(text, stacklevel=3)


def single_index(
    widths: Sequence[int] | None = None,
    num_measurements: int | None = None,
    link: Callable[[Array], Array] = jnp.tanh,
    *,
    known: bool = True,
    generator: Generator | None = None,
    active_latent: Any = None,
    active_measurements: Any = None,
    noise_norm: Any = 0.0,
    noise_std: Any = 0.0,
    signal_norm: Any = None,
    weight_scale: Any = None,
    dtype: Any = jnp.float32,
) -> GenerativeFamily:
    r"""Make the family of single-index models: a scalar function of Gaussian measurements.

    .. math:: y_i = f(\langle a_i, G(z^*) \rangle) + \eta_i, \qquad a_i \sim N(0, I)

    With a known link the operator is ``operators.single_index(A, f)``. With an unknown one the
    problem to solve is the linear one, ½‖A G(z) − y‖² with y of the true link: for a signal of
    norm 1 its minimizer tends to μ G(z*), so that directions are to be compared, with

    .. math:: \mathbb{E} \|\hat x - \mu\, G(z^*)\|^2 \approx \frac{(k - 1) \sigma^2 + \tau^2}{m}

    where μ = E[g f(g)], σ² = E[(f(g) − μ g)²], τ² = E[(f(g) − μ g)² g²] for g ~ N(0, 1), plus k/m
    times the variance of η: what f adds to a line acts as noise, which along the signal is not
    independent of it. For signs τ = σ, for tanh τ² = 3.6 σ².

    Args:
        widths, num_measurements: (k, n_1, ..., n) and m, maxima; as in ``generative``, as
            are ``active_latent``, ``active_measurements``, ``generator``, ``noise_norm``,
            ``noise_std``, ``signal_norm``, ``weight_scale`` and ``dtype``.
        link: f, entrywise; best a module-level function or a ``jax.tree_util.Partial``.
        known: whether the solver is told f.

    Returns:
        A family; where the link is not known ``truth.noise`` holds y − A x, its part too.

    Raises:
        TypeError: a link that is no function.
        ValueError: as ``generative``; a link that changes shapes, is not finite at Gaussian
            numbers, or, unknown, has μ = 0, as even functions do: the linear problem does not
            see the signal then.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = single_index((3, 30, 60), 50, jnp.tanh)
        >>> problem = family.sample(jax.random.key(0))
        >>> solver = ji.solvers.levenberg_marquardt()
        >>> found = ji.solve(solver, problem, family.initial(jax.random.key(0)))
        >>> bool(ji.metrics.relative_error(found.x, problem.truth.x) < 1e-4)
        True

    Source: Plan, Vershynin (2016); Liu, Scarlett (2020), "The generalized Lasso with nonlinear
        observations and generative priors".
    """
    where = "single_index"
    rows = checks.count(where, "num_measurements", num_measurements)
    known = checks.boolean(where, "known", known)
    link = index_operator(identity(64), link).link
    _check_link(link, known)
    return make_family(
        where,
        Link(link, known),
        (rows, active_measurements),
        (noise_norm, noise_std),
        widths=widths,
        generator=generator,
        active_latent=active_latent,
        signal_norm=signal_norm,
        weight_scale=weight_scale,
        dtype=dtype,
    )


def _check_link(link: Any, known: bool) -> None:
    """Refuse a link without values, or one that least squares cannot see, by quadrature."""
    if not checks.is_concrete(link):
        return
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    with jax.ensure_compile_time_eval():
        values = np.asarray(link(jnp.asarray(nodes, jnp.float32)), np.float64)
    kept = np.abs(nodes) < 4  # beyond, a function may overflow
    if not np.all(np.isfinite(values[kept])):
        checks.fail("single_index", "link", "be finite at Gaussian numbers", "NaN or infinity")
    nodes, weights, values = nodes[kept], weights[kept], values[kept]
    slope, power = weights @ (nodes * values), weights @ np.square(values)
    if not known and abs(slope) < 1e-3 * math.sqrt(power * np.sum(weights)):
        hint = "With known=True it can be used; for |.| there is phase_retrieval."
        got = "one that is uncorrelated with its argument, as even functions are"
        checks.fail("single_index", "link", "have E[g f(g)] != 0 to be unknown", got, hint)
