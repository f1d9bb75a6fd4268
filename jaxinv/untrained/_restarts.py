"""The best of several fits of one measurement, by what was measured."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks
from jaxinv.untrained._fitting import Fit

_WHERE = "least_misfit"


def least_misfit(fits: Fit, num_restarts: int | None = None) -> Fit:
    r"""Keep, of several fits of one measurement, the one that meets it best.

    .. math:: \arg\min_r \|A \hat x_r - y\|

    Networks for small images now and then fail from one start and not from another. The truth
    plays no part. In noise a mean over starts is better than any of them, and no fit may be
    run so far that its misfit is that of the noise.

    Args:
        fits: what ``fit`` returned for a vector of keys.
        num_restarts: R; every R fits in a row are those of one measurement. Default: all are.

    Returns:
        A ``Fit``: of the best start; with ``num_restarts`` with a first axis, one for each
        measurement. A fit that is not finite is taken only where all of them are.

    Raises:
        TypeError: not a ``Fit``.
        ValueError: one fit without a first axis, or a number that does not divide theirs.

    Cost: a copy of what is kept.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> x = jnp.outer(jnp.hanning(16), jnp.hanning(16))
        >>> problem = ji.Problem(ji.operators.identity((16, 16)), x)
        >>> prior = ji.generators.deep_decoder((16, 16), 8, 2)
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> fits = ji.untrained.fit(keys, prior, problem, num_steps=50, stop=None)
        >>> found = least_misfit(fits)
        >>> found.x.shape, bool(found.history.residual[-1] == fits.history.residual[:, -1].min())
        ((16, 16), True)

    Source: Van Veen et al. (2018), appendix B: five restarts for small images.
    """
    if not isinstance(fits, Fit):
        checks.fail_type(_WHERE, "fits", "be what fit returned", fits)
    if jnp.ndim(fits.status) != 1:
        hint = "Give fit a vector of keys: jax.random.split(key, number)."
        checks.fail(_WHERE, "fits", "have a first axis of several fits", fits.status, hint)
    count = fits.status.shape[0]
    size = count if num_restarts is None else checks.count(_WHERE, "num_restarts", num_restarts)
    if count % size:
        checks.fail(_WHERE, "num_restarts", f"divide the number of fits, {count}", size)
    misfits = _misfits(fits).reshape(-1, size)
    chosen = jnp.argmin(misfits, axis=1) + size * jnp.arange(count // size)
    return _pick(fits, chosen[0] if num_restarts is None else chosen)


def _misfits(fits: Fit) -> Array:
    """Return the misfit of the estimate that each fit kept; infinite where there is none."""
    history = fits.history
    looks = jnp.argmin(jnp.abs(history.look_steps - history.best_step[:, None]), axis=1)
    misfits = jnp.take_along_axis(history.residual, looks[:, None], axis=1)[:, 0]
    return jnp.where(jnp.isfinite(misfits), misfits, jnp.inf)


def _pick(fits: Fit, index: Any) -> Fit:
    shared = fits.history.look_steps  # all fits are looked at together
    apart = fits._replace(history=fits.history._replace(look_steps=None), prior=None)
    picked: Any = jax.tree.map(lambda leaf: leaf[index], apart)
    history = picked.history._replace(look_steps=shared)
    return picked._replace(history=history, prior=fits.prior)
