"""Published figures, tables and theorems, one file each, that run and give a verdict."""

from jaxinv._core import checks
from jaxinv.reproductions import (
    amp_state_evolution,
    blind_demodulation,
    block_sensing,
    denoising_law,
    fourier_coherence,
    generalization_layers,
    generalization_samples,
    generalization_size,
    generative_descent,
    landscape_gradient,
    landscape_loss,
    landscape_rho,
    landscape_width,
    linear_rates,
    negation,
    noise_law,
    nonexpansive,
    one_bit,
    patch_coding,
    phase_retrieval,
    range_certificates,
    range_recovery,
    sparse_phase_diagram,
    sparse_tents,
    spiked_wigner,
    spiked_wishart,
    step_lista,
    unfolded_condition,
    unfolded_noise,
    unfolded_noiseless,
    unfolded_robustness,
    untrained_basis,
    untrained_bounds,
    untrained_denoising,
    untrained_digits,
    untrained_fit_time,
    untrained_jacobian,
    untrained_mri,
    untrained_photo,
    untrained_printed_claims,
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
        noise_law,
        denoising_law,
        landscape_gradient,
        landscape_loss,
        landscape_rho,
        landscape_width,
        negation,
        phase_retrieval,
        spiked_wigner,
        spiked_wishart,
        one_bit,
        blind_demodulation,
        fourier_coherence,
        generative_descent,
        range_certificates,
        range_recovery,
        sparse_tents,
        linear_rates,
        amp_state_evolution,
        sparse_phase_diagram,
        step_lista,
        unfolded_noiseless,
        unfolded_noise,
        unfolded_condition,
        unfolded_robustness,
        generalization_samples,
        generalization_layers,
        generalization_size,
        block_sensing,
        patch_coding,
        untrained_basis,
        untrained_spectrum,
        untrained_denoising,
        untrained_bounds,
        untrained_jacobian,
        untrained_printed_claims,
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
