"""How much noise an image shows."""

from __future__ import annotations

import numpy as np

from jaxinv.images._measurement import Measurement

_KERNEL = np.array([1.0, -2.0, 1.0])
_GAUSS = 0.6745  # the median of |N(0, 1)|


def estimated_noise(measured: Measurement) -> float:
    """Return σ of white noise on an image, from second differences along both axes.

    They remove what is smooth; of the rest the median is noise, edges being few. Texture of one
    pixel counts as noise.
    """
    planes = np.asarray(measured.planes().adjoint(measured.y))
    parts = [planes] if np.isrealobj(planes) else [np.real(planes), np.imag(planes)]
    found = [np.median(np.abs(_second(_second(part, -1), -2))) / _GAUSS for part in parts]
    return float(np.sqrt(np.sum(np.square(found)))) / float(np.sum(_KERNEL**2))


def _second(x: np.ndarray, axis: int) -> np.ndarray:
    return np.diff(x, 2, axis=axis)
