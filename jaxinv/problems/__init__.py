"""Problems and the families that draw them."""

from jaxinv.problems._problem import Family, Problem, Truth, jacobian, loss_and_gradient
from jaxinv.problems.generative import GenerativeFamily, generative

__all__ = [
    "Family",
    "GenerativeFamily",
    "Problem",
    "Truth",
    "generative",
    "jacobian",
    "loss_and_gradient",
]
