"""Singular values of the Jacobian of a four-layer decoder along a fit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._untrained_jacobian import (
    INDICES,
    PAPER,
    PUBLISHED,
    JacobianStudy,
    Spectra,
    draw_spectra,
    spectra_of,
)  # fmt: skip
from jaxinv.reproductions.claims import within_factor

_FACTOR = 2.0


def _jacobians(study: JacobianStudy, settings: Settings) -> Outcome:
    found = spectra_of(study, settings)
    claims = []
    for count, given in PUBLISHED.items():
        for index, value in zip(INDICES, given, strict=True):
            if value is None or count not in study.steps or index >= study.size:
                continue
            samples = [each.accumulated[count][index] for each in found]
            what = f"σ_{index} of the accumulated Jacobian, step {count}"
            claims.append(within_factor(what, samples, value, _FACTOR))
    rows = _rows(found)
    return Outcome(claims, rows, partial(draw_spectra, study, found))


def _rows(found: list[Spectra]) -> list[dict[str, Any]]:
    return [
        {
            "step": count,
            "index": index,
            "accumulated": float(np.mean([each.accumulated[count][index] for each in found])),
            "true": float(np.mean([each.true[count][index] for each in found])),
        }
        for count in found[0].true
        for index in range(found[0].true[count].size)
    ]


ENTRIES = (
    Reproduction(
        name="untrained-jacobian",
        title="singular values of a four-layer decoder along a fit, as the released code has them",
        source=f"{PAPER}, figure 4; the code adds each row of the Jacobian to the next",
        run=partial(_jacobians, JacobianStudy()),
        cost="2 minutes",
    ),
)
