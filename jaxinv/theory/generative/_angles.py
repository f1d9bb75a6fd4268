"""How a random ReLU layer changes the angle between two vectors."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics

# float32 rounds π up, and rounding in a caller's own arccos may add a little
_LARGEST_ANGLE = math.pi + 1e-6

# Taylor coefficients in t² of (1 − cos t) / t² and (sin t − t cos t) / t³; what follows the last
# is below 2e-16 at t = 1
_VERSINE = tuple((-1) ** j / math.factorial(2 * j + 2) for j in range(8))
_EXCESS = tuple((-1) ** j * (2 * j + 2) / math.factorial(2 * j + 3) for j in range(8))


def angle_map(theta: Num[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    r"""Map the angle between two inputs of a random ReLU layer to that between its outputs.

    .. math:: g(t) = \arccos\left( \frac{(\pi - t) \cos t + \sin t}{\pi} \right)

    For a wide layer with Gaussian weights, the angle between relu(W r) and relu(W s) concentrates
    at g of the angle between r and s. Near zero g(t) = t - t²/(3π) + O(t³): angles shrink, but
    only polynomially with depth.

    Evaluated as 2 arcsin(t √(q(t)/2)) with a smooth q, because the arccosine loses half of the
    digits near t = 0 and has no derivative there. Values and derivatives of every order are
    finite on [0, π]; g'(0) = 1 and g'(π) = 0.

    Args:
        theta: angles in [0, π], any shape.

    Returns:
        Angles in [0, π/2], of the same shape and dtype.

    Raises:
        ValueError: an angle outside [0, π] or NaN.
        TypeError: complex values.

    Example:
        >>> round(float(angle_map(3.141592653589793)), 6)
        1.570796

    Source: Cho, Saul (2009), arc-cosine kernel of order 1; Hand, Voroninski (2019).
    """
    return _mapped(_angles("angle_map", "theta", theta))


def angle_sequence(theta: Num[ArrayLike, "*shape"], depth: int) -> Float[Array, "layers *shape"]:
    r"""Return the angles at every layer of a random ReLU network.

    .. math:: \theta_0 = \theta, \qquad \theta_{i+1} = g(\theta_i)

    Starting at π, they satisfy π/(i+1) <= θ_i <= 3π/(i+3).

    Args:
        theta: angles at the input, in [0, π], any shape.
        depth: number of layers d >= 1; static.

    Returns:
        Shape (depth + 1, *theta.shape), the first entry being ``theta``.

    Raises:
        ValueError: an angle outside [0, π], or ``depth`` below 1.
        TypeError: ``depth`` not an integer, or complex angles.

    Example:
        >>> [round(float(t), 4) for t in angle_sequence(3.141592653589793, 3)]
        [3.1416, 1.5708, 1.2469, 1.0544]

    Source: Hand, Voroninski (2019).
    """
    depth = checks.count("angle_sequence", "depth", depth)
    theta = _angles("angle_sequence", "theta", theta)
    return _sequence(theta, depth)


def angle_between(x: Num[ArrayLike, "k"], x_true: Num[ArrayLike, "k"]) -> Float[Array, ""]:
    r"""Return the angle between two vectors, accurate also when they are nearly parallel.

    .. math:: \theta = 2 \operatorname{atan2}(\|\hat x - \hat x_*\|, \|\hat x + \hat x_*\|)

    with the unit vectors of x and x_true. The angle has a kink where they are parallel or
    opposite; its derivative there is taken to be 0.

    Args:
        x: vector, shape (k,), real.
        x_true: vector, shape (k,), real.

    Returns:
        An angle in [0, π], shape (). If a vector is 0 there is no angle: π/2, with derivative 0.

    Raises:
        ValueError: shapes differ, not one-dimensional, or not finite.
        TypeError: complex values.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(angle_between(jnp.array([1.0, 0.0]), jnp.array([1.0, 1.0]))), 6)
        0.785398

    Source: Kahan (2006), "How futile are mindless assessments of roundoff".
    """
    return unchecked_angle(*pair("angle_between", x, x_true))


@jax.jit
def _mapped(theta: Array) -> Array:
    return mapped_angle(theta)


@functools.partial(jax.jit, static_argnums=1)
def _sequence(theta: Array, depth: int) -> Array:
    _, following = lax.scan(_step, theta, None, length=depth)
    return jnp.concatenate([theta[None], following])


@jax.jit
def unchecked_angle(x: Array, x_true: Array) -> Array:
    """Return ``angle_between`` of arrays already checked."""
    left = numerics.safe_divide(x, numerics.safe_norm(x))
    right = numerics.safe_divide(x_true, numerics.safe_norm(x_true))
    difference, total = numerics.safe_norm(left - right), numerics.safe_norm(left + right)
    # atan2 has no derivative at (0, 0), which two zero vectors would reach
    defined = (difference > 0) | (total > 0)
    return 2 * jnp.arctan2(jnp.where(defined, difference, 1), jnp.where(defined, total, 1))


def mapped_angle(theta: Any, xp: Any = jnp) -> Any:
    """Return g(theta) without checks, with JAX or (float64, on the host) NumPy as ``xp``."""
    # 1 − cos g = t² q(t), q smooth with q(0) = 1/2
    q = _versine(theta, xp) - theta * sine_excess(theta, xp) / math.pi
    return 2 * xp.arcsin(theta * xp.sqrt(q / 2))


def sine_excess(theta: Any, xp: Any = jnp) -> Any:
    """Return (sin t − t cos t) / t³, smooth at 0, where the difference cancels."""
    small, series, large = _split(theta, _EXCESS, xp)
    return xp.where(small, series, (xp.sin(large) - large * xp.cos(large)) / large**3)


def _versine(theta: Any, xp: Any) -> Any:
    """Return (1 − cos t) / t², smooth at 0."""
    small, series, large = _split(theta, _VERSINE, xp)
    return xp.where(small, series, (1 - xp.cos(large)) / large**2)


def _split(theta: Any, coefficients: tuple[float, ...], xp: Any) -> tuple[Any, Any, Any]:
    """Return (t < 1, the even series of t there, t where it is at least 1, else 1)."""
    small = theta < 1
    square = xp.where(small, theta, 0) ** 2
    series = xp.zeros_like(theta)
    for coefficient in reversed(coefficients):
        series = series * square + coefficient
    return small, series, xp.where(small, 1, theta)


def pair(
    where: str, x: Any, x_true: Any, names: tuple[str, str] = ("x", "x_true")
) -> tuple[Array, Array]:
    """Return two real, finite vectors of one shape and one dtype, or say what is wrong."""
    x, x_true = _real(where, names[0], x), _real(where, names[1], x_true)
    both = " and ".join(names)
    if x.shape != x_true.shape:
        checks.fail(where, both, "have equal shapes", f"{x.shape} and {x_true.shape}")
    if x.ndim != 1:
        hint = "Use jax.vmap for a batch of vectors."
        checks.fail(where, both, "have shape (k,)", f"{x.shape}", hint)
    checks.finite(where, names[0], x)
    checks.finite(where, names[1], x_true)
    dtype = jnp.result_type(x, x_true)
    return x.astype(dtype), x_true.astype(dtype)


def _step(theta: Array, _: None) -> tuple[Array, Array]:
    following = mapped_angle(theta)
    return following, following


def _angles(where: str, argument: str, theta: Any) -> Array:
    theta = _real(where, argument, theta)
    if checks.is_concrete(theta):
        seen = np.asarray(theta, np.float64)
        if not np.all((seen >= 0) & (seen <= _LARGEST_ANGLE)):
            hint = "Angles are in radians and have no sign."
            checks.fail(where, argument, "lie in [0, π]", _range(seen), hint)
    return theta


def _range(seen: np.ndarray) -> str:
    return f"values from {np.min(seen):g} to {np.max(seen):g}"


def _real(where: str, argument: str, value: Any) -> Array:
    result = checks.array(where, argument, value)
    if jnp.iscomplexobj(result):
        checks.fail_type(where, argument, "be real", result)
    return result
