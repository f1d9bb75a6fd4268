"""The column of refusals of samplers: as ``refusal_cases``."""

from collections.abc import Callable

import numpy as np
from fuzz_cases import sampled_draws
from fuzz_values import ones
from refusal_cases import Refusals

import jaxinv as ji

SAMPLERS: dict[str, Callable[[], Refusals]] = {
    "samplers.annealed_langevin": lambda: [
        ({"noise_std": 0.0}, "noise_std must be finite and > 0"),
        ({"first_noise_std": 0.05}, "first_noise_std must be above noise_std = 0.1"),
        ({"num_levels": 1}, "num_levels must be >= 2"),
    ],
    "samplers.preconditioned": lambda: [
        ({"sampler": ji.solvers.fista(0.1, 0.1)}, "sampler must be a sampler with a noise_std"),
    ],
    "samplers.summary": lambda: [
        ({"draws": ones(2, 6)}, "draws must be Samples"),
        ({"level": 1.0}, "level must be in"),
        (
            {"draws": sampled_draws()._replace(status=np.array([8, 9]))},
            "draws must be of chains with status SAMPLED, got UNMIXED for 1 of 2",
        ),
        ({"draws": sampled_draws()._replace(x=1j * ones(2, 6, 2))}, "draws.x must be real"),
    ],
    "samplers.tempered": lambda: [
        ({"sampler": ji.samplers.laplace(0.1)}, "sampler must be one of langevin, nuts or hmc"),
        ({"temperatures": (2.0, 4.0)}, "temperatures must begin with 1"),
        ({"temperatures": (1.0, 4.0, 4.0)}, "temperatures must begin with 1, .* and increase"),
        ({"temperatures": (1.0, 0.5)}, "temperatures must begin with 1, .* and increase"),
        ({"temperatures": (1.0,)}, "temperatures must hold two"),
        ({"swap_every": 0}, "swap_every must be >= 1"),
    ],
    "samplers.from_blackjax": lambda: [
        ({"algorithm": "nuts"}, "algorithm must be a sampling algorithm of blackjax"),
        ({"noise_std": 0.0}, "noise_std must be finite and > 0"),
        ({"step_size": 0.0}, "step_size must be finite and > 0"),
        ({"num_steps": 3}, "parameters must be one of step_size"),
    ],
    "samplers.hmc": lambda: [
        ({"noise_std": 0.0}, "noise_std must be finite and > 0"),
        ({"num_integration_steps": 0}, "num_integration_steps must be >= 1"),
        ({"inverse_mass_matrix": -np.ones(6)}, "inverse_mass_matrix must be positive definite"),
        ({"inverse_mass_matrix": np.ones((2, 3))}, "inverse_mass_matrix must have shape"),
    ],
    "samplers.nuts": lambda: [
        ({"noise_std": 0.0}, "noise_std must be finite and > 0"),
        ({"max_num_doublings": 90}, "max_num_doublings must be at most 20"),
    ],
    "samplers.tune": lambda: [
        ({"sampler": ji.samplers.langevin(0.1, 1.0)}, "sampler must be one of nuts or hmc"),
        ({"num_steps": 3}, "num_steps must be >= 20"),
        ({"u0": np.ones(5)}, r"u0 must have shape \(6,\)"),
        ({"u0": 1j * np.ones(6)}, "u0 must be real"),
        ({"acceptance": 1.0}, "acceptance must be in"),
    ],
    "samplers.langevin": lambda: [
        ({"step_size": 0.0}, "step_size must"),
        ({"noise_std": -1.0}, "noise_std must"),
        ({"adjust": 1}, "adjust must be True or False"),
    ],
    "samplers.laplace": lambda: [
        ({"noise_std": 0.0}, "noise_std must"),
        ({"max_steps": 0}, "max_steps must be >= 1"),
    ],
}
