"""Error against layer of unfolded networks in noise, beside the best that can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._unfolded import (
    PROTOCOL,
    SOURCE,
    UNTRAINED,
    Counter,
    Study,
    best_of,
    curves_of,
    draw_panels,
    rows,
    scored,
)  # fmt: skip
from jaxinv.reproductions.claims import Claim, compare_at_most, nmse_at_most
from jaxinv.theory import bayes_state_evolution, oracle_nmse_db
from jaxinv.unfolded import Evaluation
from jaxinv.unfolded._catalog import NETWORKS
from jaxinv.viz._panels import over_layers

_NETWORKS = ("lista-cpss", "alista", "alista-momentum", "alista-at", "hyperlista", "lamp", "alamp")
_SNRS = (40, 30, 20)
_TARGETS_SOFT = {40: -42.0, 20: -21.5}
_TARGETS_POSTERIOR = {40: -45.0, 20: -23.3}
# logs in the code of Behrens, Sauder, Jung (2021): NA-ALISTA at 40 dB, ALISTA-AT at 20 dB
_BEST_LOGGED = {40: -42.31, 20: -21.80}
_STEPS = dict.fromkeys(NETWORKS, 400)  # in noise the error reaches its floor early
_SAME = 0.02  # dB that trained message passing may lose to the untrained one, by chance


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
        panels.append(over_layers(f"SNR {snr_db} dB", curves_of(found), limits))
    return Outcome(claims, table, partial(draw_panels, panels, PROTOCOL))


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
        best = best_of(members)
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


ENTRIES = (
    Reproduction(
        name="unfolded-noise",
        title="error against layer at 40, 30 and 20 dB, beside the Bayes and the oracle error",
        source=f"{SOURCE}; logs of Behrens, Sauder, Jung (2021); other bounds are targets",
        run=partial(_noisy, _NETWORKS, Study(steps=_STEPS)),
        cost="10 minutes",
    ),
)
