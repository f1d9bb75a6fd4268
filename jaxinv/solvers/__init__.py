"""Solvers: algorithms as pytrees with ``init`` and ``step``, and the loops that run them."""

from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._loop import Solution, raise_if_failed, solve, trace
from jaxinv.solvers.fista import Fista, fista
from jaxinv.solvers.gradient import Gradient, gradient
from jaxinv.solvers.ista import Ista, ista
from jaxinv.solvers.levenberg_marquardt import LevenbergMarquardt, levenberg_marquardt
from jaxinv.solvers.restarts import Restarts, with_restarts
from jaxinv.solvers.subgradient import Subgradient, subgradient
from jaxinv.solvers.unfold import Layers, unfold

__all__ = [
    "Fista",
    "Gradient",
    "Info",
    "Ista",
    "Layers",
    "LevenbergMarquardt",
    "Restarts",
    "Solution",
    "Solver",
    "Subgradient",
    "fista",
    "gradient",
    "ista",
    "levenberg_marquardt",
    "raise_if_failed",
    "solve",
    "subgradient",
    "trace",
    "unfold",
    "with_restarts",
]
