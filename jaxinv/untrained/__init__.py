"""Untrained priors: fit a network to one measurement, and stop without the truth."""

from jaxinv.untrained.fitting import Fit, FitHistory, FitProgress, FitState, fit
from jaxinv.untrained.learned import LearnedRegularizer, learned_regularizer, regularizer_from
from jaxinv.untrained.penalties import total_variation
from jaxinv.untrained.restarts import least_misfit
from jaxinv.untrained.stopping import (
    ExponentialVariance,
    HeldOut,
    LeastResidual,
    StoppingRule,
    Sure,
    WindowedVariance,
    exponential_variance,
    held_out,
    least_residual,
    sure,
    windowed_variance,
)
from jaxinv.untrained.storage import load, save

__all__ = [
    "ExponentialVariance",
    "Fit",
    "FitHistory",
    "FitProgress",
    "FitState",
    "HeldOut",
    "LearnedRegularizer",
    "LeastResidual",
    "StoppingRule",
    "Sure",
    "WindowedVariance",
    "exponential_variance",
    "fit",
    "held_out",
    "learned_regularizer",
    "least_misfit",
    "least_residual",
    "load",
    "regularizer_from",
    "save",
    "sure",
    "total_variation",
    "windowed_variance",
]
