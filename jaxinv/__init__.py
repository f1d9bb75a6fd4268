"""Inverse problems with deep priors: problems, solvers and networks as pytrees."""

from jaxinv import operators
from jaxinv._core import Status, describe

__all__ = ["Status", "describe", "operators"]
__version__ = "0.1.0"
