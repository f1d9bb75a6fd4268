"""Networks whose only weights are step sizes, on the Lasso: against ISTA and larger networks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._step_lista import (
    ALISTA,
    ISTA,
    LISTA,
    STEP_LAYERS,
    STEP_LISTA,
    STEP_PENALTY,
    STEP_SHAPE,
    TRAINED,
    Case,
    Learned,
    Study,
    draw_family,
    learn_steps,
    solve_case,
)
from jaxinv.reproductions._unfolded import Counter, draw_panels
from jaxinv.reproductions.claims import Claim, at_least, compare_at_most, compare_ratio
from jaxinv.viz._panels import over_layers

_SPARSE, _DENSE = 0.8, 0.1  # λ over the largest that leaves anything
_MOST = 0.9  # of the steps
_LARGEST_GAP = 0.01  # of the reference, over the smallest F − F* that is measured


def _run(study: Study, settings: Settings) -> Outcome:
    counter = Counter(settings, 2 * len(TRAINED) * len(study.depths))
    family = draw_family(jax.random.fold_in(settings.key, 0), study.shape)
    cases = {p: solve_case(study, settings, family, p, counter) for p in (_DENSE, _SPARSE)}
    learned = learn_steps(study, settings)
    claims = _step_claims(learned)
    for penalty, case in cases.items():
        claims += _case_claims(penalty, case)
    return Outcome(claims, _rows(cases, learned), partial(_draw, study, cases))


def _step_claims(learned: Learned) -> list[Claim]:
    """Compare the steps of the published small network with 1/L and 4/L.

    That range belongs to its supports S, of which 1/L_S is at most about 2/L. The sparser
    solutions of the larger problem allow larger steps, which the table has.
    """
    where = f"{STEP_LAYERS} layers, D {STEP_SHAPE[0]} × {STEP_SHAPE[1]}, λ = {STEP_PENALTY}"
    inside = float(np.mean((learned.steps >= 1) & (learned.steps <= 4)))
    above = float(np.mean(learned.steps > 1))
    half = learned.steps.size // 2
    low, high = learned.quartiles[half:, 0], 2 * learned.quartiles[half:, 2]
    steps = learned.steps[half:]
    between = float(np.mean((steps >= low) & (steps <= high)))
    shares = {
        "share of learned steps in [1/L, 4/L]": inside,
        "share of learned steps above 1/L": above,
        "share from 1/L_S to 2/L_S (quartiles), later half": between,
    }
    return [at_least(f"{what}: {where}", share, _MOST) for what, share in shares.items()]


def _case_claims(penalty: float, case: Case) -> list[Claim]:
    """Compare with ISTA at every depth, and with the other networks at the largest.

    ALISTA's weights are not D: no such network converges to the solution of the Lasso (theorem
    4.4), so that it falls behind as depth grows. LISTA's are free, and win where the solutions
    are too dense for large steps.
    """
    gap = case.gap / min(each.mean() for found in case.excess.values() for each in found.values())
    what = f"λ = {penalty}: mean duality gap of the reference over the smallest mean F − F*"
    claims = [compare_at_most(what, gap, _LARGEST_GAP, low=gap, high=gap)]
    claims += [_below(penalty, case, ISTA, depth) for depth in case.excess[ISTA]]
    deepest = max(case.excess[STEP_LISTA])
    claims.append(_below(penalty, case, ALISTA, deepest))
    claims.append(_below(penalty, case, LISTA, deepest, holds=penalty == _SPARSE))
    return claims


def _below(penalty: float, case: Case, other: str, depth: int, *, holds: bool = True) -> Claim:
    """Compare mean F − F* of the trained steps with another's; published below it, or above."""
    ours, theirs = case.excess[STEP_LISTA][depth], case.excess[other][depth]
    order = "below" if holds else "above"
    what = f"λ = {penalty}, {depth} layers: F − F* of {STEP_LISTA} over {other}, expected {order} 1"
    return compare_ratio(what, ours, theirs, below=holds)


def _rows(cases: Mapping[float, Case], learned: Learned) -> list[dict[str, Any]]:
    """Return mean F − F* by network and depth, then the learned steps, in units of 1/L."""
    empty = dict.fromkeys(("penalty", "network", "depth", "layer", "excess", "error", "step"))
    table = []
    for penalty, case in cases.items():
        for name, by_depth in case.excess.items():
            for depth, values in by_depth.items():
                error = float(np.std(values, ddof=1) / np.sqrt(values.size))
                row = {"excess": float(values.mean()), "error": error}
                table.append({**empty, "penalty": penalty, "network": name, "depth": depth, **row})
    steps = [(p, depth, each) for p, case in cases.items() for depth, each in case.steps.items()]
    steps.append((STEP_PENALTY, STEP_LAYERS, learned.steps))
    for penalty, depth, each in steps:
        place = {"penalty": penalty, "network": STEP_LISTA, "depth": depth}
        table += [{**empty, **place, "layer": t + 1, "step": float(s)} for t, s in enumerate(each)]
    return table


def _draw(study: Study, cases: Mapping[float, Case], path: Path) -> str:
    panels = [
        over_layers(
            f"λ = {penalty} λ_max",
            {
                name: [np.log10(values.mean()) for values in by_depth.values()]
                for name, by_depth in case.excess.items()
            },
            {"F(0) − F*": np.log10(case.at_zero)},
            places=study.depths,
            xlabel="layers",
            ylabel="log₁₀ of the mean of F − F*",
        )
        for penalty, case in cases.items()
    ]
    title = f"Lasso, D {study.shape[0]} × {study.shape[1]}, trained without truth"
    return draw_panels(panels, title, path)


ENTRIES = (
    Reproduction(
        name="step-lista",
        title="learned step sizes beat ISTA, and larger networks too where solutions are sparse",
        source="Ablin, Moreau, Massias, Gramfort (2019), sections 4 and 5, theorem 4.4",
        run=partial(_run, Study()),
        cost="2 minutes",
    ),
)
