"""Outliers and heavy tails for the measurements of any family."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace
from jaxinv.problems._problem import Family, Problem, Truth, require_family, require_scalars
from jaxinv.problems._simulate import measured_entries

_CORRUPTION = 2  # stream of one trial's key; families take 0 and 1


@pytree
class CorruptedFamily(Family):
    """A family with outliers or heavy-tailed noise; see ``corrupted``."""

    family: Any
    outlier_share: Any
    outlier_value: Any
    noise_std: Any
    degrees: Any

    @property
    def axes(self) -> Problem:
        """As the family has them."""
        return self.family.axes

    def with_active(self, *args: Any, **kwargs: Any) -> CorruptedFamily:
        """Return the family with other sizes in use."""
        return replace(self, family=self.family.with_active(*args, **kwargs))

    def sample(self, key: Any) -> Problem:
        """Draw a problem, then what spoils its measurements."""
        key = checks.key("sample", key)
        require_scalars(self, "outlier_share", "outlier_value", "noise_std", "degrees")
        problem = self.family.sample(key)
        y, key = problem.y, jax.random.fold_in(key, _CORRUPTION)
        if not isinstance(y, jax.Array) or not jnp.issubdtype(y.dtype, jnp.floating):
            checks.fail_type("corrupted", "family", "have real arrays as measurements", y)
        rows = measured_entries(problem.operator, problem.truth.x)
        spoiled, truth = _spoiled(self, y, rows, key), problem.truth
        noise = None if truth.noise is None else truth.noise + (spoiled - y)
        return problem._replace(y=spoiled, truth=Truth(truth.u, truth.x, noise))

    def split(self, key: Any, share: float = 0.2) -> tuple[CorruptedFamily, CorruptedFamily]:
        """Return two families of other signals, as the family has them."""
        first, second = self.family.split(key, share)
        return replace(self, family=first), replace(self, family=second)

    def initial(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        """Draw a start, as the family does."""
        return self.family.initial(key, *args, **kwargs)


@partial(jax.jit, inline=True)  # outside jit too, all of it is one program
def _spoiled(family: CorruptedFamily, y: Array, rows: Array, key: Array) -> Array:
    noise_key, row_key = jax.random.split(key)
    spoiled = y
    if family.degrees is not None:
        heavy = jax.random.t(noise_key, jnp.asarray(family.degrees, y.dtype), y.shape, y.dtype)
        level = jnp.asarray(family.noise_std).astype(y.dtype)
        spoiled = y + jnp.where(rows, level * heavy, 0)
    count = jnp.round(jnp.asarray(family.outlier_share) * jnp.sum(rows)).astype(jnp.int32)
    order = jnp.where(rows, jax.random.uniform(row_key, y.shape, y.dtype, 0.5, 1), 0).reshape(-1)
    is_outlier = (order >= numerics.kth_largest(order, count)).reshape(y.shape)
    value = jnp.asarray(family.outlier_value).astype(y.dtype)
    return jnp.where(is_outlier, value, spoiled)


def corrupted(
    family: Family,
    *,
    outlier_share: Any = 0.0,
    outlier_value: Any = 1.0,
    noise_std: Any = None,
    degrees: Any = None,
) -> CorruptedFamily:
    r"""Spoil the measurements of a family by outliers, or by noise of heavy tails.

    .. math:: y_i \leftarrow \begin{cases} v & i \text{ among } \epsilon m \text{ random rows} \\
        y_i + s\, t_i & \text{else} \end{cases}

    with t_i of Student's t. Squares have no bound under either: ``misfits.huber``,
    ``student_t`` and ``median_of_means`` are for them.

    Args:
        family: whose measurements are real arrays; its own noise stays.
        outlier_share: ε in [0, 1]; exactly round(ε m) of the m measurements in use are
            replaced. May be traced.
        outlier_value: v, one number.
        noise_std: s >= 0, the scale of the heavy-tailed noise: of its middle, since its
            variance is infinite for degrees up to 2.
        degrees: degrees of freedom > 0 of t; None for none. Both or neither are given.

    Returns:
        A family with the starts and the sizes of the one that was given.

    Raises:
        TypeError: what is no family; when drawn, one whose measurements are no real array.
        ValueError: numbers out of their ranges, one of ``noise_std`` and ``degrees`` alone.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = corrupted(ji.problems.generative((3, 30, 60), 50), outlier_share=0.1)
        >>> int((family.sample(jax.random.key(0)).y == 1).sum())
        5

    Source: Jalal, Liu, Dimakis, Caramanis (2020), "Robust compressed sensing using generative
        models", who set 2 % of the measurements to 1 and add Student's t of 2 degrees.
    """
    where = "corrupted"
    require_family(where, family)
    if (noise_std is None) != (degrees is None):
        checks.fail(where, "noise_std and degrees", "be given both or neither", "one of them")
    if degrees is not None:
        degrees = checks.positive(where, "degrees", degrees)
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
    share = checks.scalar(where, "outlier_share", outlier_share, low=0.0, high=1.0)
    value = checks.scalar(where, "outlier_value", outlier_value)
    return CorruptedFamily(family, share, value, noise_std, degrees)
