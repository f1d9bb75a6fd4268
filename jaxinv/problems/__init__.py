"""Problems and the families that draw them."""

from jaxinv.problems._problem import Family, Problem, Truth, jacobian, loss_and_gradient
from jaxinv.problems.generative import GenerativeFamily, generative
from jaxinv.problems.image import ImageFamily, image
from jaxinv.problems.sparse import SparseFamily, sparse

__all__ = [
    "Family",
    "GenerativeFamily",
    "ImageFamily",
    "Problem",
    "SparseFamily",
    "Truth",
    "generative",
    "image",
    "jacobian",
    "loss_and_gradient",
    "sparse",
]
