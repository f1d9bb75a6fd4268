"""Which candidate is taken: another than the first only where it is better beyond doubt."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jax import Array

from jaxinv._core import Status

_T = 2.0  # standard errors by which another method must win
_SHARE = 0.7  # of the squared error, that it must fall below
_TIE = 0.03  # of the squared error: stages further from the best one are worse


class Tried(NamedTuple):
    """One stage of a method: ``errors`` has a relative squared error for each part of a judge."""

    errors: np.ndarray
    planes: Array
    spread: Array
    text: str
    status: Status


class Estimate(NamedTuple):
    """What a method made of the measurements: its preferred stage.

    ``is_even`` is said of priors of which the one that predicts better is the better one, too.
    """

    name: str
    is_network: bool
    status: Status
    errors: np.ndarray
    planes: Array
    spread: Array
    text: str
    is_even: bool = False


def near(one: Tried, least: float) -> bool:
    """Whether a stage may still be preferred."""
    return _mean(one) <= least + _TIE * abs(least)


def preferred(tried: list[Tried], ties: bool) -> Tried:
    """Return the stage of least error; with ``ties`` the first, of the strongest prior, as good.

    Entries that were left out are predicted without their own noise, those that were not are
    fitted with it: of stages that predict alike the smoother one is closer to the image.
    """
    best = min(tried, key=_mean)
    return next((one for one in tried if ties and -_t_value(best, one) <= 1), best)


def choose(found: list[Estimate], *, exact: bool) -> tuple[Estimate, str]:
    """Return the estimate to keep, and why.

    ``exact`` says that the judge estimates the error of the image itself: the least one of the
    classical methods then wins. Folds only see what the operator sees, which of a blurred or
    averaged image are no edges: they tell tv from smooth, and keep the first classical method
    unless another is better by far. A network is always held to that.
    """
    classical = [one for one in found if not one.is_network]
    even = classical if exact else [one for one in classical if one.is_even]
    best = min(even, key=_mean) if even else (classical or found)[0]
    others = [one for one in found if not any(one is peer for peer in [best, *even])]
    if len(found) == 1:
        return best, f"{best.name} is the only candidate."
    notes = []
    for one in sorted(others, key=_mean):
        t, share = _t_value(best, one), _mean(one) / _mean(best) if _mean(best) > 0 else 1.0
        if t > _T and share < _SHARE:
            notes.append(f"It beats {best.name} by {t:.1f} standard errors.")
            best = one
        elif _mean(one) < _mean(best):
            notes.append(
                f"{one.name} is not better beyond doubt (t = {t:.1f}, {share:.2f} of the square)."
            )
    rest = ", ".join(f"{held_out(one)[0]:.3g} of {one.name}" for one in found if one is not best)
    first = f"{best.name} has a held-out error of {held_out(best)[0]:.3g}, against {rest}."
    return best, " ".join([first, *notes])


def _mean(one: Estimate | Tried) -> float:
    return float(np.mean(one.errors))


def held_out(one: Estimate) -> tuple[float, float]:
    """Return the relative error on what was left out, and its standard error."""
    root = math.sqrt(max(_mean(one), 0.0))
    if not math.isfinite(root):
        return root, math.nan
    error = float(np.std(one.errors, ddof=1)) / math.sqrt(len(one.errors))
    return root, error / (2 * root) if root > 0 else math.sqrt(error)


def _t_value(best: Estimate | Tried, other: Estimate | Tried) -> float:
    """Return by how many standard errors the other one is better."""
    if not np.all(np.isfinite(other.errors)):
        return -math.inf
    if not np.all(np.isfinite(best.errors)):
        return math.inf
    gain = best.errors - other.errors
    error = float(np.std(gain, ddof=1)) / math.sqrt(len(gain))
    mean = float(np.mean(gain))
    return mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
