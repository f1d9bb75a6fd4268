"""Samplers of the posterior, and the loop that runs their chains."""

from ._base import Sampler as Sampler
from ._base import SamplerInfo as SamplerInfo
from ._diagnostics import effective_sample_size as effective_sample_size
from ._diagnostics import rhat as rhat
from ._langevin import langevin as langevin
from ._laplace import laplace as laplace
from ._sample import Samples as Samples
from ._sample import sample as sample
