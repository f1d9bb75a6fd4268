"""Solvers: algorithms as pytrees with ``init`` and ``step``, and the loops that run them."""

from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._loop import Solution, raise_if_failed, solve, trace
from jaxinv.solvers.levenberg_marquardt import LevenbergMarquardt, levenberg_marquardt
from jaxinv.solvers.restarts import Restarts, with_restarts
from jaxinv.solvers.subgradient import Subgradient, subgradient

__all__ = [
    "Info",
    "LevenbergMarquardt",
    "Restarts",
    "Solution",
    "Solver",
    "Subgradient",
    "levenberg_marquardt",
    "raise_if_failed",
    "solve",
    "subgradient",
    "trace",
    "with_restarts",
]
