"""Problems and the families that draw them."""

from ._arrays import from_arrays as from_arrays
from ._generative import generative as generative
from ._images import images as images
from ._patches import PatchFamily as PatchFamily
from ._patches import PatchMeasurement as PatchMeasurement
from ._patches import patches as patches
from ._problem import Family as Family
from ._problem import Problem as Problem
from ._problem import Truth as Truth
from ._problem import jacobian as jacobian
from ._problem import loss_and_gradient as loss_and_gradient
from ._sparse import sparse as sparse
