"""Stopping rules that see the measurements and the iterates, never the truth."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._mask import Identity
from jaxinv.problems import Problem

_LARGE = 5.0  # root mean squares: Gaussian measurements are smaller, all but one in a million
_ALWAYS_FITTED = 0.1  # share of the complex measurements


class StoppingRule:
    """What a stopping rule does; a pytree, its numbers static.

    ``fit`` follows the score from look to look and keeps the estimate where it was least; it
    stops when the score has not fallen for ``patience`` steps, and never where that is None.

    The problem that the methods see has its measurements in a unit, ``problem.operator.unit``,
    that keeps squares of very small or large ones representable. A score that
    ``judges_measurements`` is in their squares, and reported in their own unit.
    """

    patience: int | None
    judges_measurements: bool = False
    has_twin: bool = False
    keeps_last: bool = False

    @property
    def min_steps(self) -> int:
        """Steps before the score means something."""
        return 0

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        """Return the rule's memory before the first step."""
        raise NotImplementedError

    def fitted(self, memory: Any, problem: Problem) -> Problem:
        """Return the problem to fit: fewer measurements, where the rule needs some."""
        return problem

    def twin(self, memory: Any, problem: Problem) -> Problem:
        """Return the problem of the twin, for rules that have one."""
        raise NotImplementedError

    def check(self, where: str, problem: Problem) -> None:
        """Refuse a problem that the rule cannot judge."""

    def observe(self, memory: Any, x: Array) -> Any:
        """Take in the signal of one step."""
        raise NotImplementedError

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        """Return what should be small: of the memory, or of the averaged estimate ``x``."""
        raise NotImplementedError


@pytree
class Unstopped(StoppingRule):
    """No rule: every step is run and the last estimate kept."""

    patience: int | None = static(default=None)
    keeps_last = True

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        return ()

    def observe(self, memory: Any, x: Array) -> Any:
        return memory

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        return jnp.zeros((), numerics.real_dtype(x.dtype))


@pytree
class LeastResidual(StoppingRule):
    """See ``least_residual``; it has no memory."""

    patience: int | None = static(default=None)
    judges_measurements = True

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        return ()

    def observe(self, memory: Any, x: Array) -> Any:
        return memory

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        return numerics.sum_squares(problem.operator(x) - problem.y)


def least_residual(patience: int | None = None) -> LeastResidual:
    r"""Keep the averaged estimate that meets the measurements best, not the last one.

    .. math:: \arg\min_t \|A \bar x_t - y\|^2

    For measurements without noise, where the loss goes up and down at the end of a fit. In noise
    it prefers the estimate that fits the noise best: use another rule.

    Args:
        patience: steps without a new minimum before the fit stops; None runs every step.

    Returns:
        A rule for ``fit(stop=...)``.

    Raises: ValueError: a patience below 1.

    Example:
        >>> least_residual().patience is None
        True

    Source: Heckel, Hand (2019), the option ``find_best`` of the code published with it.
    """
    if patience is not None:
        patience = checks.count("least_residual", "patience", patience)
    return LeastResidual(patience)


@pytree
class WindowedVariance(StoppingRule):
    """See ``windowed_variance``; memory is (window, *x.shape) and the number seen."""

    patience: int | None = static()
    window: int = static()

    @property
    def min_steps(self) -> int:
        return self.window

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        return (jnp.zeros((self.window, *x.shape), x.dtype), jnp.zeros((), jnp.int32))

    def observe(self, memory: Any, x: Array) -> Any:
        recent, count = memory
        return recent.at[count % self.window].set(x), count + 1

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        recent, _ = memory
        centered = recent - jnp.mean(recent, axis=0)  # squares of differences: no cancellation
        return numerics.sum_squares(centered) / recent.size


def windowed_variance(window: int = 100, patience: int = 1000) -> WindowedVariance:
    r"""Stop where the iterates move least: the variance within a window of them.

    .. math:: \frac1{W n} \sum_{i=t-W+1}^{t} \|x_i - \bar x\|^2

    While the fit learns the image the iterates move; once they fit noise they move again.

    Args:
        window: W >= 2 iterates, held in memory.
        patience: steps without a new minimum before the fit stops.

    Returns:
        A rule for ``fit(stop=...)``.

    Raises: ValueError: a window below 2, no patience.

    Example:
        >>> windowed_variance(50, 500).min_steps
        50

    Source: Wang, Li, Zhuang, Chen, Liang, Sun (2023), algorithm 1 (WMV).
    """
    where = "windowed_variance"
    return WindowedVariance(
        checks.count(where, "patience", patience),
        checks.count(where, "window", window, minimum=2),
    )


@pytree
class ExponentialVariance(StoppingRule):
    """See ``exponential_variance``; memory is the mean, the variance and the number seen."""

    patience: int | None = static()
    weight: float = static()

    @property
    def min_steps(self) -> int:
        return round(10 / self.weight)

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        real = numerics.real_dtype(x.dtype)
        return (jnp.zeros_like(x), jnp.zeros((), real), jnp.zeros((), jnp.int32))

    def observe(self, memory: Any, x: Array) -> Any:
        mean, variance, count = memory
        change = jnp.where(count == 0, 0, x - mean)  # the first image is the mean
        mean = jnp.where(count == 0, x, mean + self.weight * change)
        spread = numerics.sum_squares(change) / x.size
        return mean, (1 - self.weight) * (variance + self.weight * spread), count + 1

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        return memory[1]


def exponential_variance(weight: float = 0.1, patience: int = 1000) -> ExponentialVariance:
    r"""Stop where the iterates move least, by an exponentially weighted variance.

    .. math::
        \bar x \leftarrow \bar x + a (x_t - \bar x), \qquad
        v \leftarrow (1 - a)\bigl(v + a \|x_t - \bar x\|^2 / n\bigr)

    As ``windowed_variance``, with one image in memory instead of a window of them.

    Args:
        weight: a in (0, 1); the first 10 / a steps are not judged.
        patience: steps without a new minimum before the fit stops.

    Returns: A rule for ``fit(stop=...)``.

    Raises: ValueError: a weight outside (0, 1), no patience.

    Example:
        >>> exponential_variance().min_steps
        100

    Source: Wang et al. (2023), algorithm 2 (EMV).
    """
    where = "exponential_variance"
    weight = float(
        checks.scalar(where, "weight", weight, low=0.0, high=1.0, open_low=True, single=True)
    )
    if weight >= 1:
        checks.fail(where, "weight", "be below 1", weight)
    return ExponentialVariance(checks.count(where, "patience", patience), weight)


@pytree
class HeldOut(StoppingRule):
    """See ``held_out``; memory is the mask of the entries that are not fitted."""

    patience: int | None = static()
    fraction: float = static()
    judges_measurements = True

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        draws = jax.random.uniform(key, problem.y.shape)
        draws = jnp.where(_can_be_missed(problem.y), draws, jnp.inf)
        return draws <= jnp.maximum(self.fraction, jnp.min(draws))  # one entry at least

    def check(self, where: str, problem: Problem) -> None:
        if problem.y.size < 2:
            hint = "Of a single one none can be held out: use stop=None."
            checks.fail(where, "problem.y", "have two entries or more", problem.y, hint)

    def fitted(self, memory: Any, problem: Problem) -> Problem:
        kept = Kept(problem.operator, ~memory)
        return problem._replace(operator=kept, y=jnp.where(memory, 0, problem.y))

    def observe(self, memory: Any, x: Array) -> Any:
        return memory

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        error = jnp.where(memory, problem.operator(x) - problem.y, 0)
        return numerics.safe_divide(numerics.sum_squares(error), jnp.sum(memory))


def _can_be_missed(y: Array) -> Array:
    """Return the entries that may be left out: all, if the others are none.

    Not those that are 0, as what was not measured is; and not the few that hold most of the
    energy, such as the mean of an image: without them there is no image to judge.
    """
    sizes = numerics.magnitude(y)
    measured = sizes > 0
    small = measured & (sizes <= _LARGE * jnp.sqrt(jnp.mean(jnp.square(sizes))))
    if jnp.iscomplexobj(y):
        ordered = jnp.sort(sizes, axis=None, descending=True)
        first = (_ALWAYS_FITTED * jnp.sum(measured)).astype(jnp.int32)
        small &= sizes < ordered[first]
    allowed = jnp.where(jnp.any(small), small, measured)
    return allowed | ~jnp.any(allowed)


@pytree
class Kept:
    """An operator some of whose measurements are not looked at."""

    operator: Any
    keep: Array

    @property
    def in_shape(self) -> Any:
        """Shape of ``x``."""
        return self.operator.in_shape

    def __call__(self, x: Array) -> Array:
        """Return the measurements, 0 where they are left out."""
        return jnp.where(self.keep, self.operator(x), 0)


def held_out(fraction: float = 0.05, patience: int = 500) -> HeldOut:
    r"""Stop where measurements that were left out are predicted best.

    .. math:: \frac1{|H|} \sum_{i \in H} |(A x)_i - y_i|^2

    Their expected error is that of the signal plus the noise level, when the noise of the
    entries of y is independent: a score that needs neither the truth nor the noise level.

    Always fitted are entries that are 0, as an operator leaves those it does not measure, real
    ones above five times the root mean square, and the largest tenth of complex ones: k-space
    and other transforms hold the image's mean and most of its energy in a few of them.

    Args:
        fraction: share of the entries of y that is left out, in (0, 1/2]; chosen at random, one
            entry at least.
        patience: steps without a new minimum before the fit stops.

    Returns:
        A rule for ``fit(stop=...)``.

    Raises: ValueError: a share outside (0, 1/2], no patience.

    Example:
        >>> held_out(0.1).fraction
        0.1

    Source: cross-validation; for pixels, Batson, Royer (2019), proposition 1.
    """
    where = "held_out"
    fraction = float(checks.scalar(where, "fraction", fraction, low=0.0, high=0.5, open_low=True))
    return HeldOut(checks.count(where, "patience", patience), fraction)


@pytree
class Sure(StoppingRule):
    """See ``sure``; memory is the probe b."""

    noise_std: Any
    patience: int | None = static()
    has_twin = True
    judges_measurements = True

    def begin(self, key: Array, problem: Problem, x: Array) -> Any:
        probe = jax.random.rademacher(key, problem.y.shape, problem.y.dtype)
        return self.amplitude(problem) * probe

    def twin(self, memory: Any, problem: Problem) -> Problem:
        return problem._replace(y=problem.y + memory)

    def check(self, where: str, problem: Problem) -> None:
        if not isinstance(problem.operator, Identity):
            hint = "For other operators use untrained.held_out()."
            got = type(problem.operator).__name__
            checks.fail(where, "problem.operator", "be the identity, as stop=sure needs", got, hint)

    def amplitude(self, problem: Problem) -> Array:
        """Return the size of the probe's entries: as large as the noise's, in the unit of y."""
        unit = problem.operator.unit
        return unit * jnp.asarray(self.noise_std, unit.dtype)

    def observe(self, memory: Any, x: Array) -> Any:
        return memory

    def score(self, memory: Any, problem: Problem, x: Array, twin: Any) -> Array:
        y, probe = problem.y, memory
        measured, measured_twin = problem.operator(x), problem.operator(twin)
        variance = jnp.square(self.amplitude(problem))
        # Rademacher entries: the squared size of the probe is that of one entry
        divergence = numerics.safe_divide(jnp.sum(probe * (measured_twin - measured)), variance)
        misfit = numerics.sum_squares(measured - y) / y.size
        return misfit - variance + 2 * variance * divergence / y.size


def sure(noise_std: Any, patience: int = 500) -> Sure:
    r"""Stop where Stein's unbiased estimate of the denoising error is least.

    .. math::
        \mathrm{SURE} = \tfrac1n \|f(y) - y\|^2 - \sigma^2
            + \tfrac{2 \sigma^2}{n} \operatorname{div}_y f, \qquad
        \operatorname{div}_y f \approx \tfrac1{\sigma^2} b^T (f(y + b) - f(y))

    f(y) is the averaged estimate after so many steps. Its divergence is measured by a twin that
    is fitted, from the same start, to y + b with b of independent entries ±σ: twice the cost.

    Args:
        noise_std: σ > 0, the standard deviation of the noise, which must be known.
        patience: steps without a new minimum before the fit stops.

    Returns:
        A rule for ``fit(stop=...)``, for denoising only: the operator must be the identity.

    Raises: ValueError: a level that is not positive, no patience.

    Example:
        >>> sure(0.1).has_twin
        True

    Source: Stein (1981); probes: Ramani, Blu, Unser (2008).
    """
    noise_std = checks.positive("sure", "noise_std", noise_std)
    return Sure(noise_std, checks.count("sure", "patience", patience))
