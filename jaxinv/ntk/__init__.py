"""Neural tangent kernels: spectra, linearized dynamics at any time, products for deep nets."""

from ._descent import linearized_descent as linearized_descent
from ._descent import linearized_distance as linearized_distance
from ._empirical import empirical_kernel as empirical_kernel
from ._empirical import jacobian as jacobian
from ._empirical import jacobian_singular_values as jacobian_singular_values
from ._lanczos import LanczosSpectrum as LanczosSpectrum
from ._lanczos import lanczos_spectrum as lanczos_spectrum
from ._linearize import linearize as linearize
from ._signals import descent_filter as descent_filter
from ._signals import linearized_denoising as linearized_denoising
from ._signals import linearized_limit as linearized_limit
from ._signals import linearized_signal as linearized_signal
from ._spectrum import expected_kernel as expected_kernel
from ._spectrum import expected_operator as expected_operator
from ._spectrum import frequency_order as frequency_order
from ._spectrum import spectrum as spectrum
from ._spectrum import trigonometric_basis as trigonometric_basis
