"""Samplers of the posterior, and the loop that runs their chains."""

from ._annealed import annealed_langevin as annealed_langevin
from ._base import Sampler as Sampler
from ._base import SamplerInfo as SamplerInfo
from ._blackjax import from_blackjax as from_blackjax
from ._blackjax import hmc as hmc
from ._blackjax import nuts as nuts
from ._diagnostics import effective_sample_size as effective_sample_size
from ._diagnostics import rhat as rhat
from ._langevin import langevin as langevin
from ._laplace import laplace as laplace
from ._preconditioned import preconditioned as preconditioned
from ._sample import Samples as Samples
from ._sample import sample as sample
from ._summary import Summary as Summary
from ._summary import summary as summary
from ._tempered import tempered as tempered
from ._tune import tune as tune
