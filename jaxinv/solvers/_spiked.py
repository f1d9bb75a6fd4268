"""Spikes of a network: message passing, and the spectral method of its linearization."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.misfits._outer import Outer, product
from jaxinv.operators import LinearOperator, identity
from jaxinv.problems import Problem
from jaxinv.problems._problem import by_vector
from jaxinv.solvers._network_messages import (
    Message,
    Moments,
    linear_moments,
    reply,
    silent,
    unit_moments,
)
from jaxinv.solvers._network_model import Prepared, prepared, require_network, slope_of

_FIRST_SIZE = 0.1  # of the start, in that of signals: it tells little


class SpikedEstimate(NamedTuple):
    """What ``spiked_amp`` returns.

    Attributes:
        x: the posterior mean of the spike, shape (n,).
        u: that of the latent, shape (k,).
        variance: predicted, of an entry of x, after every step.
        change: the relative change of x in every step.
    """

    x: Array
    u: Array
    variance: Array
    change: Array


def spiked_spectral(
    problem: Problem, root: Num[ArrayLike, "n k"] | None = None, *, signal_norm: Any = 1.0
) -> Float[Array, " n"]:
    r"""Estimate a spike by the leading eigenvector of its matrix, or of what its prior makes of it.

    .. math:: M = x x^\top + \nu H: \qquad
        M v = \lambda v, \qquad \Sigma (M - \operatorname{tr}(\Sigma) I)\, v = \lambda v, \quad
        \Sigma = R R^\top

    The first is principal component analysis; the second is what ``spiked_amp`` does near 0, for
    a prior with zero mean and the covariance Σ. For a linear network R = τ W; for another
    prior, n × (number of draws) of its signals, over the root of their number. The sign is lost.

    Args:
        problem: of ``problems.spiked(model="wigner")``.
        root: R, shape (n, k); None for the matrix alone.
        signal_norm: of the estimate, > 0: it comes from the prior, not from M.

    Returns:
        x, shape (n,).

    Raises:
        TypeError: what is not held against an outer product.
        ValueError: a root of other rows; numbers that are not finite.

    Cost: eigenvectors of a matrix of size k, or n.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.spiked((3, 50, 200), noise_std=0.1)
        >>> problem = family.sample(jax.random.key(0))
        >>> x = spiked_spectral(problem)
        >>> float(ji.metrics.outer_error(x, problem.truth.x)) < 0.2
        True

    Source: Aubin, Loureiro, Maillard, Krzakala, Zdeborová (2019), "The spiked matrix model with
        generative priors", section 4.
    """
    where = "spiked_spectral"
    signal_norm = checks.positive(where, "signal_norm", signal_norm)
    matrix = _matrix(where, problem)
    if root is not None:
        root = checks.array(where, "root", root, ndim=2).astype(matrix.dtype)
        if root.shape[0] != len(matrix):
            checks.fail(where, "root", f"have {len(matrix)} rows", root)
        checks.finite(where, "root", root)
    return _leading(matrix, root, jnp.asarray(signal_norm))


@jax.jit
def _leading(matrix: Array, root: Array | None, signal_norm: Array) -> Array:
    matrix = numerics.at_least_single(matrix)
    if root is None:
        x = jnp.linalg.eigh(matrix)[1][:, -1]
    else:
        root = numerics.at_least_single(root)
        inner = numerics.matmul(root.T, numerics.matmul(matrix, root))
        inner = inner - numerics.sum_squares(root) * numerics.matmul(root.T, root)
        x = numerics.matmul(root, jnp.linalg.eigh(inner)[1][:, -1])
    unit = numerics.safe_divide(x, numerics.safe_norm(x))
    return unit * signal_norm.astype(unit.dtype)


def spiked_amp(
    problem: Problem,
    u0: Num[ArrayLike, " k"],
    noise_std: Any,
    *,
    latent_std: Any = 1.0,
    num_steps: int = 50,
) -> SpikedEstimate:
    r"""Estimate a spike by approximate message passing with the posterior means of a network.

    .. math::
        b_t = \frac{n}{\nu^2} \bigl( M \hat x_t - n v_t \hat x_{t-1} \bigr), \qquad
        a_t = \frac{n}{\nu^2} \|\hat x_t\|^2, \qquad
        \hat x_{t+1} = \mathbb{E}[x \mid b_t = a_t x + \sqrt{a_t} N(0, I)]

    v is the mean posterior variance of an entry of x. The posterior means are those of
    ``ml_vamp``, one sweep a step; with one linear layer they are exact. On large random networks
    no method with a polynomial cost is known to do better.

    Args:
        problem: of ``problems.spiked(model="wigner")``, with a prior of layers.
        u0: a start, such as ``family.initial(key)``; not 0.
        noise_std: ν > 0.
        latent_std: τ > 0 of an entry of the latent.
        num_steps: steps, >= 1; static under ``jit``.

    Returns:
        ``SpikedEstimate``. The sign of x is lost where −x is as likely.

    Raises:
        TypeError: what is not held against an outer product; a prior that is no network.
        ValueError: a start of another shape; numbers out of range.

    Cost: a singular value decomposition of each layer; then n² a step and four products with
        each layer.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (50, 200), weight_scale=0.04)
        >>> family = ji.problems.spiked(generator=G, noise_std=0.3)
        >>> problem = family.sample(jax.random.key(1))
        >>> found = spiked_amp(problem, family.initial(jax.random.key(2)), 0.3)
        >>> float(ji.metrics.relative_error(found.x, problem.truth.x)) < 0.3
        True

    Source: Aubin, Loureiro, Maillard, Krzakala, Zdeborová (2019), "The spiked matrix model with
        generative priors", algorithm 1.
    """
    where = "spiked_amp"
    noise_std = checks.positive(where, "noise_std", noise_std)
    latent_std = checks.positive(where, "latent_std", latent_std)
    num_steps = checks.count(where, "num_steps", num_steps)
    matrix = _matrix(where, problem)
    stand_in = Problem(identity(len(matrix)), jnp.ones(len(matrix), matrix.dtype), problem.prior)
    require_network(where, stand_in, noise_std, latent_std)
    u0 = checks.array(where, "u0", u0)
    checks.shape_is(where, "u0", u0, problem.prior.in_shape)
    checks.finite(where, "u0", u0)
    return _amp(stand_in, matrix, u0, jnp.asarray(noise_std), latent_std, num_steps)


def _matrix(where: str, problem: Any) -> Array:
    """Return M of a problem whose operator is ``outer`` of rank 1."""
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    held = by_vector(problem)
    if not isinstance(held.misfit, Outer):
        hint = "For other measurements use ml_vamp."
        checks.fail_type(where, "problem.operator", "be operators.outer", problem.operator, hint)
    if len(problem.operator.in_shape) > 1:
        got = f"one of rank {problem.operator.in_shape[0]}"
        checks.fail(where, "problem.operator", "be operators.outer of rank 1", got)
    matrix = problem.y.todense() if isinstance(problem.y, LinearOperator) else problem.y
    matrix = checks.array(where, "problem.y", matrix, ndim=2)
    checks.shape_is(where, "problem.y", matrix, problem.operator.out_shape)
    checks.finite(where, "problem.y", matrix)
    return matrix


class _Carry(NamedTuple):
    x: Array
    previous: Array
    variance: Array
    inputs: tuple[Message, ...]
    to_outputs: tuple[Message, ...]
    below: tuple[Message, ...]
    u: Array


@partial(jax.jit, static_argnums=5)
def _amp(
    problem: Problem, matrix: Array, u0: Array, noise_std: Array, latent_std: Any, num_steps: int
) -> SpikedEstimate:
    held, slope = prepared(problem, latent_std), slope_of(problem.prior)
    target, n = held.target, len(matrix)
    matrix = matrix.astype(target.dtype)
    gain = n / jnp.square(noise_std).astype(target.dtype)
    layers = held.stages[:-1]
    latent = Message(jnp.ones((), target.dtype), jnp.zeros(u0.size, target.dtype))
    sizes = [stage.model.out_shape[0] for stage in layers]
    quiet = tuple(silent(target, size) for size in sizes)
    scale = held.scales[-2]

    def body(carry: _Carry, _: None) -> tuple[_Carry, tuple[Array, Array]]:
        image = product(matrix, carry.x) - n * carry.variance * carry.previous
        energy = gain * numerics.sum_squares(carry.x)
        seen = Message(energy * jnp.square(scale), gain * image * scale)
        following = _sweep(held, slope, latent, seen, carry)
        move = numerics.safe_norm(following.x - carry.x)
        change = numerics.safe_divide(move, numerics.safe_norm(following.x))
        return following, (following.variance, change)

    start = problem.signal(u0).astype(target.dtype)
    start = _FIRST_SIZE * numerics.safe_divide(start, numerics.safe_norm(start)) * scale * n**0.5
    zero = jnp.zeros((), target.dtype)
    first = _Carry(
        start, jnp.zeros_like(start), zero, quiet, quiet, (latent, *quiet), latent.linear
    )
    last, (variance, change) = lax.scan(body, first, None, length=num_steps)
    dtype = u0.dtype
    u = (held.scales[0] * last.u).astype(dtype)
    return SpikedEstimate(last.x.astype(dtype), u, variance.astype(dtype), change.astype(dtype))


def _sweep(held: Prepared, slope: float, latent: Message, seen: Message, carry: _Carry) -> _Carry:
    """Return the estimates after messages down from x to the latent, and up again."""
    layers, scale = held.stages[:-1], held.scales[-2]
    to_outputs, to_inputs = [seen], []
    for index in reversed(range(len(layers))):
        z, h = carry.inputs[index], to_outputs[0]
        mean, variance, _, _ = unit_moments(slope, z, h)
        # a linear unit hands on what it is told, of which moments would round a part away
        told = h if slope == 1 else reply(Moments(mean, jnp.mean(variance)), z)
        to_inputs.insert(0, told)
        estimate = linear_moments(layers[index], carry.below[index], told)[0]
        if index:
            to_outputs.insert(0, reply(estimate, carry.below[index]))
    below, inputs, u = [latent], [], latent.linear
    mean = variance = latent.linear
    for index, stage in enumerate(layers):
        estimate, image = linear_moments(stage, below[index], to_inputs[index])
        u = u if index else estimate.mean
        inputs.append(reply(image, to_inputs[index]))
        _, _, mean, variance = unit_moments(slope, inputs[index], to_outputs[index])
        below.append(reply(Moments(mean, jnp.mean(variance)), to_outputs[index]))
    total = jnp.square(scale) * jnp.mean(variance)
    return _Carry(scale * mean, carry.x, total, tuple(inputs), tuple(to_outputs), tuple(below), u)
