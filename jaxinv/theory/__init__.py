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
from jaxinv.theory.untrained_decoders import (
    Compression,
    DecoderRecovery,
    NoiseBound,
    NoiseFit,
    compression,
    decoder_recovery,
    noise_bound,
    noise_fit,
)
from jaxinv.theory.untrained_denoising import DenoisingCurve, denoising_curve
from jaxinv.theory.untrained_descent import (
    Claim,
    Closeness,
    LinearDynamics,
    WidthConstants,
    linear_closeness,
    linear_dynamics,
    width_constants,
)
from jaxinv.theory.untrained_fitting import FittingRate, fitting_rate
from jaxinv.theory.untrained_recovery import (
    NetworkRecovery,
    SketchBound,
    SketchedRecovery,
    geometric_recovery_bound,
    network_recovery,
    recovery_bound,
    sketch_bound,
    sketched_recovery,
)

__all__ = [
    "Claim",
    "Closeness",
    "Compression",
    "DecoderRecovery",
    "DenoisingCurve",
    "FittingRate",
    "GeneralizationBound",
    "LinearDynamics",
    "LinearRate",
    "NetworkRecovery",
    "NoiseBound",
    "NoiseFit",
    "Perturbation",
    "RateCheck",
    "RestrictedEigenvalue",
    "RestrictedIsometry",
    "SketchBound",
    "SketchedRecovery",
    "StateEvolution",
    "Sufficient",
    "WidthConstants",
    "angle_between",
    "angle_map",
    "angle_sequence",
    "bayes_state_evolution",
    "check_linear_rate",
    "coherence",
    "compression",
    "decoder_recovery",
    "denoising_curve",
    "denoising_law",
    "donoho_tanner",
    "expected_gradient",
    "expected_loss",
    "fitting_rate",
    "generalization_bound",
    "generalization_rate",
    "generalized_coherence",
    "geometric_recovery_bound",
    "linear_closeness",
    "linear_dynamics",
    "linear_rate",
    "minimax_multiplier",
    "network_recovery",
    "noise_bound",
    "noise_fit",
    "noise_law",
    "oracle_nmse_db",
    "perturbation",
    "perturbation_constant",
    "recovery_bound",
    "restricted_eigenvalue",
    "restricted_isometry",
    "rho",
    "sketch_bound",
    "sketched_recovery",
    "state_evolution",
    "sufficient_sparsity",
    "welch_bound",
    "width_constants",
]
