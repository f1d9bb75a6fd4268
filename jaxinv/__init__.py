"""Inverse problems with deep priors: problems, solvers and networks as pytrees."""

from jaxinv import (
    data,
    experiments,
    generators,
    metrics,
    operators,
    problems,
    prox,
    shrinkage,
    solvers,
    theory,
    unfolded,
    viz,
)
from jaxinv._core import Status, describe
from jaxinv.problems import Problem
from jaxinv.solvers import Layers, Solution, raise_if_failed, solve, trace, unfold

__all__ = [
    "Layers",
    "Problem",
    "Solution",
    "Status",
    "data",
    "describe",
    "experiments",
    "generators",
    "metrics",
    "operators",
    "problems",
    "prox",
    "raise_if_failed",
    "shrinkage",
    "solve",
    "solvers",
    "theory",
    "trace",
    "unfold",
    "unfolded",
    "viz",
]
__version__ = "0.1.0"
