r"""Proximal operators: pytrees that solvers such as ``ista`` and ``fista`` call between steps.

For a penalty R each is an object with

.. math::
    \mathtt{prox(v, step\_size)} = \arg\min_w \; \tfrac12 \|w - v\|^2 + \eta\, R(w), \qquad
    \mathtt{prox.value(w)} = R(w)

where η is the step size. Weights of the penalty are leaves, so they can be batched by ``vmap``,
differentiated and trained; everything is jittable."""

from ._adapter import from_function as from_function
from ._ball import l1_ball as l1_ball
from ._base import Prox as Prox
from ._denoiser import denoiser as denoiser
from ._entrywise import box as box
from ._entrywise import hard as hard
from ._entrywise import soft as soft
from ._group import group as group
from ._range import range_of as range_of
from ._total_variation import tv as tv
