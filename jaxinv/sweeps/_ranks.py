"""Ranks of truths among draws: are they uniform, and how often do intervals hold the truth?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxinv._core import Status, checks
from jaxinv.sweeps._summaries import wilson

SIGNIFICANCE = 0.01
LARGEST_RHAT = 1.05  # the largest of thousands of short runs that are well is near 1.04
LEAST_INDEPENDENT = 1.5  # effective draws per draw that ranks are taken among
MOST_UNMIXED = 0.01  # share of the problems
LEAST_A_BIN = 5  # ranks expected, for the chi-squared law of the test
_MOST_NAMES = 3


class Calibration(NamedTuple):
    """What ``sweeps.calibration`` returns; arrays over trials, quantities Q and levels.

    Attributes:
        names: of the quantities, an entry of an array by its number.
        ranks: number of draws below the truth, shape (num_trials, Q), 0 to ``num_draws``.
        num_draws: L, draws that a rank is taken among.
        histogram: ranks in bins of equal size, shape (Q, num_bins).
        p_values: of the chi-squared test that the ranks are uniform, shape (Q,).
        p_value: that of all quantities: Q times the smallest, 1 at most.
        levels: of central intervals, as the number of draws allows them.
        coverage: share of the trials whose interval holds the truth, shape (Q, levels).
        low, high: Wilson's 95 % interval of it.
        rhat: largest R-hat of the entries of the unknown, one a trial.
        ess: smallest effective sample size of them, one a trial.
        status: int32 code, one a trial: SAMPLED where R-hat is at most 1.05 and the effective
            size at least 1.5 L; ``describe(status)`` counts them.
        holds: the chains mix in 99 % of the trials, and ``p_value`` is at least 0.01.
        verdict: the same in one line, with what speaks against it.
    """

    names: tuple[str, ...]
    ranks: np.ndarray
    num_draws: int
    histogram: np.ndarray
    p_values: np.ndarray
    p_value: float
    levels: np.ndarray
    coverage: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rhat: np.ndarray
    ess: np.ndarray
    status: np.ndarray
    holds: bool
    verdict: str

    @property
    def worst_rhat(self) -> float:
        """The largest R-hat of all trials."""
        return float(self.rhat.max())

    @property
    def statuses(self) -> dict[str, float]:
        """Shares of the statuses, by name."""
        codes, counts = np.unique(self.status, return_counts=True)
        pairs = zip(codes, counts / self.status.size, strict=True)
        return {Status(int(code)).name: float(share) for code, share in pairs}

    @property
    def where_mixed(self) -> Calibration:
        """The same of the trials with status SAMPLED alone: which these are, no truth decides.

        Refused where they are too few for the bins.
        """
        chosen = self.status == Status.SAMPLED
        least = LEAST_A_BIN * self.histogram.shape[1]
        if chosen.sum() < least:
            expected = f"have {least} problems whose chains mix"
            checks.fail("where_mixed", "calibration", expected, f"{chosen.sum()}")
        chains = self.rhat[chosen], self.ess[chosen], self.status[chosen]
        bins = self.histogram.shape[1]
        return judged(self.names, self.ranks[chosen], self.num_draws, bins, self.levels, chains)


def judged(
    names: Sequence[str],
    ranks: np.ndarray,
    num_draws: int,
    num_bins: int,
    levels: Sequence[float] | np.ndarray,
    chains: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Calibration:
    """Return the calibration that ranks show, with R-hat, sizes and statuses of the chains."""
    histogram = np.stack([_binned(column, num_draws, num_bins) for column in ranks.T])
    p_values = np.array([_uniform(counts) for counts in histogram])
    p_value = min(1.0, float(p_values.min()) * len(names))
    left_out = np.array([_left_out(level, num_draws) for level in levels])  # at either end
    inside = (ranks[..., None] >= left_out) & (ranks[..., None] <= num_draws - left_out)
    low, high = wilson(inside.sum(0), len(ranks))
    exact = 1 - 2 * left_out / (num_draws + 1)
    rhat, ess, status = chains
    found = Calibration(
        tuple(names), ranks, num_draws, histogram, p_values, p_value, exact, inside.mean(0), low,
        high, rhat, ess, status, False, "",
    )  # fmt: skip
    unmixed = 1 - found.statuses.get(Status.SAMPLED.name, 0.0)
    holds = bool(unmixed <= MOST_UNMIXED and p_value >= SIGNIFICANCE)
    return found._replace(holds=holds, verdict=_verdict(found, unmixed))


def _binned(ranks: np.ndarray, num_draws: int, num_bins: int) -> np.ndarray:
    return np.bincount(ranks * num_bins // (num_draws + 1), minlength=num_bins)


def _uniform(counts: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-squared test of equal shares."""
    from scipy.special import gammaincc  # comes with jax

    expected = counts.mean()
    statistic = float(np.sum((counts - expected) ** 2) / expected)
    return float(gammaincc((counts.size - 1) / 2, statistic / 2))


def _left_out(level: float, num_draws: int) -> int:
    """Return how many of the L + 1 ranks lie outside a central interval at either end."""
    return math.floor((num_draws + 1) * (1 - level) / 2 + 1e-9)


def _verdict(found: Calibration, unmixed: float) -> str:
    shares = ", ".join(f"{name} {100 * share:.3g} %" for name, share in found.statuses.items())
    count = len(found.ranks)
    if unmixed > MOST_UNMIXED:
        return (
            f"no verdict: the chains did not mix in {100 * unmixed:.3g} % of {count} problems "
            f"({shares}; largest R-hat {found.worst_rhat:.3g})"
        )
    worst = int(np.argmin(found.p_values))
    place = int(np.argmin(np.abs(found.levels - 0.9)))
    covered = (
        f"{100 * found.levels[place]:.3g} % intervals of {found.names[worst]} cover "
        f"{100 * found.coverage[worst, place]:.3g} % "
        f"[{100 * found.low[worst, place]:.3g}, {100 * found.high[worst, place]:.3g}]"
    )
    test = f"rank test p = {found.p_value:.2g}, {covered}"
    if found.p_value >= SIGNIFICANCE:
        return f"calibrated as far as {count} problems tell: {test}"
    wrong: dict[str, list[str]] = {}
    for name, p_value, ranks in zip(found.names, found.p_values, found.ranks.T, strict=True):
        if p_value * len(found.names) < SIGNIFICANCE:
            wrong.setdefault(_how(ranks, found.num_draws), []).append(name)
    named = "; ".join(f"{how} in {_listed(names)}" for how, names in wrong.items())
    return f"not calibrated: draws {named}; {test}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def _how(ranks: np.ndarray, num_draws: int) -> str:
    """Name what is wrong with the draws whose ranks are not uniform."""
    places = (ranks + 0.5) / (num_draws + 1) - 0.5
    shift = float(places.mean()) * math.sqrt(12 * len(ranks))  # both in standard errors
    spread = (float(np.mean(places**2)) - 1 / 12) * math.sqrt(180 * len(ranks))
    if max(abs(shift), abs(spread)) < 3:
        return "of another shape"
    if abs(shift) > abs(spread):
        return "too low" if shift > 0 else "too high"
    return "too narrow" if spread > 0 else "too wide"
