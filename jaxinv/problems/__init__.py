"""Problems and the families that draw them."""

from jaxinv.problems._problem import Family, Problem, Truth, jacobian, loss_and_gradient
from jaxinv.problems.blocks import dct_dictionary, join_blocks, split_blocks
from jaxinv.problems.generative import GenerativeFamily, generative
from jaxinv.problems.image import ImageFamily, image
from jaxinv.problems.patches import PatchFamily, PatchMeasurement, patches
from jaxinv.problems.sparse import SparseFamily, sparse

__all__ = [
    "Family",
    "GenerativeFamily",
    "ImageFamily",
    "PatchFamily",
    "PatchMeasurement",
    "Problem",
    "SparseFamily",
    "Truth",
    "dct_dictionary",
    "generative",
    "image",
    "jacobian",
    "join_blocks",
    "loss_and_gradient",
    "patches",
    "sparse",
    "split_blocks",
]
