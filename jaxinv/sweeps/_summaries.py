"""Summaries of trials: success rates with Wilson intervals, medians with quartiles."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv._core import checks

if TYPE_CHECKING:
    import xarray as xr


def wilson(successes: Any, trials: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    r"""Return the Wilson score interval of a success probability.

    .. math::
        \frac{1}{1 + z^2/n} \left( \hat p + \frac{z^2}{2n}
        \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}} \right)

    It stays inside [0, 1] and keeps its level for rates near 0 and 1, where the usual
    p ± z·se does not.

    Args:
        successes: number of successes, any shape.
        trials: number of trials n >= 1, broadcast against it.
        confidence: in (0, 1).

    Returns:
        ``(low, high)`` arrays.

    Raises:
        ValueError: confidence outside (0, 1), no trial, or more successes than trials.

    Example:
        >>> low, high = wilson(30, 30)
        >>> round(float(low), 3), float(high)
        (0.886, 1.0)

    Source: Wilson (1927).
    """
    successes = _counts("successes", successes)
    trials = _counts("trials", trials)
    if np.any(trials < 1):
        checks.fail("wilson", "trials", "be >= 1", f"{trials.min()}")
    if np.any(successes < 0) or np.any(successes > trials):
        checks.fail("wilson", "successes", "be in [0, trials]", f"{successes} of {trials}")
    if not 0 < confidence < 1:
        checks.fail("wilson", "confidence", "be in (0, 1)", confidence)
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    center = rate + z**2 / (2 * trials)
    spread = z * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = np.where(successes == 0, 0.0, (center - spread) / scale)
    high = np.where(successes == trials, 1.0, (center + spread) / scale)
    return low, high


def _counts(argument: str, value: Any) -> np.ndarray:
    counts = np.asarray(value)
    if counts.dtype.kind not in "biuf":
        checks.fail_type("wilson", argument, "be whole numbers", value)
    counts = counts.astype(float)
    if not np.all(counts == np.round(counts)):
        checks.fail("wilson", argument, "be whole numbers", f"{counts}")
    return counts


def _check_trials(where: str, argument: str, value: Any) -> None:
    if "trial" not in getattr(value, "dims", ()) or not hasattr(value, "dtype"):
        got = f"{type(value).__name__} {getattr(value, 'dims', '')}".rstrip()
        checks.fail(where, argument, "be a DataArray with a dimension 'trial'", got)


def check_success(where: str, value: Any) -> None:
    """Require booleans over trials: NaN, which stands for trials that were not run, is no bool."""
    _check_trials(where, "success", value)
    if value.dtype != bool:
        hint = "Compare first, as in: results['error'] < 1e-3, or results['won'] == 1."
        checks.fail(where, "success", "be boolean", f"{value.dtype}", hint)


def success_rate(success: xr.DataArray, *, confidence: float = 0.95) -> xr.Dataset:
    """Return ``rate``, ``low`` and ``high`` of a boolean array over its ``trial`` dimension.

    Every trial counts, the failed ones too: a trial whose error is NaN is no success. Only those
    that were not run (coordinate ``ran``) do not: a cell without trials has rate NaN in [0, 1].

    Args:
        success: booleans with a dimension ``trial``.
        confidence: of Wilson's interval, in (0, 1).

    Returns:
        A Dataset of the other dimensions.

    Example:
        >>> import numpy as np, xarray as xr
        >>> error = xr.DataArray(np.array([[1e-6, 1e-7, 0.3, np.nan]]), dims=("k", "trial"))
        >>> success_rate(error < 1e-3).rate.values
        array([0.5])
    """
    import xarray as xr

    check_success("success_rate", success)
    ran = success.coords["ran"] if "ran" in success.coords else xr.ones_like(success, dtype=bool)
    trials = ran.sum("trial")
    count = (success.astype(bool) & ran).sum("trial")
    low, high = wilson(count.values, np.maximum(trials.values, 1), confidence=confidence)
    none = trials.values == 0
    rows = {
        "rate": count / trials.where(trials > 0),
        "low": (count.dims, np.where(none, 0.0, low)),
        "high": (count.dims, np.where(none, 1.0, high)),
    }
    attrs = {"confidence": confidence, "num_trials": success.sizes["trial"]}
    return xr.Dataset(rows, coords=count.coords, attrs=attrs)


def quartiles(values: xr.DataArray) -> xr.Dataset:
    """Return ``median``, ``low`` and ``high`` (25 % and 75 %) over the ``trial`` dimension.

    Each is one of the samples (no interpolation). NaN counts as the largest value: a failed
    trial can raise a median, never hide. Trials that were not run are left out.

    Args:
        values: numbers with a dimension ``trial``.

    Returns:
        A Dataset of the other dimensions.

    Example:
        >>> import numpy as np, xarray as xr
        >>> steps = xr.DataArray(np.array([1.0, 2.0, 3.0, np.nan]), dims="trial")
        >>> float(quartiles(steps)["median"])
        2.0
    """
    import xarray as xr

    _check_trials("quartiles", "values", values)
    filled = values.astype(float).fillna(np.inf)
    if "ran" in values.coords:
        filled = filled.where(values.coords["ran"]).drop_vars("ran")
    names = {"low": 0.25, "median": 0.5, "high": 0.75}
    return xr.Dataset(
        {
            name: filled.quantile(level, "trial", method="inverted_cdf").drop_vars("quantile")
            for name, level in names.items()
        }
    )
