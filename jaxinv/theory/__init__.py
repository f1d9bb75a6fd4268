"""What theory says: random ReLU landscapes, noise laws, conditions, rates, state evolution."""

from jaxinv.theory.angles import angle_between, angle_map, angle_sequence
from jaxinv.theory.coherence import coherence, generalized_coherence, welch_bound
from jaxinv.theory.generalization import (
    GeneralizationBound,
    Perturbation,
    generalization_bound,
    generalization_rate,
    perturbation,
    perturbation_constant,
)
from jaxinv.theory.landscape import expected_gradient, expected_loss, rho
from jaxinv.theory.laws import denoising_law, noise_law
from jaxinv.theory.rates import LinearRate, RateCheck, check_linear_rate, linear_rate
from jaxinv.theory.restricted import (
    RestrictedEigenvalue,
    RestrictedIsometry,
    restricted_eigenvalue,
    restricted_isometry,
)
from jaxinv.theory.sparse_limits import donoho_tanner, minimax_multiplier, oracle_nmse_db
from jaxinv.theory.state_evolution import StateEvolution, bayes_state_evolution, state_evolution
from jaxinv.theory.sufficient import Sufficient, sufficient_sparsity

__all__ = [
    "GeneralizationBound",
    "LinearRate",
    "Perturbation",
    "RateCheck",
    "RestrictedEigenvalue",
    "RestrictedIsometry",
    "StateEvolution",
    "Sufficient",
    "angle_between",
    "angle_map",
    "angle_sequence",
    "bayes_state_evolution",
    "check_linear_rate",
    "coherence",
    "denoising_law",
    "donoho_tanner",
    "expected_gradient",
    "expected_loss",
    "generalization_bound",
    "generalization_rate",
    "generalized_coherence",
    "linear_rate",
    "minimax_multiplier",
    "noise_law",
    "oracle_nmse_db",
    "perturbation",
    "perturbation_constant",
    "restricted_eigenvalue",
    "restricted_isometry",
    "rho",
    "state_evolution",
    "sufficient_sparsity",
    "welch_bound",
]
