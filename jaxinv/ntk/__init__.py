"""Neural tangent kernels: spectra, linearized dynamics at any time, products for deep nets."""

from jaxinv.ntk.descent import linearized_descent, linearized_distance
from jaxinv.ntk.empirical import empirical_kernel, jacobian, jacobian_singular_values
from jaxinv.ntk.lanczos import LanczosSpectrum, lanczos_spectrum
from jaxinv.ntk.linearize import Linearized, linearize
from jaxinv.ntk.signals import (
    descent_filter,
    linearized_denoising,
    linearized_limit,
    linearized_signal,
)
from jaxinv.ntk.spectrum import (
    expected_kernel,
    expected_operator,
    frequency_order,
    spectrum,
    trigonometric_basis,
)

__all__ = [
    "LanczosSpectrum",
    "Linearized",
    "descent_filter",
    "empirical_kernel",
    "expected_kernel",
    "expected_operator",
    "frequency_order",
    "jacobian",
    "jacobian_singular_values",
    "lanczos_spectrum",
    "linearize",
    "linearized_denoising",
    "linearized_descent",
    "linearized_distance",
    "linearized_limit",
    "linearized_signal",
    "spectrum",
    "trigonometric_basis",
]
