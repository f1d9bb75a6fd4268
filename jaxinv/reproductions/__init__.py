"""Published figures, tables and theorems, one file each, that run and give a verdict."""

from jaxinv._core import checks
from jaxinv.reproductions import (
    generalization,
    landscape,
    linear_rates,
    message_passing,
    noise_laws,
    nonexpansive,
    real_images,
    step_lista,
    unfolded_recovery,
    unfolded_robustness,
    untrained_fitting,
    untrained_jacobian,
    untrained_mri,
    untrained_recovery,
    untrained_regularization,
    untrained_theory,
)
from jaxinv.reproductions._registry import Claim, Outcome, Reproduction, Settings, overall, write

REPRODUCTIONS: dict[str, Reproduction] = {
    entry.name: entry
    for module in (
        nonexpansive,
        noise_laws,
        landscape,
        linear_rates,
        message_passing,
        step_lista,
        unfolded_recovery,
        unfolded_robustness,
        generalization,
        real_images,
        untrained_theory,
        untrained_jacobian,
        untrained_fitting,
        untrained_recovery,
        untrained_regularization,
        untrained_mri,
    )
    for entry in module.ENTRIES
}


def reproduction(name: str) -> Reproduction:
    """Return a reproduction by name; the choices are listed when there is none of that name."""
    return REPRODUCTIONS[checks.choice("reproduce", "name", name, REPRODUCTIONS)]


__all__ = [
    "REPRODUCTIONS",
    "Claim",
    "Outcome",
    "Reproduction",
    "Settings",
    "overall",
    "reproduction",
    "write",
]
