"""Inverse problems with deep priors: problems, solvers and networks as pytrees."""

from jaxinv import generators, metrics, operators, problems, solvers
from jaxinv._core import Status, describe
from jaxinv.problems import Problem
from jaxinv.solvers import Solution, raise_if_failed, solve, trace

__all__ = [
    "Problem",
    "Solution",
    "Status",
    "describe",
    "generators",
    "metrics",
    "operators",
    "problems",
    "raise_if_failed",
    "solve",
    "solvers",
    "trace",
]
__version__ = "0.1.0"
