r"""Proximal operators: pytrees that solvers such as ``ista`` and ``fista`` call between steps.

For a penalty R each is an object with

.. math::
    \mathtt{prox(v, step\_size)} = \arg\min_w \; \tfrac12 \|w - v\|^2 + \eta\, R(w), \qquad
    \mathtt{prox.value(w)} = R(w)

where η is the step size. Weights of the penalty are leaves, so they can be batched by ``vmap``,
differentiated and trained; everything is jittable.
"""

from jaxinv.prox._base import Prox
from jaxinv.prox.adapter import FromFunction, from_function
from jaxinv.prox.entrywise import Box, Hard, Soft, box, hard, soft
from jaxinv.prox.group import Group, group
from jaxinv.prox.total_variation import TotalVariation, tv

__all__ = [
    "Box",
    "FromFunction",
    "Group",
    "Hard",
    "Prox",
    "Soft",
    "TotalVariation",
    "box",
    "from_function",
    "group",
    "hard",
    "soft",
    "tv",
]
