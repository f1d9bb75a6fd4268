"""Images: reconstruct one measurement, your own or a simulated one; classical baselines."""

from ._baseline import Baseline as Baseline
from ._baseline import baseline as baseline
from ._reconstruct import Candidate as Candidate
from ._reconstruct import Reconstruction as Reconstruction
from ._reconstruct import reconstruct as reconstruct
from ._simulate import Simulated as Simulated
from ._simulate import simulate as simulate
