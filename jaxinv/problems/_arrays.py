"""A family of one's own signals, with simulated or given measurements."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Inexact, Num

from jaxinv._core import checks, pytree, replace
from jaxinv.operators import Operator
from jaxinv.problems._problem import Family, Problem, Truth, num_starts
from jaxinv.problems._simulate import checked_noise, measured_entries, simulate

_FEWEST = 8  # signals that can be split


@pytree
class ArraysFamily(Family):
    """Measurements of given signals; see ``from_arrays``."""

    operator: Operator
    x: Array
    y: Any
    noise_std: Any
    snr_db: Any
    measured: Any

    @property
    def axes(self) -> Problem:
        """All trials share the operator."""
        return Problem(operator=None, y=0, prior=None, truth=0)

    def sample(self, key: Any) -> Problem:
        """Draw one of the signals, with its measurements; each is equally likely."""
        index_key, noise_key = jax.random.split(checks.key("sample", key))
        index = jax.random.randint(index_key, (), 0, len(self.x))
        y, truth = _measured(self, index, noise_key)
        return Problem(self.operator, y, None, truth)

    def split(self, key: Any, share: float = 0.2) -> tuple[ArraysFamily, ArraysFamily]:
        """Return two families of other signals: all but a share of them, and that share.

        Args:
            key: decides which.
            share: of the second family, in (0, 1).
        """
        key = checks.key("split", key)
        share = checks.scalar(
            "split", "share", share, low=0.0, high=1.0, open_low=True, single=True
        )
        count = len(self.x)
        held = max(1, round(count * float(share)))
        if count < _FEWEST or held >= count:
            hint = "Give more signals, or others by fit(..., validation=from_arrays(operator, x))."
            expected = f"hold at least {_FEWEST} signals, to train on some and validate with others"
            checks.fail("from_arrays", "x", expected, f"{count}", hint)
        order = jax.random.permutation(key, count)
        return self._of(order[held:]), self._of(order[:held])

    def _of(self, places: Array) -> ArraysFamily:
        y = None if self.y is None else self.y[places]
        return replace(self, x=self.x[places], y=y)

    def training_batch(self, key: Any, step: Any, size: int) -> Problem:
        """Return the next signals of an epoch: each comes once before any comes again.

        The last signals of an epoch that fill no batch are left out of it; every epoch has an
        order of its own.
        """
        count = len(self.x)
        size = min(size, count)
        order_key, noise_key = jax.random.split(key)
        epoch, place = jnp.divmod(jnp.asarray(step), count // size)
        order = jax.random.permutation(jax.random.fold_in(order_key, epoch), count)
        places = lax.dynamic_slice_in_dim(order, place * size, size)
        return self._measured(places, jax.random.fold_in(noise_key, step))

    def validation(self, key: Any, size: int) -> Problem:
        """Return the first ``size`` signals, each once."""
        return self._measured(jnp.arange(min(size, len(self.x))), key)

    def _measured(self, places: Array, key: Array) -> Problem:
        keys = jax.random.split(key, len(places))
        y, truth = jax.vmap(_measured, in_axes=(None, 0, 0))(self, places, keys)
        return Problem(self.operator, y, None, truth)

    def initial(self, key: Any, num_restarts: int | None = None) -> Inexact[Array, "..."]:
        """Return zeros of the shape of a signal; the key is not used."""
        checks.key("initial", key)
        shape = self.x.shape[1:]
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return jnp.zeros(shape, self.x.dtype)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _measured(family: ArraysFamily, index: Array, noise_key: Array) -> tuple[Array, Truth]:
    x = family.x[index]
    if family.y is not None:
        return family.y[index], Truth(x, x)
    levels = (family.noise_std, family.snr_db)
    y, noise = simulate(family.operator, x, noise_key, family.measured, levels)
    return y, Truth(x, x, noise)


def from_arrays(
    operator: Any,
    x: Num[ArrayLike, "signals *shape"],
    y: Num[ArrayLike, "signals *out"] | None = None,
    *,
    noise_std: Any = None,
    snr_db: Any = None,
) -> ArraysFamily:
    r"""Make a family of your own signals.

    .. math:: y = A x_i + \eta, \qquad i \text{ uniform}

    To train, tune and score on data that no family of this library draws. Trials share the
    operator; the signals are leaves of the family, held once. ``unfolded.fit`` holds a fifth of
    them out for validation and goes through the others in epochs; ``split(key, share)`` sets
    signals aside for a test.

    Args:
        operator: A, any operator of ``jaxinv.operators``; ``operators.dense`` wraps a matrix.
        x: the signals, shape (N, *operator.in_shape).
        y: their measurements, shape (N, *operator.out_shape); None: they are simulated.
        noise_std: σ >= 0 of simulated noise; complex measurements get E|η_i|² = σ². None: none.
        snr_db: 10 log₁₀(‖A x‖² / (m σ²)) of each signal, in place of ``noise_std``.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (zero), ``batch(keys)``, ``axes`` and
        ``split(key, share)``.
        The truth's ``noise`` is None where y is given.

    Raises:
        ValueError: other shapes, NaN or infinity, noise for measurements that are given.

    Cost: a simulated draw takes one product with A.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 6, 8)
        >>> family = from_arrays(A, jnp.eye(8), noise_std=0.1)
        >>> family.batch(jax.random.split(jax.random.key(1), 20)).y.shape
        (20, 6)
        >>> train, test = family.split(jax.random.key(2), 0.5)
        >>> train.x.shape, test.x.shape
        ((4, 8), (4, 8))
    """
    where = "from_arrays"
    if not isinstance(operator, Operator):
        hint = "Wrap a matrix with operators.dense, a function with operators.from_function."
        checks.fail_type(where, "operator", "be an operator", operator, hint)
    x = _batch(where, "x", x, operator.in_shape)
    noise_std, snr_db = checked_noise(where, noise_std, snr_db)
    if y is None:
        measured = jax.jit(measured_entries)(operator, x[0])
        return ArraysFamily(operator, x, None, noise_std, snr_db, measured)
    y = _batch(where, "y", y, operator.out_shape)
    if len(y) != len(x):
        checks.fail(where, "y", f"hold the measurements of {len(x)} signals", y)
    if snr_db is not None or (checks.is_concrete(noise_std) and noise_std):
        got = f"{noise_std if snr_db is None else snr_db}"
        checks.fail(where, "noise_std and snr_db", "be None: y is given", got)
    return ArraysFamily(operator, x, y, 0.0, None, None)


def _batch(where: str, argument: str, value: Any, shape: tuple[int, ...]) -> Array:
    value = checks.array(where, argument, value)
    if value.shape[1:] != tuple(shape) or value.ndim != len(shape) + 1 or not len(value):
        expected = f"have shape (N, {', '.join(map(str, shape))})"
        checks.fail(where, argument, expected, value, "The first axis counts the signals.")
    checks.finite(where, argument, value)
    return value
