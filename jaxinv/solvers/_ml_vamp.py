"""Multilayer vector approximate message passing: posterior means of a network's signals."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, replace, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._message_passing import kept_share
from jaxinv.solvers._network_messages import (
    Message,
    Moments,
    damped,
    linear_moments,
    mean_of,
    reply,
    sign_moments,
    silent,
    unit_moments,
)
from jaxinv.solvers._network_model import output_of, prepared, require_network, slope_of

_ROUNDING = 4.0  # rounding errors of the decompositions and the products, in eps
_FIRST_SNR = 100.0  # of the measurements, where the noise is to be estimated
_LARGEST_RATIO = 1e4  # between the prior's variance as estimated and at the start


class MlVampState(NamedTuple):
    """State of ``ml_vamp``; messages and variances are in units of ``Prepared.scales``.

    Attributes:
        u: the posterior mean of the latent.
        x: that of the signal.
        to_inputs: messages from above to what enters every unit, and to A G(z).
        to_outputs: messages from above to what leaves every unit.
        noise_variance, latent_variance: as estimated, or given.
        signal_variance: predicted, of an entry of x.
    """

    u: Array
    x: Array
    to_inputs: tuple[Message, ...]
    to_outputs: tuple[Message, ...]
    noise_variance: Array
    latent_variance: Array
    signal_variance: Array


@pytree
class MlVamp(Solver):
    """See ``ml_vamp``; ``prepared`` is filled in by ``prepare``."""

    noise_std: Any
    latent_std: Any
    damping: Any
    prepared: Any = None

    judged_by_error = True
    scalars = ("noise_std", "latent_std", "damping")
    units = units.table(
        noise_std=units.DATA,
        latent_std=units.UNKNOWN,
        u=units.UNKNOWN,
        x=units.UNKNOWN,
        signal_variance=units.Unit(2, 0),
        prepared=None,
    )

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_network(where, problem, self.noise_std, self.latent_std)

    def prepare(self, problem: Problem) -> MlVamp:
        require_network("ml_vamp", problem, self.noise_std, self.latent_std)
        return replace(self, prepared=prepared(problem, self.latent_std))

    def init(self, problem: Problem, u0: Array) -> MlVampState:
        if self.prepared is None:
            return self.prepare(problem).init(problem, u0)
        stages, scales, target, _, used = self.prepared
        sizes = [stage.model.out_shape[0] for stage in stages]
        to_inputs = tuple(silent(target, size) for size in sizes)
        to_outputs = tuple(silent(target, size) for size in sizes[:-1])
        one, energy = jnp.ones((), target.dtype), mean_of(jnp.square(target), used)
        noise = energy / (1 + _FIRST_SNR)
        if self.noise_std is not None:
            noise = jnp.square(jnp.asarray(self.noise_std).astype(target.dtype) / scales[-1])
        x = jnp.zeros(sizes[-2], u0.dtype)
        return MlVampState(
            u0, x, to_inputs, to_outputs, self._floored(noise), one,
            jnp.square(scales[-2]).astype(u0.dtype),
        )  # fmt: skip

    def step(self, problem: Problem, state: MlVampState) -> tuple[MlVampState, Info]:
        if self.prepared is None:
            return self.prepare(problem).step(problem, state)
        stages, scales, *_ = self.prepared
        slope = slope_of(problem.prior)
        keep = jnp.asarray(self.damping).astype(state.noise_variance.dtype)
        below, inputs = self._upwards(slope, state)
        top, noise = self._measured(problem, inputs[-1], state)
        to_inputs, to_outputs = [damped(top, state.to_inputs[-1], keep)], []
        signal = estimate = linear_moments(stages[-1], below[-1], to_inputs[0])[0]
        for index in reversed(range(len(stages) - 1)):
            h = damped(reply(estimate, below[index + 1]), state.to_outputs[index], keep)
            mean, variance, _, _ = unit_moments(slope, inputs[index], h)
            fresh = reply(Moments(mean, jnp.mean(variance)), inputs[index])
            to_outputs.insert(0, h)
            to_inputs.insert(0, damped(fresh, state.to_inputs[index], keep))
            estimate = linear_moments(stages[index], below[index], to_inputs[0])[0]
        dtype = state.u.dtype
        x = (scales[-2] * signal.mean).astype(dtype)
        change = _change(x, state.x) / (1 - keep)  # as it would be without damping
        following = MlVampState(
            u=(scales[0] * estimate.mean).astype(dtype),
            x=x,
            to_inputs=tuple(to_inputs),
            to_outputs=tuple(to_outputs),
            noise_variance=noise,
            latent_variance=self._latent_variance(state, estimate),
            signal_variance=(jnp.square(scales[-2]) * signal.variance).astype(dtype),
        )
        return following, Info(problem.loss(state.u), change.astype(dtype))

    def signal(self, problem: Problem, state: MlVampState) -> Array:
        """Return the posterior mean of the signal."""
        return state.x

    def _upwards(self, slope: float, state: MlVampState) -> tuple[list[Message], list[Message]]:
        """Return the messages from below: to what leaves every unit, the latent first, and to
        what enters it."""
        stages, dtype = self.prepared.stages, state.noise_variance.dtype
        below = [Message(1 / state.latent_variance, jnp.zeros(state.u.size, dtype))]
        inputs = []
        for index, stage in enumerate(stages):
            toward = state.to_inputs[index]
            inputs.append(reply(linear_moments(stage, below[index], toward)[1], toward))
            if index < len(stages) - 1:
                h = state.to_outputs[index]
                _, _, mean, variance = unit_moments(slope, inputs[index], h)
                below.append(reply(Moments(mean, jnp.mean(variance)), h))
        return below, inputs

    def _measured(self, problem: Problem, z: Message, state: MlVampState) -> tuple[Message, Array]:
        """Return what the measurements say about A G(z), and the variance of the noise."""
        y, dither, used = self.prepared[2:]
        noise, output = state.noise_variance, output_of(problem.operator)
        if output == "signs":
            shift = 0 if dither is None else dither
            moved = Message(z.precision, z.linear + z.precision * shift)
            mean, variance = sign_moments(y, moved, noise)
            return reply(Moments(mean - shift, mean_of(variance, used)), z), noise
        seen = Message(1 / noise, y / noise)
        slope = 1.0 if output == "values" else -1.0
        mean, variance, found, spread = unit_moments(slope, z, seen)
        if self.noise_std is None:
            noise = self._floored(mean_of(jnp.square(y - found) + spread, used))
        if output == "values":
            return seen, noise
        return reply(Moments(mean, mean_of(variance, used)), z), noise

    def _floored(self, variance: Array) -> Array:
        """Return a variance of noise that is no smaller than that of rounding errors."""
        target = self.prepared.target
        energy = mean_of(jnp.square(target), self.prepared.used)
        floor = (_ROUNDING * jnp.finfo(target.dtype).eps) ** 2
        return jnp.maximum(variance, floor * jnp.maximum(lax.stop_gradient(energy), 1))

    def _latent_variance(self, state: MlVampState, estimate: Moments) -> Array:
        """Return the variance of the prior, by a step of expectation maximization."""
        if self.latent_std is not None:
            return state.latent_variance
        energy = numerics.sum_squares(estimate.mean) / self.prepared.stages[0].num_columns
        return jnp.clip(energy + estimate.variance, 1 / _LARGEST_RATIO, _LARGEST_RATIO)


def _change(x: Array, last: Array) -> Array:
    """Return the change relative to the larger of the two."""
    size = jnp.maximum(numerics.safe_norm(x), numerics.safe_norm(last))
    return numerics.safe_divide(numerics.safe_norm(x - last), size)


def ml_vamp(noise_std: Any = None, latent_std: Any = None, *, damping: Any = 0.3) -> MlVamp:
    r"""Multilayer vector approximate message passing: the mean of a network's posterior.

    .. math:: z \sim N(0, \tau^2 I), \quad h_i = \sigma(W_i h_{i-1} + b_i), \quad x = h_d, \quad
        y = A x + \eta, \;\; |A x| + \eta, \;\; \text{or} \;\; \operatorname{sign}(A x + t + \eta)

    Gaussian beliefs of one precision a layer go up and down between linear maps, whose moments
    their singular values give, and units, whose moments are those of truncated Gaussians. There
    is no start to be chosen and no descent to be caught: with random weights and enough
    measurements it finds the posterior mean where ``levenberg_marquardt`` from one start does
    not, and ``theory.network_state_evolution`` predicts its error. To go on
    to the floor of the type: ``then(ml_vamp(...), levenberg_marquardt())``. Of 96 networks
    (20, 700, 600) with 23 measurements (noise 0.01) it recovers 57 to a squared error below
    1 %, with that 64; the better of 8 starts of Levenberg-Marquardt 32.

    Args:
        noise_std: σ >= 0 of the noise of a measurement; None: estimated as the algorithm runs.
        latent_std: τ > 0, 1 for a trained generator; None: estimated, from y at first.
        damping: share in [0, 1) of every message to below that is kept from the last step.

    Returns:
        A solver. ``sol.x`` is the posterior mean of x, which is not G of that of z, ``sol.u``;
        ``sol.state.signal_variance`` the predicted mean squared error of an entry.
        ``info.loss`` is ½‖predict(u) − y‖²; ``info.error`` the relative change of x, over the
        share of fresh messages, so that damping makes it no smaller.

    Raises:
        TypeError: a prior that is no network of layers, or with a latent that is not N(0, I);
            measurements that are not linear, magnitudes or signs.
        ValueError: complex measurements; signs without ``noise_std`` and ``latent_std``, which
            they do not tell; numbers out of range.

    Cost: one singular value decomposition of A and of every layer at the start; then each of
        them four times a step, and their transposes twice.

    Notes: ``u0`` is not used, except for its type: messages start from the prior.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = ji.generators.relu(jax.random.key(0), (20, 100, 200))
        >>> family = ji.problems.generative(generator=G, num_measurements=60, noise_std=0.01)
        >>> problem = family.sample(jax.random.key(1))
        >>> u0 = family.initial(jax.random.key(1))
        >>> sol = ji.solve(ml_vamp(0.01, 1.0), problem, u0, tol=1e-4, max_steps=200)
        >>> bool(ji.metrics.relative_error(sol.x, problem.truth.x) < 0.03)
        True

    Source: Fletcher, Rangan, Schniter (2018), "Inference in deep networks in high dimensions";
        Pandit, Sahraee-Ardakan, Rangan, Schniter, Fletcher (2020).
    """
    where = "ml_vamp"
    if noise_std is not None:
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
    if latent_std is not None:
        latent_std = checks.positive(where, "latent_std", latent_std)
    return MlVamp(noise_std, latent_std, kept_share(where, damping))
