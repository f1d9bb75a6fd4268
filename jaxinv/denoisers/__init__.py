"""Image denoisers: functions of a noisy image and its noise level, for plug-and-play solvers.

Each is a pytree that is called as ``denoiser(x_noisy, noise_std) -> x``. ``solvers.damp`` takes
these, and any function of that form.
"""

from ._non_local_means import non_local_means as non_local_means
from ._total_variation import total_variation as total_variation
