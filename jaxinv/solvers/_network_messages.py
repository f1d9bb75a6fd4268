"""Messages of a layered network: moments of its units, linear estimates, one sweep."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr

from jaxinv.operators import LinearOperator
from jaxinv.solvers._factor import Factor, damped_inverse

_FAR = -6.0  # below it, differences of the hazard cancel and its series is exact enough
_LOG_ROOT = 0.9189385332046727  # log √(2π)
_RANGE = {4: (1e-6, 1e8), 8: (1e-11, 1e13)}  # of precisions, by bytes of the type


class Message(NamedTuple):
    """A Gaussian belief exp(−½ a x² + b x): one precision a for all entries, b for each."""

    precision: Array
    linear: Array


class Moments(NamedTuple):
    """Mean of every entry, and the mean of the variances."""

    mean: Array
    variance: Array


class Stage(NamedTuple):
    """A linear map of the network, divided by its gain, and what is computed once from it.

    Attributes:
        model: W/g, g for which outputs have the variance of inputs.
        factor: its spectrum.
        num_rows, num_columns: those that are not zero.
        bias: added to the output, in its unit; None for none.
    """

    model: LinearOperator
    factor: Factor
    num_rows: Array
    num_columns: Array
    bias: Array | None


def bounded(precision: Array) -> Array:
    """Return a precision within what the type can multiply and divide; NaN stays NaN."""
    return jnp.clip(precision, *_RANGE[precision.dtype.itemsize])


def reply(moments: Moments, message: Message) -> Message:
    """Return what the moments say beyond the message that they were computed with."""
    precision = bounded(1 / moments.variance - message.precision)
    linear = moments.mean * (message.precision + precision) - message.linear
    return Message(precision, linear)


def combined(first: Message, second: Message) -> Moments:
    """Return the moments of two messages about one variable."""
    precision = first.precision + second.precision
    return Moments((first.linear + second.linear) / precision, 1 / precision)


def tail(t: Array) -> tuple[Array, Array, Array]:
    r"""Return log(√(2π) Φ(t) e^{t²/2}), and mean and variance of N(t, 1) on the half line > 0.

    .. math:: t + y, \quad 1 - y (t + y), \qquad y = \varphi(t)/\Phi(t)
    """
    near = jnp.maximum(t, _FAR)
    mass = 0.5 * near * near + log_ndtr(near) + _LOG_ROOT
    hazard = jnp.exp(-mass)
    mean, variance = near + hazard, 1 - hazard * (near + hazard)
    q = 1 / jnp.maximum(-t, -_FAR)
    s = q * q
    far_mass = jnp.log(q) + jnp.log1p(-s * (1 - s * (3 - 15 * s)))
    far_mean = q * (1 - s * (2 - s * (10 - s * (74 - 706 * s))))
    far_variance = s * (1 - s * (6 - s * (50 - s * (518 - 6354 * s))))
    is_far = t < _FAR
    return (
        jnp.where(is_far, far_mass, mass),
        jnp.where(is_far, far_mean, mean),
        jnp.where(is_far, far_variance, variance),
    )


class Halves(NamedTuple):
    """A variable z that is positive or negative: probability, and mean and variance of |z|."""

    share: Array
    mean: Array
    variance: Array


def halves(slope: float, z: Message, h: Message) -> tuple[Halves, Halves]:
    """Return both halves of z, given messages about z and about h = max(z, 0) + α min(z, 0)."""
    above = (z.precision + h.precision, z.linear + h.linear)
    below = (z.precision + slope * slope * h.precision, -(z.linear + slope * h.linear))
    found = []
    for precision, linear in (above, below):
        root = jnp.sqrt(precision)
        mass, mean, variance = tail(linear / root)
        found.append((mass - 0.5 * jnp.log(precision), mean / root, variance / precision))
    share = jax.nn.sigmoid(found[0][0] - found[1][0])
    return Halves(share, *found[0][1:]), Halves(1 - share, *found[1][1:])


def unit_moments(slope: float, z: Message, h: Message) -> tuple[Array, Array, Array, Array]:
    """Return mean and variance of every entry of z, and of h = max(z, 0) + α min(z, 0)."""
    if slope == 1:
        precision = z.precision + h.precision
        mean = (z.linear + h.linear) / precision
        variance = jnp.broadcast_to(1 / precision, mean.shape)
        return mean, variance, mean, variance
    on, off = halves(slope, z, h)
    both = on.share * off.share
    z_mean = on.share * on.mean - off.share * off.mean
    z_variance = on.share * on.variance + off.share * off.variance
    h_mean = on.share * on.mean - slope * off.share * off.mean
    h_variance = on.share * on.variance + slope * slope * off.share * off.variance
    z_variance = z_variance + both * jnp.square(on.mean + off.mean)
    h_variance = h_variance + both * jnp.square(on.mean + slope * off.mean)
    return z_mean, z_variance, h_mean, h_variance


def sign_moments(y: Array, z: Message, noise_variance: Array) -> tuple[Array, Array]:
    """Return mean and variance of every z, given y = sign(z + ξ), ξ ~ N(0, σ²); 0 says nothing."""
    variance = 1 / z.precision
    mean = variance * z.linear
    spread = variance + noise_variance
    root = jnp.sqrt(spread)
    t = y * mean / root
    _, shifted, left = tail(t)
    known = y != 0
    moved = mean + y * (variance / root) * (shifted - t)
    shrunk = variance * (1 - (variance / spread) * (1 - left))
    return jnp.where(known, moved, mean), jnp.where(known, shrunk, variance)


def linear_moments(stage: Stage, h: Message, z: Message) -> tuple[Moments, Moments]:
    r"""Return the moments of h and of z = W h + b, given messages about both.

    .. math:: \hat h = \mu + W^* (W W^* + \tfrac{a_h}{a_z} I)^{-1} (b_z / a_z - W \mu), \qquad
        \mu = b_h / a_h
    """
    mean = h.linear / h.precision
    target = z.linear / z.precision
    if stage.bias is not None:
        target = target - stage.bias
    values, model = stage.factor.values, stage.model
    assert values is not None
    shift = h.precision / z.precision
    move, _ = damped_inverse(model, stage.factor, target - model(mean), shift, mean, 0.0)
    found = mean + move
    image = model(found) if stage.bias is None else model(found) + stage.bias
    counts = (stage.num_rows, stage.num_columns)
    spectrum = (values, jnp.ones_like(values))
    variances = linear_variances(spectrum, counts, h.precision, z.precision)
    return Moments(found, variances[0]), Moments(image, variances[1])


def linear_variances(
    spectrum: tuple[Array, Array], counts: tuple[Any, Any], below: Array, above: Array
) -> tuple[Array, Array]:
    """Return the mean variances of h and of W h, given precisions of both.

    ``spectrum`` is the squares of singular values, and how often each is there.
    """
    values, weights = spectrum
    rows, columns = counts
    precisions = below + above * values
    unseen = columns - jnp.sum(weights)
    variance = (jnp.sum(weights / precisions) + unseen / below) / columns
    return variance, jnp.sum(weights * values / precisions) / rows


def mean_of(values: Array, used: Array | None) -> Array:
    """Return the mean, over the entries in use where a mask is given."""
    if used is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(used, values, 0)) / jnp.maximum(jnp.sum(used), 1)


def damped(fresh: Message, old: Message, keep: Array) -> Message:
    """Return a message of which the share ``keep`` is the old one."""
    return Message(*(keep * b + (1 - keep) * a for a, b in zip(fresh, old, strict=True)))


def silent(like: Any, size: int) -> Message:
    """Return a message that says nothing."""
    return Message(bounded(jnp.zeros((), like.dtype)), jnp.zeros(size, like.dtype))
