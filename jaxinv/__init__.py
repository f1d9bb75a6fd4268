"""Inverse problems with deep priors: problems, solvers and networks as pytrees."""

from jaxinv import (
    data,
    denoisers,
    experiments,
    generators,
    metrics,
    ntk,
    operators,
    problems,
    prox,
    shrinkage,
    solvers,
    theory,
    unfolded,
    untrained,
    viz,
)
from jaxinv._core import Status, describe, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Layers, Solution, raise_if_failed, solve, trace, unfold

__all__ = [
    "Layers",
    "Problem",
    "Solution",
    "Status",
    "data",
    "denoisers",
    "describe",
    "experiments",
    "generators",
    "metrics",
    "ntk",
    "operators",
    "problems",
    "prox",
    "pytree",
    "raise_if_failed",
    "shrinkage",
    "solve",
    "solvers",
    "static",
    "theory",
    "trace",
    "unfold",
    "unfolded",
    "untrained",
    "viz",
]
__version__ = "0.1.0"
