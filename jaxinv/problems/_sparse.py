"""Compressed sensing of sparse signals."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Inexact

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators import LinearOperator, Operator
from jaxinv.operators._dense import Dense
from jaxinv.problems._problem import (
    Family,
    Problem,
    Truth,
    active_mask,
    active_size,
    masked,
    num_starts,
    require_scalars,
)

_PROBLEM = 0  # stream of one trial's key
_SCALARS = ("sparsity", "num_nonzeros", "snr_db", "condition_number", "active_measurements")


@pytree
class SparseFamily(Family):
    """Random sparse recovery problems; see ``sparse``."""

    operator: LinearOperator | None
    sparsity: Any
    num_nonzeros: Any
    snr_db: Any
    condition_number: Any
    active_measurements: Any
    num_measurements: int = static()
    signal_size: int = static()
    unit_columns: bool = static()
    dtype: Any = static()

    @property
    def axes(self) -> Problem:
        """A given operator is shared by all trials; the rest differs."""
        shared = self.operator is not None
        return Problem(operator=None if shared else 0, y=0, prior=None, truth=0)

    def sample(self, key: Any) -> Problem:
        """Draw operator (unless it was given), signal and noise from one key."""
        require_scalars(self, *_SCALARS)
        drawn, y, x, noise = _draw(self, checks.key("sample", key))
        operator = drawn if self.operator is None else self.operator
        return Problem(operator, y, None, Truth(x, x, noise))

    def initial(self, key: Any, num_restarts: int | None = None) -> Inexact[Array, "*restarts n"]:
        """Return the start 0, shape (n,), or (num_restarts, n); the key is not used."""
        checks.key("initial", key)
        shape = (self.signal_size,)
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return jnp.zeros(shape, self.dtype)

    def _rows(self) -> tuple[Array | None, Any]:
        """Return which measurements are in use, and how many."""
        rows = active_mask(self.active_measurements, self.num_measurements)
        return rows, self.num_measurements if rows is None else self.active_measurements

    def _matrix(self, key: Array) -> Array:
        rows, active = self._rows()
        matrix = jax.random.normal(key, (self.num_measurements, self.signal_size), self.dtype)
        matrix = matrix / jnp.sqrt(jnp.asarray(active, self.dtype))
        matrix = matrix if rows is None else jnp.where(rows[:, None], matrix, 0)
        if self.condition_number is not None:
            matrix = _with_condition_number(matrix, active, self.condition_number)
        if self.unit_columns:
            norms = jnp.squeeze(numerics.safe_norm(matrix, 0), 0)
            matrix = numerics.safe_divide(matrix, norms)
        return matrix

    def _signal(self, key: Array) -> Array:
        place_key, value_key = jax.random.split(key)
        size = self.signal_size
        if self.num_nonzeros is not None:
            support = jax.random.permutation(place_key, size) < self.num_nonzeros
        else:
            support = jax.random.uniform(place_key, (size,), self.dtype) < self.sparsity
        return jnp.where(support, jax.random.normal(value_key, (size,), self.dtype), 0)

    def _noise(self, key: Array, clean: Array) -> Array:
        if self.snr_db is None:
            return jnp.zeros_like(clean)
        rows, active = self._rows()
        noise = masked(jax.random.normal(key, clean.shape, clean.dtype), rows)
        real = numerics.real_dtype(clean.dtype)
        root_mean_square = numerics.safe_norm(clean) / jnp.sqrt(jnp.asarray(active, real))
        amplitude = 10 ** (-jnp.asarray(self.snr_db).astype(real) / 20)
        return noise * root_mean_square * amplitude


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _draw(family: SparseFamily, key: Array) -> tuple[Dense | None, Array, Array, Array]:
    """Return the operator (unless it was given), the measurements, the signal and the noise."""
    root = jax.random.fold_in(key, _PROBLEM)
    operator_key, signal_key, noise_key = jax.random.split(root, 3)
    x = family._signal(signal_key)
    if family.operator is None:
        drawn = Dense(family._matrix(operator_key))
        clean = drawn(x)
    else:
        drawn, clean = None, family.operator(x)
    noise = family._noise(noise_key, clean)
    return drawn, clean + noise, x, noise


def _with_condition_number(matrix: Array, active: Any, condition_number: Any) -> Array:
    """Replace the singular values by a geometric ladder, keeping E‖A‖_F² = n."""
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    rank = jnp.minimum(active, matrix.shape[1])
    index = jnp.arange(values.size)
    exponent = index / jnp.maximum(rank - 1, 1)
    ladder = jnp.asarray(condition_number).astype(matrix.dtype) ** -exponent.astype(matrix.dtype)
    ladder = jnp.where(index < rank, ladder, 0)
    ladder *= jnp.sqrt(jnp.asarray(matrix.shape[1], matrix.dtype)) / numerics.safe_norm(ladder)
    return numerics.matmul(left * ladder, right)


def sparse(
    num_measurements: int | None = None,
    signal_size: int | None = None,
    sparsity: Any = 0.1,
    snr_db: Any = None,
    *,
    num_nonzeros: Any = None,
    condition_number: Any = None,
    unit_columns: bool = True,
    operator: LinearOperator | None = None,
    active_measurements: Any = None,
    dtype: Any = None,
) -> SparseFamily:
    r"""Make the family of random sparse recovery problems.

    .. math:: y = A x + \eta, \qquad x_i = b_i g_i, \quad b_i \sim \mathrm{Bernoulli}(p),
        \quad g_i \sim N(0, 1)

    Each trial draws a Gaussian A, unless one is given, which is then shared by all trials and
    not copied (``axes.operator`` is None). Sparsity and the number of measurements in use may
    be traced, so that a whole phase diagram compiles once: rows of A above
    ``active_measurements`` are zero, and the problem that is left has exactly the distribution
    of the unpadded one.

    Args:
        num_measurements: m; default that of ``operator``, or 250.
        signal_size: n; default that of ``operator``, or 500.
        sparsity: p in (0, 1], the probability that an entry is not zero; may be traced.
        snr_db: 10 log₁₀ of ‖A x‖² over the expected ‖η‖², per trial; 0, or from 1 to 200 in
            magnitude; None for no noise.
        num_nonzeros: s in [0, n], exactly so many nonzero entries at random places, in place of
            ``sparsity``; may be traced.
        condition_number: κ >= 1: the singular values of A become a geometric ladder with this
            ratio, before columns are normalized (which lowers a large κ).
        unit_columns: scale every column of A to norm 1; otherwise entries are N(0, 1/m).
        operator: a linear operator from shape (n,) to (m,), in place of the Gaussian A.
        active_measurements: m in use, in [1, num_measurements]; default all; may be traced.
            A scales with it.
        dtype: real floating type of the signal and of A; default that of ``operator``, or
            float32.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (zero), ``batch(keys)`` and ``axes``.

    Raises:
        ValueError: a number out of its range, an operator of other shapes, or one together
            with an argument that describes the Gaussian A.

    Notes: the noise level follows each trial's own ‖A x‖, as in the source, whose code also
        subtracts the mean of y; a signal without any nonzero entry gets no noise.

    Example:
        >>> import jax
        >>> family = sparse(50, 100, num_nonzeros=5)
        >>> problem = family.sample(jax.random.key(0))
        >>> problem.y.shape, int((problem.truth.x != 0).sum())
        ((50,), 5)

    Source: protocol of Chen, Liu, Wang, Yin (2018), section 4.1; m = 250, n = 500, p = 0.1.
    """
    where = "sparse"
    if operator is not None:
        _check_operator(where, operator, signal_size, num_measurements)
        (num_measurements,), (signal_size,) = operator.out_shape, operator.in_shape
        dtype = numerics.real_dtype(operator.in_dtype) if dtype is None else dtype
    num_measurements = 250 if num_measurements is None else num_measurements
    signal_size = 500 if signal_size is None else signal_size
    m = checks.count(where, "num_measurements", num_measurements)
    n = checks.count(where, "signal_size", signal_size)
    sparsity = checks.scalar(where, "sparsity", sparsity, low=0.0, high=1.0, open_low=True)
    if snr_db is not None:
        snr_db = checks.decibels(where, "snr_db", snr_db)
    if condition_number is not None:
        condition_number = checks.scalar(where, "condition_number", condition_number, low=1.0)
    num_nonzeros = active_size(where, "num_nonzeros", num_nonzeros, n, "signal_size", least=0)
    active = active_size(where, "active_measurements", active_measurements, m, "num_measurements")
    described = condition_number is not None or active is not None
    if operator is not None and described:
        argument = "condition_number" if active is None else "active_measurements"
        hint = "It describes the Gaussian A; change the operator itself."
        checks.fail(where, argument, "be None when an operator is given", "a value", hint)
    return SparseFamily(
        operator=operator,
        sparsity=sparsity,
        num_nonzeros=num_nonzeros,
        snr_db=snr_db,
        condition_number=condition_number,
        active_measurements=active,
        num_measurements=m,
        signal_size=n,
        unit_columns=checks.boolean(where, "unit_columns", unit_columns),
        dtype=checks.float_type(where, jnp.float32 if dtype is None else dtype, real=True),
    )


def _check_operator(where: str, operator: Any, n: Any, m: Any) -> None:
    """Require a linear operator on vectors, of the sizes that are given beside it."""
    if not isinstance(operator, LinearOperator):
        hint = "It must be linear." if isinstance(operator, Operator) else "Use operators.dense."
        checks.fail_type(where, "operator", "be a linear operator", operator, hint)
    shapes = operator.in_shape, operator.out_shape
    wanted = [
        given if size is None else (size,) for size, given in zip((n, m), shapes, strict=True)
    ]
    if [len(shape) for shape in shapes] != [1, 1] or list(shapes) != wanted:
        hint = "Leave out signal_size and num_measurements, or set them to the operator's."
        got = f"one from {operator.in_shape} to {operator.out_shape}"
        expected = "map vectors to vectors"
        if None not in (n, m):
            expected = f"map shape ({n},) to ({m},)"
        checks.fail(where, "operator", expected, got, hint)
