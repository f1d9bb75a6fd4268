"""Solvers: algorithms as pytrees with ``init`` and ``step``, and the loops that run them."""

from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._loop import Solution, raise_if_failed, solve, trace
from jaxinv.solvers.admm import Admm, admm
from jaxinv.solvers.amp import Amp, amp
from jaxinv.solvers.basis_pursuit import BasisPursuit, basis_pursuit
from jaxinv.solvers.cosamp import Cosamp, cosamp
from jaxinv.solvers.damp import Damp, damp
from jaxinv.solvers.duality import DualityGap, duality_gap, kkt_residual, largest_penalty
from jaxinv.solvers.fista import Fista, fista
from jaxinv.solvers.gradient import Gradient, gradient
from jaxinv.solvers.iht import Iht, iht
from jaxinv.solvers.ista import Ista, ista
from jaxinv.solvers.lasso import Lasso, lasso
from jaxinv.solvers.lasso_path import LassoPath, lasso_path
from jaxinv.solvers.least_squares import debias, oracle
from jaxinv.solvers.levenberg_marquardt import LevenbergMarquardt, levenberg_marquardt
from jaxinv.solvers.omp import Omp, omp
from jaxinv.solvers.primal_dual import PrimalDual, primal_dual
from jaxinv.solvers.restarts import Restarts, with_restarts
from jaxinv.solvers.subgradient import Subgradient, subgradient
from jaxinv.solvers.unfold import Layers, unfold
from jaxinv.solvers.vamp import Vamp, vamp

__all__ = [
    "Admm",
    "Amp",
    "BasisPursuit",
    "Cosamp",
    "Damp",
    "DualityGap",
    "Fista",
    "Gradient",
    "Iht",
    "Info",
    "Ista",
    "Lasso",
    "LassoPath",
    "Layers",
    "LevenbergMarquardt",
    "Omp",
    "PrimalDual",
    "Restarts",
    "Solution",
    "Solver",
    "Subgradient",
    "Vamp",
    "admm",
    "amp",
    "basis_pursuit",
    "cosamp",
    "damp",
    "debias",
    "duality_gap",
    "fista",
    "gradient",
    "iht",
    "ista",
    "kkt_residual",
    "largest_penalty",
    "lasso",
    "lasso_path",
    "levenberg_marquardt",
    "omp",
    "oracle",
    "primal_dual",
    "raise_if_failed",
    "solve",
    "subgradient",
    "trace",
    "unfold",
    "vamp",
    "with_restarts",
]
