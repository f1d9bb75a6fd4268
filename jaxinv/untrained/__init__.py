"""Untrained priors: fit a network to one measurement, and stop without the truth."""

from ._fitting import Fit as Fit
from ._fitting import FitHistory as FitHistory
from ._fitting import FitProgress as FitProgress
from ._fitting import FitState as FitState
from ._fitting import fit as fit
from ._learned import LearnedRegularizer as LearnedRegularizer
from ._learned import learned_regularizer as learned_regularizer
from ._learned import regularizer_from as regularizer_from
from ._penalties import total_variation as total_variation
from ._restarts import least_misfit as least_misfit
from ._stopping import StoppingRule as StoppingRule
from ._stopping import exponential_variance as exponential_variance
from ._stopping import held_out as held_out
from ._stopping import least_residual as least_residual
from ._stopping import sure as sure
from ._stopping import windowed_variance as windowed_variance
from ._storage import load as load
from ._storage import save as save
