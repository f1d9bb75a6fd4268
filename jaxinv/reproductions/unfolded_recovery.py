"""Error against layer of all unfolded networks: without noise, with it, and for bad conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._unfolded import PROTOCOL, UNTRAINED, Counter, Study, rows, scored
from jaxinv.reproductions.claims import Claim, compare_at_most, median_at_most, nmse_at_most
from jaxinv.theory import bayes_state_evolution, oracle_nmse_db
from jaxinv.unfolded import Evaluation
from jaxinv.unfolded._catalog import NETWORKS
from jaxinv.viz._panels import Panel, draw, over_layers

_ALL = tuple(NETWORKS)
_NOISE = ("lista-cpss", "alista", "alista-momentum", "alista-at", "hyperlista", "lamp", "alamp")
_CONDITION = (
    "lista-cpss",
    "alista-published",
    "alista",
    "alista-momentum",
    "hyperlista",
    "lamp",
    "alamp",
)
_SNRS = (40, 30, 20)
_CONDITION_NUMBERS = (5, 30, 50)

_TARGETS_NMSE = {"alista": -68, "hyperlista": -85, "alista-momentum": -66, "lista-cpss": -60}
_TARGETS_MEDIAN = {"hyperlista": -108, "alista-momentum": -95}
_TARGET_BEST = -95
_TARGETS_SOFT = {40: -42.0, 20: -21.5}
_TARGETS_POSTERIOR = {40: -45.0, 20: -23.3}
# logs in the code of Behrens, Sauder, Jung (2021): NA-ALISTA at 40 dB, ALISTA-AT at 20 dB
_BEST_LOGGED = {40: -42.31, 20: -21.80}
_LIKE_GAUSSIAN = 5  # κ of the columns then is that of a Gaussian matrix, within a fifth
_SLACK = 5.0  # dB between one matrix and another
_NOISE_STEPS = dict.fromkeys(NETWORKS, 400)  # in noise the error reaches its floor early
_SAME = 0.02  # dB that trained message passing may lose to the untrained one, by chance


def _noiseless(names: Sequence[str], study: Study, settings: Settings) -> Outcome:
    found = scored(study, settings, names, Counter(settings, len(names)))
    claims = [
        nmse_at_most(f"{name}: NMSE (dB)", found[name], bound)
        for name, bound in _TARGETS_NMSE.items()
        if name in found
    ]
    claims += [
        median_at_most(f"{name}: median NMSE (dB)", found[name], bound)
        for name, bound in _TARGETS_MEDIAN.items()
        if name in found
    ]
    best = _best(found)
    claims.append(nmse_at_most(f"best network, {best}: NMSE (dB)", found[best], _TARGET_BEST))
    panels = [
        over_layers("NMSE, ratio of sums", _curves(found)),
        over_layers("median", {name: each.layer_median_db for name, each in found.items()}),
    ]
    title = f"no noise; {PROTOCOL}"
    return Outcome(claims, rows("no noise", found), partial(_draw, panels, title))


def _noisy(names: Sequence[str], study: Study, settings: Settings) -> Outcome:
    counter = Counter(settings, len(names) * len(_SNRS))
    claims: list[Claim] = []
    table: list[dict[str, Any]] = []
    panels = []
    for snr_db in _SNRS:
        found = scored(study, settings, names, counter, snr_db=snr_db)
        claims += _noise_claims(snr_db, found)
        table += rows(f"{snr_db} dB", found)
        limits = _limits(study, snr_db)
        panels.append(over_layers(f"SNR {snr_db} dB", _curves(found), limits))
    return Outcome(claims, table, partial(_draw, panels, PROTOCOL))


def _noise_claims(snr_db: int, found: Mapping[str, Evaluation]) -> list[Claim]:
    """Compare the best network of either kind with its target, and with the best in print."""
    claims = []
    groups = {
        "soft threshold": (_TARGETS_SOFT, False),
        "posterior mean": (_TARGETS_POSTERIOR, True),
    }
    for group, (targets, needs) in groups.items():
        members = {
            name: each
            for name, each in found.items()
            if name in NETWORKS and NETWORKS[name].needs_distribution == needs
        }
        if snr_db not in targets or not members:
            continue
        best = _best(members)
        what = f"{snr_db} dB, best with {group}, {best}: NMSE (dB)"
        claims.append(nmse_at_most(what, found[best], targets[snr_db]))
        if not needs:
            what = f"{what}, best logged by Behrens et al."
            claims.append(nmse_at_most(what, found[best], _BEST_LOGGED[snr_db], is_target=False))
    if UNTRAINED in found:
        gap = found["lamp"].nmse_db - found[UNTRAINED].nmse_db
        what = f"{snr_db} dB: LAMP, trained less untrained (dB)"
        claims.append(compare_at_most(what, gap, _SAME, low=gap, high=gap))
    return claims


def _limits(study: Study, snr_db: float) -> dict[str, Any]:
    setting: dict[str, Any] = {"aspect": study.aspect, "sparsity": study.sparsity}
    evolution = bayes_state_evolution(snr_db=snr_db, num_steps=study.num_layers, **setting)
    return {
        "least squares on the true support": float(oracle_nmse_db(snr_db, **setting)),
        "Bayes state evolution": 10 * np.log10(np.asarray(evolution.nmse, float)),
    }


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
    best = _best(like)
    for name, target in (("hyperlista", _TARGETS_NMSE["hyperlista"]), (best, _TARGET_BEST)):
        what = f"κ = {_LIKE_GAUSSIAN}: {name}, NMSE (dB), target of a Gaussian A + {_SLACK:g}"
        claims.append(nmse_at_most(what, like[name], target + _SLACK))
    table = [row for number, found in scores.items() for row in rows(f"κ = {number}", found)]
    panels = [over_layers(f"condition number {n}", _curves(each)) for n, each in scores.items()]
    return Outcome(claims, table, partial(_draw, panels, f"no noise; {PROTOCOL}"))


def _best(found: Mapping[str, Evaluation]) -> str:
    return min(found, key=lambda name: found[name].nmse_db)


def _curves(found: Mapping[str, Evaluation]) -> dict[str, np.ndarray]:
    return {name: each.layer_nmse_db for name, each in found.items()}


def _draw(panels: Sequence[Panel], title: str, path: Path) -> str:
    return draw(path, panels, size=(3.9, 4.2), title=title, one_legend=True)


_SOURCE = "networks and protocol of Chen et al. (2018, 2021), Liu et al. (2019)"

ENTRIES = (
    Reproduction(
        name="unfolded-noiseless",
        title="error against layer of all unfolded networks, without noise",
        source=f"{_SOURCE}; bounds are this library's targets",
        run=partial(_noiseless, _ALL, Study()),
        cost="10 minutes",
    ),
    Reproduction(
        name="unfolded-noise",
        title="error against layer at 40, 30 and 20 dB, beside the Bayes and the oracle error",
        source=f"{_SOURCE}; logs of Behrens, Sauder, Jung (2021); other bounds are targets",
        run=partial(_noisy, _NOISE, Study(steps=_NOISE_STEPS)),
        cost="10 minutes",
    ),
    Reproduction(
        name="unfolded-condition",
        title="error against layer for condition numbers 5, 30 and 50",
        source=f"{_SOURCE}; bounds are this library's targets",
        run=partial(_conditioned, _CONDITION, Study()),
        cost="10 minutes",
    ),
)
