r"""Shrinkage functions: entrywise estimators of a signal seen in Gaussian noise of known size.

Approximate message passing hands each a vector that behaves as

.. math:: v = x + \tau z, \qquad z \sim N(0, I), \qquad
    \mathtt{shrink(v, \tau)} = \eta(v, \tau), \qquad
    \mathtt{shrink.derivative(v, \tau)}_i = \eta'(v_i, \tau)

A proximal operator takes a step size; a shrinkage takes the standard deviation of the noise.
Parameters are leaves, so they can be batched by ``vmap``, differentiated and trained."""

from ._adapter import from_function as from_function
from ._base import Shrinkage as Shrinkage
from ._posterior_mean import posterior_mean as posterior_mean
from ._soft import soft as soft
