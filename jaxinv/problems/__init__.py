"""Problems and the families that draw them."""

from ._arrays import from_arrays as from_arrays
from ._back_projected import back_projected as back_projected
from ._blind import blind_demodulation as blind_demodulation
from ._corrupted import corrupted as corrupted
from ._denoising import denoising as denoising
from ._generative import generative as generative
from ._images import images as images
from ._nonlinear import one_bit as one_bit
from ._nonlinear import phase_retrieval as phase_retrieval
from ._nonlinear import single_index as single_index
from ._padded import padded as padded
from ._patches import PatchFamily as PatchFamily
from ._patches import PatchMeasurement as PatchMeasurement
from ._patches import patches as patches
from ._problem import Family as Family
from ._problem import Problem as Problem
from ._problem import Truth as Truth
from ._problem import jacobian as jacobian
from ._problem import loss_and_gradient as loss_and_gradient
from ._sparse import sparse as sparse
from ._spiked import spiked as spiked
