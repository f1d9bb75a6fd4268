"""Two statements on untrained networks that do not hold as printed."""

from __future__ import annotations

from functools import partial

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions._untrained_jacobian import (
    NUM_MODES,
    NUM_VECTORS,
    PAPER,
    JacobianStudy,
    draw_spectra,
    spectra_of,
)  # fmt: skip
from jaxinv.reproductions._untrained_theory import power_law_claims
from jaxinv.reproductions.claims import Claim, at_least

_WELL = 0.9  # energy from which on "close to" counts as reproduced


def _printed(study: JacobianStudy, settings: Settings) -> Outcome:
    """Judge two statements as they are printed, beside the versions that do hold."""
    found = spectra_of(study._replace(steps=(1,)), settings)
    claims: list[Claim] = power_law_claims()
    sizes = f"{NUM_VECTORS} leading singular vectors in {NUM_MODES} cosines"
    for name, text in (("true", "J"), ("accumulated", "the accumulated J")):
        samples = [getattr(each, f"{name}_energy") for each in found]
        claims.append(at_least(f"energy of the {sizes}: {text}", samples, _WELL))
    rows = [
        {"trial": index, "true": each.true_energy, "accumulated": each.accumulated_energy}
        for index, each in enumerate(found)
    ]
    return Outcome(claims, rows, partial(draw_spectra, study._replace(steps=(1,)), found))


ENTRIES = (
    Reproduction(
        name="untrained-printed-claims",
        title="two printed statements fail: geometric decay, trigonometric vectors of deep nets",
        source=f"{PAPER}, captions of figures 3 and 4, section 4",
        run=partial(_printed, JacobianStudy()),
        cost="30 seconds",
    ),
)
