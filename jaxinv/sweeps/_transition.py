"""Where a success rate crosses 1/2, with its interval."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._summaries import check_success

if TYPE_CHECKING:
    import xarray as xr

_POSITIONS = 801  # candidate transitions across the range
_NEWTON_STEPS = 60


def transition(success: xr.DataArray, dim: str, *, confidence: float = 0.95) -> xr.Dataset:
    r"""Return where the success probability crosses 1/2 along an axis, with its interval.

    The probability is modelled as logistic, and the transition v₅₀ profiled over its slope:

    .. math::
        P(v) = \frac{1}{1 + e^{-s (v_{50} - v)}}, \qquad
        \{ v : 2 [\ell(\hat v) - \max_s \ell(v, s)] \le \chi^2_{1} \}

    The interval stays finite where all trials on one side succeed and all on the other fail,
    where a fitted slope and its standard error do not exist.

    Args:
        success: booleans with a dimension ``trial`` and the numeric dimension ``dim``; others
            are kept. Trials that were not run (coordinate ``ran``) do not count.
        dim: the axis that the transition lies on.
        confidence: in (0, 1).

    Returns:
        A Dataset with ``value``, ``low`` and ``high``. Where the rate does not cross 1/2 inside
        the axis, ``value`` is NaN; an end of the interval beyond the axis is infinite.

    Raises:
        ValueError: no such dimensions, fewer than two values, or a confidence outside (0, 1).

    Cost: a grid of 801 positions times 60 Newton steps, in NumPy.

    Example:
        >>> import numpy as np, xarray as xr
        >>> k = np.arange(1, 9)
        >>> recovered = xr.DataArray(np.repeat(k[:, None] < 5, 30, 1),
        ...                          dims=("k", "trial"), coords={"k": k})
        >>> found = transition(recovered, "k")
        >>> round(float(found["value"]), 1), round(float(found["low"]), 1)
        (4.5, 4.0)

    Source: Venzon, Moolgavkar (1988) for intervals from the profile likelihood.
    """
    import xarray as xr

    where = "transition"
    check_success(where, success)
    if dim not in success.dims:
        checks.fail(where, "success", f"be a DataArray with a dimension {dim!r}", f"{success.dims}")
    if not 0 < confidence < 1:
        checks.fail(where, "confidence", "be in (0, 1)", confidence)
    values = np.asarray(success[dim].values)
    if values.dtype.kind not in "iuf" or len(np.unique(values)) < 2:
        checks.fail(where, f"success[{dim!r}]", "be two or more different numbers", str(values))
    ran = success.coords["ran"] if "ran" in success.coords else xr.ones_like(success, dtype=bool)
    wins = (success.astype(bool) & ran).sum("trial")
    trials = ran.sum("trial")
    limit = statistics.NormalDist().inv_cdf(0.5 + confidence / 2) ** 2

    def one(won: Any, number: Any) -> Any:
        return np.array(_profile(values.astype(float), won, number, limit))

    found = xr.apply_ufunc(
        one,
        wins,
        trials,
        input_core_dims=[[dim], [dim]],
        output_core_dims=[["part"]],
        vectorize=True,
    )
    parts = {name: found.isel(part=i) for i, name in enumerate(("value", "low", "high"))}
    return xr.Dataset(parts, attrs={"confidence": confidence, "dim": dim})


def _profile(
    values: np.ndarray, wins: np.ndarray, trials: np.ndarray, limit: float
) -> tuple[float, float, float]:
    known = trials > 0
    values, wins, trials = values[known], wins[known], trials[known]
    if len(values) < 2:
        return np.nan, -np.inf, np.inf
    left, right = values.min(), values.max()
    positions = np.linspace(left, right, _POSITIONS)
    profile = _best_over_slopes((positions[:, None] - values) / (right - left), wins, trials)
    best = profile.max()
    inside = np.flatnonzero(2 * (best - profile) <= limit)
    flat = np.flatnonzero(best - profile <= 1e-6 * (1 + abs(best)))
    low = -np.inf if inside[0] == 0 else positions[inside[0]]
    high = np.inf if inside[-1] == _POSITIONS - 1 else positions[inside[-1]]
    crosses = flat[0] > 0 and flat[-1] < _POSITIONS - 1
    return (positions[flat].mean() if crosses else np.nan), low, high


def _best_over_slopes(distance: np.ndarray, wins: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Return the log-likelihood of every position, maximized over slopes of either sign.

    It is concave in the slope: Newton's method, its steps halved by a bound on the slope.
    """
    losses = trials - wins
    largest = 40 / np.maximum(np.min(np.abs(np.where(distance == 0, np.inf, distance)), 1), 1e-3)
    slope = np.zeros(len(distance))
    for _ in range(_NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(slope[:, None] * distance, -500, 500)))
        first = np.sum(distance * (wins - trials * probability), 1)
        second = np.sum(distance**2 * trials * probability * (1 - probability), 1)
        step = first / np.maximum(second, 1e-9)
        room = 2 + np.abs(slope)  # a step may at most double the slope
        slope = np.clip(slope + np.clip(step, -room, room), -largest, largest)
    logit = slope[:, None] * distance
    return -np.sum(wins * np.logaddexp(0, -logit) + losses * np.logaddexp(0, logit), 1)
