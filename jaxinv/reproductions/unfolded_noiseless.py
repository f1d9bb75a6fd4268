"""Error against layer of all unfolded networks, without noise."""

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
from jaxinv.reproductions.claims import median_at_most, nmse_at_most
from jaxinv.unfolded._catalog import NETWORKS
from jaxinv.viz._panels import over_layers

_TARGETS_MEDIAN = {"hyperlista": -108, "alista-momentum": -95}


def _noiseless(names: Sequence[str], study: Study, settings: Settings) -> Outcome:
    found = scored(study, settings, names, Counter(settings, len(names)))
    claims = [
        nmse_at_most(f"{name}: NMSE (dB)", found[name], bound)
        for name, bound in TARGETS_NMSE.items()
        if name in found
    ]
    claims += [
        median_at_most(f"{name}: median NMSE (dB)", found[name], bound)
        for name, bound in _TARGETS_MEDIAN.items()
        if name in found
    ]
    best = best_of(found)
    claims.append(nmse_at_most(f"best network, {best}: NMSE (dB)", found[best], TARGET_BEST))
    panels = [
        over_layers("NMSE, ratio of sums", curves_of(found)),
        over_layers("median", {name: each.layer_median_db for name, each in found.items()}),
    ]
    title = f"no noise; {PROTOCOL}"
    return Outcome(claims, rows("no noise", found), partial(draw_panels, panels, title))


ENTRIES = (
    Reproduction(
        name="unfolded-noiseless",
        title="error against layer of all unfolded networks, without noise",
        source=f"{SOURCE}; bounds are this library's targets",
        run=partial(_noiseless, tuple(NETWORKS), Study()),
        cost="10 minutes",
    ),
)
