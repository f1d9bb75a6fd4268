"""Closed forms for random ReLU networks: angles, expected landscapes, noise laws."""

from jaxinv.theory.angles import angle_between, angle_map, angle_sequence
from jaxinv.theory.landscape import expected_gradient, expected_loss, rho
from jaxinv.theory.laws import denoising_law, noise_law

__all__ = [
    "angle_between",
    "angle_map",
    "angle_sequence",
    "denoising_law",
    "expected_gradient",
    "expected_loss",
    "noise_law",
    "rho",
]
