"""Expected loss and gradient of recovery with a random ReLU network of given depth."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.theory.generative._angles import mapped_angle, pair, sine_excess, unchecked_angle

MODELS = ("compressed_sensing", "denoising", "one_bit", "phase_retrieval", "plugin", "spiked")
WITH_SPURIOUS_POINT = tuple(model for model in MODELS if model != "plugin")


def rho(depth: int, model: str = "compressed_sensing") -> float:
    r"""Return ρ_d: the expected landscape has a spurious critical point at -ρ_d x*.

    .. math:: \rho_d = \cos \theta_d(\pi), \qquad
              \rho_d^{\mathrm{phase}} = \varphi(\theta_d(\pi)), \qquad
              \varphi(t) = \tfrac{2}{\pi} \left( \sin t + (\tfrac{\pi}{2} - t) \cos t \right)

    θ_d(π) is the angle π mapped d times by ``angle_map``. A descent method started in the wrong
    half-space ends near -ρ_d x*, and its negative has a lower loss: hence the negation step.
    The point tends to -x* with depth; at depth 1 it is 0 (no spurious point besides the origin),
    except for phase retrieval.

    Args:
        depth: number of layers d >= 1.
        model: ``"compressed_sensing"``, ``"denoising"``, ``"one_bit"``, ``"phase_retrieval"`` or
            ``"spiked"``; all but phase retrieval share one value. It does not depend on the
            weight scale. (``"plugin"`` has no spurious point.)

    Returns:
        ρ_d in [0, 1), a Python float computed in double precision.

    Raises:
        ValueError: ``depth`` below 1 or an unknown model.
        TypeError: ``depth`` not an integer.

    Cost: O(depth) on the host.

    Example:
        >>> round(rho(2), 5), round(rho(2, model="phase_retrieval"), 5)
        (0.31831, 0.66915)

    Source: Hand, Voroninski (2019); Hand, Leong, Voroninski (2018) for phase retrieval;
    Cocola, Hand, Voroninski (2020) for spiked matrices.
    """
    depth = checks.count("rho", "depth", depth)
    checks.choice("rho", "model", model, WITH_SPURIOUS_POINT)
    theta = np.float64(math.pi)
    for _ in range(depth):
        theta = mapped_angle(theta, np)
    if model == "phase_retrieval":
        return float(2 / math.pi * (np.sin(theta) + (math.pi / 2 - theta) * np.cos(theta)))
    return max(float(np.cos(theta)), 0.0)  # at depth 1 the cosine rounds to either side of 0


def expected_gradient(
    x: Num[ArrayLike, "k"],
    x_true: Num[ArrayLike, "k"],
    depth: int,
    weight_scale: Any = 2.0,
    model: str = "compressed_sensing",
) -> Float[Array, "k"]:
    r"""Return h_x, the gradient at x of the loss in expectation over wide random networks.

    With s = (``weight_scale`` / 2)^d, angles θ_0 = ∠(x, x*) and θ_{i+1} = g(θ_i) from
    ``angle_map``, and

    .. math:: \tilde h = \Big[ \prod_{i<d} \tfrac{\pi - \theta_i}{\pi} \Big] x_*
              + \sum_{i<d} \tfrac{\sin \theta_i}{\pi}
              \Big[ \prod_{j=i+1}^{d-1} \tfrac{\pi - \theta_j}{\pi} \Big]
              \tfrac{\|x_*\|}{\|x\|} x,
              \qquad \langle x, \tilde h \rangle = \|x\| \|x_*\| \cos \theta_d

    the models are

    .. math:: \text{compressed sensing, denoising:} \quad & h = s \, (x - \tilde h) \\
              \text{phase retrieval:} \quad & h = s \, \big( x
              - \tfrac{\pi - 2\theta_d}{\pi} \tilde h
              - \tfrac{2 \sin \theta_d}{\pi} \tfrac{\|x_*\|}{\|x\|} x \big) \\
              \text{spiked:} \quad & h = s^2 \, \big( \|x\|^2 x
              - \|x\| \|x_*\| \cos \theta_d \, \tilde h \big) \\
              \text{one-bit:} \quad & h = 2 s \, (x - \tilde h) \\
              \text{PLUGIn:} \quad & h = s \, (x - x_*)

    It is exact at any width for PLUGIn, and for compressed sensing, denoising and one-bit at
    depth 1; otherwise the mean over networks differs from it by a bias of order 1/width.

    Args:
        x: where to evaluate, shape (k,).
        x_true: the latent vector x* that made the signal, shape (k,).
        depth: number of layers d >= 1; static under ``jit``.
        weight_scale: weights of layer i are N(0, weight_scale / n_i); 2 (He) gives s = 1, 1 is
            the scaling of the papers, s = 2^-d. A scalar > 0; the power is d for all models,
            2 d for ``"spiked"``, whose loss has degree four.
        model: ``"compressed_sensing"`` (loss ½‖A G(x) - y‖², A entries N(0, 1/m)),
            ``"denoising"`` (½‖G(x) - y‖²), ``"phase_retrieval"`` (½‖|A G(x)| - y‖²),
            ``"spiked"`` (¼‖G(x) G(x)ᵀ - y yᵀ‖_F²), ``"one_bit"`` (‖G(x)‖² - (2λ/m) Σ y_i
            ⟨a_i, G(x)⟩, dithers wide enough) or ``"plugin"`` (the direction W_1ᵀ...W_dᵀ (G(x) - y)
            of PLUGIn, which is no gradient of a draw); static under ``jit``.

    Returns:
        Shape (k,). At x = 0, where angles are undefined, zero: the value that backpropagation
        gives when relu'(0) = 0, so 0 is a fixed point of descent although (for depth >= 2) it is
        a local maximum (PLUGIn goes on: -s x*). At ``x_true`` = 0 the angles have no weight:
        s x (s² ‖x‖² x if spiked, 2 s x if one-bit).

    Raises:
        ValueError: shapes differ, NaN, depth below 1, unknown model, weight_scale not positive.
        TypeError: ``depth`` not an integer, or complex vectors.

    Cost: O(k + depth). Batch with ``jax.vmap``.

    Example:
        >>> import jax.numpy as jnp
        >>> x_true = jnp.array([0.0, 1.0])
        >>> h = expected_gradient(-rho(2) * x_true, x_true, 2)  # the spurious critical point
        >>> float(jnp.max(jnp.abs(h))) < 1e-6
        True

    Source: Hand, Voroninski (2019); Heckel, Huang, Hand, Voroninski (2021) for denoising;
    Hand, Leong, Voroninski (2018) for phase retrieval; Cocola, Hand, Voroninski (2020) for
    spiked matrices; Qiu, Wei, Yang (2020) for one-bit; Joshi, Li, Plan, Yilmaz (2021) for
    PLUGIn; Cocola (2022), Section 4.1, equation (10).
    """
    x, x_true, depth, weight_scale = _inputs(
        "expected_gradient", x, x_true, depth, weight_scale, model
    )
    return _gradient(x, x_true, weight_scale, depth, model)


def expected_loss(
    x: Num[ArrayLike, "k"],
    x_true: Num[ArrayLike, "k"],
    depth: int,
    weight_scale: Any = 2.0,
    model: str = "compressed_sensing",
) -> Float[Array, ""]:
    r"""Return f_E, the loss in expectation over wide random networks; its gradient is h_x.

    With s, θ_d and the models of ``expected_gradient``, and φ of ``rho``:

    .. math:: \text{compressed sensing, denoising:} \quad & \tfrac{s}{2} \big( \|x\|^2
              - 2 \|x\| \|x_*\| \cos \theta_d + \|x_*\|^2 \big) \\
              \text{phase retrieval:} \quad & \tfrac{s}{2} \big( \|x\|^2
              - 2 \|x\| \|x_*\| \varphi(\theta_d) + \|x_*\|^2 \big) \\
              \text{spiked:} \quad & \tfrac{s^2}{4} \big( \|x\|^4
              - 2 \|x\|^2 \|x_*\|^2 \cos^2 \theta_d + \|x_*\|^4 \big) \\
              \text{one-bit:} \quad & s \, \big( \|x\|^2
              - 2 \|x\| \|x_*\| \cos \theta_d \big) \\
              \text{PLUGIn:} \quad & \tfrac{s}{2} \|x - x_*\|^2
              \quad \text{(a potential of its mean direction)}

    Evaluated as a sum of two non-negative terms, so that small losses near x* keep their digits.
    At finite width the mean over networks is exact for compressed sensing and denoising at depth
    1, and off by a term of order 1/width otherwise: for instance the fourth moment E‖G(x)‖⁴,
    which is 4 times the spiked loss at 0, is Π (1 + 5/n_i) times its limit.

    Args:
        x: where to evaluate, shape (k,).
        x_true: the latent vector x* that made the signal, shape (k,).
        depth: number of layers d >= 1; static under ``jit``.
        weight_scale: as in ``expected_gradient``.
        model: as in ``expected_gradient``.

    Returns:
        Shape (), >= 0 but for one-bit, whose least value is -s ‖x*‖². At x = 0 the value needs
        no angle and is exact, s ‖x*‖²/2 (s² ‖x*‖⁴/4 if spiked, 0 if one-bit); ``jax.grad``
        gives 0 there, but for PLUGIn.

    Raises:
        ValueError: shapes differ, NaN, depth below 1, unknown model, weight_scale not positive.
        TypeError: ``depth`` not an integer, or complex vectors.

    Cost: O(k + depth). Batch with ``jax.vmap``.

    Example:
        >>> import jax.numpy as jnp
        >>> x_true = jnp.array([0.0, 1.0])
        >>> round(float(expected_loss(-rho(2) * x_true, x_true, 2)), 4)  # (1 - ρ²) / 2
        0.4493

    Source: as in ``expected_gradient``.
    """
    x, x_true, depth, weight_scale = _inputs("expected_loss", x, x_true, depth, weight_scale, model)
    return _loss(x, x_true, weight_scale, depth, model)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _gradient(x: Array, x_true: Array, weight_scale: Array, depth: int, model: str) -> Array:
    if model == "plugin":
        return _factor(weight_scale, depth, model) * (x - x_true)
    geometry = geometry_of(x, x_true, depth)
    theta, tilde = geometry.theta, geometry.tilde
    size, size_true = geometry.size, geometry.size_true
    if model == "spiked":
        gradient = size**2 * x - size * size_true * jnp.cos(theta) * tilde
    elif model == "phase_retrieval":
        radial = 2 / math.pi * jnp.sin(theta) * size_true * geometry.direction
        gradient = x - (1 - 2 / math.pi * theta) * tilde - radial
    else:
        gradient = (2 if model == "one_bit" else 1) * (x - tilde)
    return jnp.where(size > 0, _factor(weight_scale, depth, model) * gradient, 0)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _loss(x: Array, x_true: Array, weight_scale: Array, depth: int, model: str) -> Array:
    factor = _factor(weight_scale, depth, model)
    if model == "plugin":
        return factor / 2 * numerics.sum_squares(x - x_true)
    geometry = geometry_of(x, x_true, depth)
    theta, size, size_true = geometry.theta, geometry.size, geometry.size_true
    if model == "spiked":
        lengths = (size**2 - size_true**2) ** 2
        return factor / 4 * (lengths + 2 * (size * size_true * jnp.sin(theta)) ** 2)
    misfit = 2 * jnp.sin(theta / 2) ** 2  # 1 − cos θ_d
    if model == "phase_retrieval":
        misfit = misfit - 2 / math.pi * theta**3 * sine_excess(theta)  # 1 − φ(θ_d)
    squares = (size - size_true) ** 2 + 2 * size * size_true * misfit
    if model == "one_bit":
        return factor * (squares - size_true**2)
    return factor / 2 * squares


def _factor(weight_scale: Array, depth: int, model: str) -> Array:
    """Return E‖G(x)‖² / ‖x‖² = (weight_scale / 2)^d, squared for the loss of degree four."""
    return (weight_scale / 2) ** (2 * depth if model == "spiked" else depth)


class Geometry(NamedTuple):
    """What all models share: lengths, the direction of x, θ_d and h̃."""

    size: Array
    size_true: Array
    direction: Array
    theta: Array
    tilde: Array


def geometry_of(x: Array, x_true: Array, depth: int) -> Geometry:
    size, size_true = numerics.safe_norm(x), numerics.safe_norm(x_true)
    direction = numerics.safe_divide(x, size)
    one = jnp.ones((), x.dtype)
    start = (unchecked_angle(x, x_true), one, jnp.zeros_like(one))
    (theta, along_true, along_x), _ = lax.scan(_layer, start, None, length=depth)
    tilde = along_true * x_true + along_x * size_true * direction
    return Geometry(size, size_true, direction, theta, tilde)


def _layer(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
    """Add one layer to h̃ = along_true x* + along_x (‖x*‖/‖x‖) x."""
    theta, along_true, along_x = carry
    kept = 1 - theta / math.pi
    along_x = along_x * kept + jnp.sin(theta) / math.pi
    return (mapped_angle(theta), along_true * kept, along_x), None


def _inputs(
    where: str, x: Any, x_true: Any, depth: Any, weight_scale: Any, model: Any
) -> tuple[Array, Array, int, Array]:
    """Return checked vectors, depth and weight scale, the arrays in one dtype."""
    checks.choice(where, "model", model, MODELS)
    depth = checks.count(where, "depth", depth)
    x, x_true = pair(where, x, x_true)
    weight_scale = checks.positive(where, "weight_scale", weight_scale)
    checks.shape_is(where, "weight_scale", weight_scale, ())
    return x, x_true, depth, jnp.asarray(weight_scale, x.dtype)
