"""Images: reconstruct one measurement, and the classical baselines to compare with."""

from ._baseline import Baseline as Baseline
from ._baseline import baseline as baseline
from ._reconstruct import Reconstruction as Reconstruction
from ._reconstruct import reconstruct as reconstruct
