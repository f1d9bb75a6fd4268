"""Published figures, tables and theorems, one file each, that run and give a verdict."""

from jaxinv._core import checks
from jaxinv.reproductions import (
    block_sensing,
    generalization,
    landscape,
    linear_rates,
    message_passing,
    noise_laws,
    nonexpansive,
    patch_coding,
    step_lista,
    unfolded_recovery,
    unfolded_robustness,
    untrained_basis,
    untrained_bounds,
    untrained_denoising,
    untrained_digits,
    untrained_fit_time,
    untrained_jacobian,
    untrained_mri,
    untrained_photo,
    untrained_regularization,
    untrained_retina,
    untrained_sensing,
    untrained_spectrum,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, write
from jaxinv.reproductions.claims import Claim, overall

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
        block_sensing,
        patch_coding,
        untrained_basis,
        untrained_spectrum,
        untrained_denoising,
        untrained_bounds,
        untrained_jacobian,
        untrained_sensing,
        untrained_fit_time,
        untrained_photo,
        untrained_retina,
        untrained_digits,
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
