"""State evolution of message passing through networks: its error at every step, without a trial."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxinv._core import checks
from jaxinv.operators import Operator
from jaxinv.problems import Problem
from jaxinv.solvers._network_messages import (
    Message,
    bounded,
    linear_variances,
    sign_moments,
    unit_moments,
)
from jaxinv.solvers._network_model import output_of, prepared, require_network, slope_of

_OUTPUTS = ("values", "magnitudes", "signs")
_NUM_ANGLES = 256
_NUM_POINTS = 97  # in each of two directions
_REACH = 8.0  # standard deviations


class NetworkEvolution(NamedTuple):
    """What ``network_state_evolution`` predicts.

    Attributes:
        nmse: E‖x̂ − x‖² / E‖x‖² after each step, shape (num_steps,).
        latent_nmse: E‖ẑ − z‖² / E‖z‖², shape (num_steps,).
    """

    nmse: Array
    latent_nmse: Array


class Map(NamedTuple):
    """A linear map of gain 1: its spectrum with weights, and its numbers of rows and columns."""

    spectrum: tuple[Array, Array]
    counts: tuple[Array, Array]


def network_state_evolution(
    network: Any,
    measurements: Any,
    *,
    noise_std: Any,
    latent_std: Any = 1.0,
    output: str = "values",
    weight_scale: Any = 2.0,
    negative_slope: float = 0.0,
    num_steps: int = 30,
) -> NetworkEvolution:
    r"""Predict the error of ``solvers.ml_vamp(noise_std, latent_std, damping=0)`` at every step.

    .. math::
        v_h = \Bigl\langle \frac{1}{a_h + a_z s^2} \Bigr\rangle, \qquad
        v_z = \Bigl\langle \frac{s^2}{a_h + a_z s^2} \Bigr\rangle, \qquad
        v_{\sigma} = \mathbb{E}\, \mathrm{Var}\bigl(h \mid z + N(0, 1/a_z),\;
            h = \sigma(z) + N(0, 1/a_h)\bigr), \qquad a' = 1/v - a

    Every message is the truth plus Gaussian noise of a variance 1/a that its precision tells, in
    the limit of wide layers whose singular vectors are in general position: the errors follow
    from precisions alone. Averages over linear maps are those of their spectra, averages over
    units are integrals over two Gaussians, split at the kink and computed by a rule that is
    dense there.

    Args:
        network: G, of ``generators.relu`` or ``piecewise_linear`` without biases, of which only
            the spectra count; or widths (k, n_1, ..., n) of random weights, whose spectra are
            those of Marchenko and Pastur.
        measurements: A, ``operators.magnitude(A)`` or ``sign(A)``; or m, of entries N(0, 1/m).
        noise_std: σ >= 0 of a measurement.
        latent_std: τ > 0 of an entry of z.
        output: of m measurements: ``"values"``, ``"magnitudes"`` or ``"signs"``.
        weight_scale: c of weights N(0, c/n_i), where widths are given.
        negative_slope: α of the units, where widths are given.
        num_steps: steps, >= 1; static under ``jit``.

    Returns:
        ``NetworkEvolution(nmse, latent_nmse)``; the last of many steps is the fixed point, and
        where that is unique no method has a smaller error.

    Raises:
        TypeError: what is no network, or measures otherwise.
        ValueError: numbers out of their range, biases.

    Cost: about 10⁵ evaluations of a unit's moments for each layer and step; a singular value
        decomposition of each matrix that is given.

    Notes: single trials of small latents scatter around it: at k = 20 a slow one in six spoils
        a mean; from k = 100 on means agree within some percent.

    Example:
        >>> found = network_state_evolution((100, 300, 400), 200, noise_std=0.01, num_steps=10)
        >>> bool(found.nmse[0] > 0.2), bool(found.nmse[-1] < 0.002)
        (True, True)

    Source: Fletcher, Rangan, Schniter (2018), "Inference in deep networks in high dimensions";
        integrals as in Baker, Aubin, Krzakala, Zdeborová (2020), "Tree-AMP".
    """
    where = "network_state_evolution"
    noise_std = checks.nonnegative(where, "noise_std", noise_std, single=True)
    latent_std = checks.positive(where, "latent_std", latent_std, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    if isinstance(measurements, Operator):
        if isinstance(network, list | tuple):
            hint = "Give widths with a number of measurements, or a generator with an operator."
            checks.fail_type(where, "network", "be a generator", network, hint)
        maps, size, output = _of_arrays(where, network, measurements, noise_std, latent_std)
        slope = slope_of(network)
    else:
        checks.choice(where, "output", output, _OUTPUTS)
        sizes = checks.sizes(where, "network", network)
        if len(sizes) < 2:
            checks.fail(where, "network", "be (k, n_1, ..., n) with at least one layer", sizes)
        rows = checks.count(where, "measurements", measurements)
        slope = float(checks.scalar(where, "negative_slope", negative_slope, single=True))
        scale = checks.positive(where, "weight_scale", weight_scale, single=True)
        maps, size = _of_widths((*sizes, rows), slope, scale, latent_std)
    noise = jnp.square(jnp.asarray(noise_std / size, float))
    return checks.no_nan(where, "numbers", _evolve(maps, noise, slope, output, num_steps))


def _of_arrays(
    where: str, network: Any, operator: Any, noise_std: Any, latent_std: Any
) -> tuple[tuple[Map, ...], Any, str]:
    """Return the maps of a network that is given, and the size of A G(z)."""
    problem = Problem(operator, jnp.ones(operator.out_shape), network)
    require_network(where, problem, noise_std, latent_std)
    if getattr(network, "biases", ()):
        checks.fail(where, "network", "have no biases", f"{len(network.biases)} of them")
    output = output_of(operator)
    if getattr(operator, "dither", None) is not None:
        checks.fail(where, "measurements", "have no dither", operator.dither)
    held = prepared(problem, latent_std)
    maps = []
    for stage in held.stages:
        values: Any = stage.factor.values
        counts = (stage.num_rows, stage.num_columns)
        maps.append(Map((values, jnp.ones_like(values)), counts))
    return tuple(maps), held.scales[-1], output


def _of_widths(
    sizes: tuple[int, ...], slope: float, weight_scale: Any, latent_std: Any
) -> tuple[tuple[Map, ...], Any]:
    """Return the maps of random weights, and the size of A G(z)."""
    maps, share = [], 0.5 * (1 + slope * slope)
    square = latent_std**2
    for index in range(len(sizes) - 1):
        columns, rows = sizes[index : index + 2]
        values, weights = marchenko_pastur(rows, columns)
        values = values / (share if index else 1)
        last = index == len(sizes) - 2
        square = square * (1 if last else weight_scale) * columns / rows * (share if index else 1)
        counts = (jnp.asarray(rows, float), jnp.asarray(columns, float))
        maps.append(Map((jnp.asarray(values), jnp.asarray(weights)), counts))
    return tuple(maps), square**0.5


def marchenko_pastur(rows: int, columns: int) -> tuple[Float[Array, "q"], Float[Array, "q"]]:
    """Return nodes and weights for the squared singular values of entries N(0, 1/columns).

    With x = 1 + λ + 2 √λ cos θ the density is 2 sin² θ / (π x) in θ, which a midpoint rule
    integrates to rounding. The weights sum to the number of singular values.
    """
    fewer, more = min(rows, columns), max(rows, columns)
    ratio = fewer / more
    angles = (np.arange(_NUM_ANGLES) + 0.5) * math.pi / _NUM_ANGLES
    x = 1 + ratio + 2 * math.sqrt(ratio) * np.cos(angles)
    weights = np.sin(angles) ** 2 / x
    return jnp.asarray(x * more / columns), jnp.asarray(fewer * weights / weights.sum())


@partial(jax.jit, static_argnums=(2, 3, 4))
def _evolve(
    maps: tuple[Map, ...], noise: Array, slope: float, output: str, num_steps: int
) -> NetworkEvolution:
    """Do what a step of ``ml_vamp`` does, with precisions alone."""
    silent, share = bounded(jnp.zeros((), float)), 0.5 * (1 + slope * slope)
    noise = jnp.maximum(noise, jnp.square(4 * jnp.finfo(noise.dtype).eps))
    depth = len(maps) - 1

    def reply(variance: Array, precision: Array) -> Array:
        return bounded(1 / variance - precision)

    def body(carry: Any, _: None) -> tuple[Any, tuple[Array, Array]]:
        to_inputs, to_outputs = list(carry[0]), list(carry[1])
        below, inputs = [jnp.ones((), float)], []
        for index, (spectrum, counts) in enumerate(maps):
            toward = to_inputs[index]
            variance = linear_variances(spectrum, counts, below[index], toward)[1]
            inputs.append(reply(variance, toward))
            if index < depth:
                h = to_outputs[index]
                below.append(reply(_unit_variances(slope, inputs[index], h)[1], h))
        to_inputs[-1] = 1 / noise
        if output == "magnitudes":
            variance = _unit_variances(-1.0, inputs[-1], 1 / noise)[0]
            to_inputs[-1] = reply(variance, inputs[-1])
        elif output == "signs":
            to_inputs[-1] = reply(_sign_variance(inputs[-1], noise), inputs[-1])
        signal = estimate = linear_variances(*maps[-1], below[-1], to_inputs[-1])[0]
        for index in reversed(range(depth)):
            to_outputs[index] = reply(estimate, below[index + 1])
            variance = _unit_variances(slope, inputs[index], to_outputs[index])[0]
            to_inputs[index] = reply(variance, inputs[index])
            estimate = linear_variances(*maps[index], below[index], to_inputs[index])[0]
        return (tuple(to_inputs), tuple(to_outputs)), (signal / share, estimate)

    first = ((silent,) * (depth + 1), (silent,) * depth)
    _, (signal, latent) = lax.scan(body, first, None, length=num_steps)
    return NetworkEvolution(signal, latent)


def _unit_variances(slope: float, z: Array, h: Array) -> tuple[Array, Array]:
    """Return E Var z and E Var h of z ~ N(0, 1), h = max(z, 0) + α min(z, 0), given precisions.

    What is seen is r = z + N(0, 1/a_z) as it is after shrinkage, r ~ N(0, 1 − 1/a_z), and h plus
    noise; given r and the sign of z that is Gaussian, cut off by the sign.
    """
    if slope == 1:
        return 1 / (z + h), 1 / (z + h)
    points = jnp.linspace(-1, 1, _NUM_POINTS)
    spread = jnp.sqrt(jnp.maximum(1 - 1 / z, 0))
    r, r_weights = _graded(points, 0.0, jnp.minimum(1 / jnp.sqrt(z), 1), spread)
    total_z, total_h = jnp.zeros((), float), jnp.zeros((), float)
    for sign, gain in ((1, 1.0), (-1, slope)):
        std = jnp.sqrt(gain * gain / z + 1 / h)
        centers = jnp.clip(-gain * r / std, -_REACH, _REACH)[:, None]
        e, weights = _graded(points, centers, jnp.minimum(1 / jnp.sqrt(h) / std, 1), 1.0)
        seen = gain * r[:, None] + std * e
        message_z, message_h = Message(z, z * r[:, None]), Message(h, h * seen)
        _, z_variance, _, h_variance = unit_moments(slope, message_z, message_h)
        precision = z + gain * gain * h
        t = sign * (message_z.linear + gain * message_h.linear) / jnp.sqrt(precision)
        joint = r_weights[:, None] * weights * jax.scipy.special.ndtr(t)
        total_z = total_z + jnp.sum(joint * z_variance)
        total_h = total_h + jnp.sum(joint * h_variance)
    return total_z, total_h


def _graded(points: Array, center: Any, width: Any, std: Any) -> tuple[Array, Array]:
    """Return nodes, and weights that sum to 1, for a mean over N(0, std²): dense at a center.

    Nodes are c + w sinh q, with q uniform between those of ± ``_REACH`` standard deviations.
    """
    std = jnp.maximum(std, jnp.finfo(points.dtype).tiny ** 0.5)
    width = jnp.maximum(width, 1e-6) * jnp.ones_like(std)
    low = jnp.arcsinh((-_REACH * std - center) / width)
    high = jnp.arcsinh((_REACH * std - center) / width)
    q = 0.5 * (low + high) + 0.5 * (high - low) * points
    nodes = center + width * jnp.sinh(q)
    weights = jnp.exp(-0.5 * jnp.square(nodes / std)) * jnp.cosh(q)
    return nodes, weights / jnp.sum(weights, axis=-1, keepdims=True)


def _sign_variance(z: Array, noise: Array) -> Array:
    """Return E Var z of z ~ N(0, 1), given it plus noise and y = sign(z + ξ)."""
    points = jnp.linspace(-1, 1, _NUM_POINTS)
    spread = jnp.sqrt(jnp.maximum(1 - 1 / z, 0))
    root = jnp.sqrt(1 / z + noise)
    r, weights = _graded(points, 0.0, jnp.minimum(root, 1), spread)
    _, variance = sign_moments(jnp.ones_like(r), Message(z, z * r), noise)
    return 2 * jnp.sum(weights * jax.scipy.special.ndtr(r / root) * variance)
