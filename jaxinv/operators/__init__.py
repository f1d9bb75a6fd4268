"""Measurement operators: pytrees of arrays with static shapes."""

from jaxinv.operators._base import LinearOperator, Operator
from jaxinv.operators.dense import Dense, dense, gaussian

__all__ = ["Dense", "LinearOperator", "Operator", "dense", "gaussian"]
