"""Error against layer of unfolded networks for matrices of bad condition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._unfolded import (
    PROTOCOL,
    SOURCE,
    TARGET_BEST,
    TARGETS_NMSE,
    Counter,
    Study,
    best_of,
    curves_of,
    draw_panels,
    rows,
    scored,
)  # fmt: skip
from jaxinv.reproductions.claims import compare_at_most, nmse_at_most
from jaxinv.viz._panels import over_layers

_NETWORKS = (
    "lista-cpss",
    "alista-published",
    "alista",
    "alista-momentum",
    "hyperlista",
    "lamp",
    "alamp",
)
_CONDITION_NUMBERS = (5, 30, 50)
_LIKE_GAUSSIAN = 5  # κ of the columns then is that of a Gaussian matrix, within a fifth
_SLACK = 5.0  # dB between one matrix and another


def _conditioned(names: Sequence[str], study: Study, settings: Settings) -> Outcome:
    """Train for matrices with singular values on a geometric ladder, columns normalized after."""
    counter = Counter(settings, len(names) * len(_CONDITION_NUMBERS))
    scores = {
        number: scored(study, settings, names, counter, condition_number=number)
        for number in _CONDITION_NUMBERS
    }
    claims = []
    for number, found in scores.items():
        gap = found["hyperlista"].nmse_db - found["alista-published"].nmse_db
        what = f"κ = {number}: HyperLISTA less ALISTA (dB)"
        claims.append(compare_at_most(what, gap, 0.0, low=gap, high=gap))
    like = scores[_LIKE_GAUSSIAN]
    best = best_of(like)
    for name, target in (("hyperlista", TARGETS_NMSE["hyperlista"]), (best, TARGET_BEST)):
        what = f"κ = {_LIKE_GAUSSIAN}: {name}, NMSE (dB), target of a Gaussian A + {_SLACK:g}"
        claims.append(nmse_at_most(what, like[name], target + _SLACK))
    table = [row for number, found in scores.items() for row in rows(f"κ = {number}", found)]
    panels = [over_layers(f"condition number {n}", curves_of(each)) for n, each in scores.items()]
    return Outcome(claims, table, partial(draw_panels, panels, f"no noise; {PROTOCOL}"))


ENTRIES = (
    Reproduction(
        name="unfolded-condition",
        title="error against layer for condition numbers 5, 30 and 50",
        source=f"{SOURCE}; bounds are this library's targets",
        run=partial(_conditioned, _NETWORKS, Study()),
        cost="10 minutes",
    ),
)
