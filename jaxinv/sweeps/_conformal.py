"""Split-conformal intervals: around any estimate, from its errors on signals that are known."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num

from jaxinv._core import checks, pytree, static

_KINDS = ("entry", "signal")
_ROUNDING = 1e-9  # of (n + 1) times a level


@pytree
class Conformal:
    """Intervals around estimates; see ``conformal``.

    Attributes:
        radius: half the width of the intervals, over the scale where there is one: one number an
            entry, or one for all.
        signal_shape: of an estimate.
        level: share of the intervals that hold the truth, at least.
        num_signals: that the radius was taken from.
        per: ``"entry"`` or ``"signal"``.
        is_scaled: whether each estimate comes with a scale.
    """

    radius: Float[Array, "..."]
    signal_shape: tuple[int, ...] = static()
    level: float = static()
    num_signals: int = static()
    per: str = static()
    is_scaled: bool = static()

    def __call__(
        self, estimate: Num[ArrayLike, "..."], scale: Num[ArrayLike, "..."] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return the ends (low, high) of the intervals of an estimate, or of many.

        Args:
            estimate: shape (*signal_shape), or with axes of a batch before these.
            scale: of the same shape, or one number a signal; where scales were given before.
        """
        where = "Conformal"
        estimate = checks.array(where, "estimate", estimate)
        rank, axes = len(self.signal_shape), estimate.ndim - len(self.signal_shape)
        if axes < 0 or estimate.shape[axes:] != self.signal_shape:
            checks.fail(where, "estimate", f"end in shape {self.signal_shape}", estimate)
        if (scale is not None) != self.is_scaled:
            expected = "be given, as in calibration" if self.is_scaled else "be None"
            checks.fail(where, "scale", expected, "None" if scale is None else scale)
        radius = jnp.asarray(self.radius, estimate.dtype)
        if scale is not None:
            scales = _scales(where, "scale", scale, estimate.shape, rank)
            radius = radius * scales.astype(estimate.dtype)
        return estimate - radius, estimate + radius

    def covers(
        self,
        estimate: Num[ArrayLike, "..."],
        x: Num[ArrayLike, "..."],
        scale: Num[ArrayLike, "..."] | None = None,
    ) -> Bool[Array, "..."]:
        """Return where the intervals of an estimate hold the truth x, to score them on a test set.

        One answer an entry, or, with ``per="signal"``, one a signal: whether all entries are held.
        """
        low, high = self(estimate, scale)
        x = checks.array("Conformal", "x", x)
        checks.shape_is("Conformal", "x", x, low.shape)
        held = (low <= x) & (x <= high)
        if self.per == "entry":
            return held
        return jnp.all(held, axis=tuple(range(held.ndim - len(self.signal_shape), held.ndim)))


def conformal(
    estimates: Num[ArrayLike, "signals *shape"],
    truths: Num[ArrayLike, "signals *shape"],
    *,
    level: Any = 0.9,
    scales: Num[ArrayLike, "signals ..."] | None = None,
    per: str = "entry",
) -> Conformal:
    r"""Make intervals around the estimates of any solver, from signals whose truth is known.

    .. math:: |x_i - \hat x_i| \le q_i s_i, \qquad
        q_i = \text{the } \lceil (n + 1) \ell \rceil \text{-th smallest of }
        |x_i^{(j)} - \hat x_i^{(j)}| / s_i^{(j)}, \; j = 1, \dots, n

    The interval of a new signal holds its truth with probability ℓ at least, and (n + 1)ℓ rounded
    up, over n + 1, where no errors are equal: for every n, whatever the solver and however wrong
    its scale, as long as the new signal and the n known ones are exchangeable, such as drawn
    from one distribution and measured alike. The probability is over all of them, the known ones
    included (marginal): intervals of one kind of signal may hold less often, those of another
    more. The solver, its prior and its parameters must not come from these n signals.

    Args:
        estimates: of n signals, shape (n, *shape), real. One that is no number, of a solver that
            failed, counts as infinitely far off.
        truths: the signals, of the same shape.
        level: ℓ in (0, 1).
        scales: s > 0, such as a posterior standard deviation, the spread of several starts or
            the norm of the measurements: (n, *shape), or one number a signal, (n,). Intervals are
            then wide where it is large. None: 1.
        per: ``"entry"``: each entry, such as a pixel, has a radius of its own, and holds ℓ by
            itself; ``"signal"``: all entries of a signal lie in their intervals at once with
            probability ℓ, from the largest score of each signal.

    Returns:
        ``Conformal``: call it with an estimate (and scale) for (low, high); ``covers`` scores.

    Raises:
        ValueError: n below ℓ/(1 − ℓ), or so many failures that the interval is infinite; other
            shapes; truths that are not finite; a scale that is not positive.

    Cost: a sort of the errors.

    Notes: intersect with what is known of a signal, such as [0, 1], without loss of coverage.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jax.random.normal(jax.random.key(0), (1000, 3)) * jnp.array([1.0, 2.0, 5.0])
        >>> intervals = conformal(jnp.zeros((500, 3)), x[:500])
        >>> low, high = intervals(jnp.zeros(3))
        >>> bool(high[0] < high[1] < high[2])
        True
        >>> rate = float(intervals.covers(jnp.zeros((500, 3)), x[500:]).mean())
        >>> 0.87 < rate < 0.93
        True

    Source: Vovk, Gammerman, Shafer (2005), "Algorithmic learning in a random world"; Lei,
        G'Sell, Rinaldo, Tibshirani, Wasserman (2018), algorithm 2 and theorem 2.
    """
    where = "conformal"
    estimates = checks.array(where, "estimates", estimates)
    truths = checks.array(where, "truths", truths)
    if estimates.ndim < 1 or jnp.iscomplexobj(estimates) or jnp.iscomplexobj(truths):
        hint = "Take the real and imaginary parts, or the magnitudes."
        checks.fail(where, "estimates and truths", "be real, of shape (n, ...)", estimates, hint)
    checks.shape_is(where, "truths", truths, estimates.shape)
    checks.finite(where, "truths", truths)
    per = checks.choice(where, "per", per, _KINDS)
    level = checks.scalar(where, "level", level, low=0.0, high=1.0, open_low=True, single=True)
    count, shape = len(estimates), estimates.shape[1:]
    place = _place(where, count, float(level))
    scores = jnp.abs(truths - estimates)
    if scales is not None:
        scores = scores / _scales(where, "scales", scales, estimates.shape, len(shape))
    scores = jnp.where(jnp.isfinite(scores), scores, jnp.inf)
    if per == "signal":
        scores = jnp.max(scores.reshape(count, -1), axis=1)
    radius = jnp.sort(scores, axis=0)[place - 1]
    if checks.is_concrete(radius) and bool(jnp.any(jnp.isinf(radius))):
        got = f"{int(jnp.sum(jnp.any(jnp.isinf(scores.reshape(count, -1)), 1)))} that are not"
        expected = f"be finite for {place} of {count} signals"
        checks.fail(where, "estimates", expected, got, "Too many failed: no interval is finite.")
    return Conformal(radius, shape, float(level), count, per, scales is not None)


def _place(where: str, count: int, level: float) -> int:
    """Return which of the sorted scores is the radius; refuse too few for a finite one."""
    if level >= 1:
        checks.fail(where, "level", "be below 1: no finite interval is certain", level)
    place = math.ceil((count + 1) * level - _ROUNDING)
    if place > count:
        least = math.ceil(level / (1 - level) - _ROUNDING)
        expected = f"be of at least {least} signals at level {level:g}"
        hint = "The interval of so few is infinite."
        checks.fail(where, "estimates", expected, f"{count}", hint)
    return place


def _scales(where: str, argument: str, scales: Any, shape: tuple[int, ...], rank: int) -> Array:
    """Return positive scales, one an entry, or one a signal with axes of 1 after it."""
    scales = checks.array(where, argument, scales)
    batch = shape[: len(shape) - rank]
    if scales.shape == batch:
        scales = scales.reshape(*batch, *(1,) * rank)
    elif scales.shape != shape:
        checks.fail(where, argument, f"have shape {shape} or {batch}", scales)
    if checks.is_concrete(scales):
        seen = np.asarray(jax.device_get(scales))
        if not np.all((seen > 0) & np.isfinite(seen)):
            hint = "Add a floor, such as a hundredth of the largest."
            checks.fail(where, argument, "be finite and > 0", "others", hint)
    return scales
