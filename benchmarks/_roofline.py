"""What a function must compute and move, by its own text, against the limits of a machine.

The compiler's account counts the body of a loop once, and sees nothing of what libraries do; here
loops count as often as they turn where that is known (``while`` once).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

_MOVERS = ("fft", "triangular_solve", "lu", "qr", "eigh", "svd", "sort")  # read and write memory


class Work(NamedTuple):
    """Operations of products, and bytes: both at least, whatever the program."""

    operations: float
    num_bytes: float


def work_of(function: Any, *inputs: Any) -> Work:
    """Count the products of a function, and what they and the function itself read and write.

    Products read their operands and write their results; all between is taken as fused. Numbers
    that stay in a cache can be moved faster than the limit.
    """
    program = jax.make_jaxpr(function)(*inputs)
    operations, moved = _products(program.jaxpr)
    return Work(operations, max(moved, _bytes([*program.jaxpr.invars, *program.jaxpr.outvars])))


def shares(work: Work, seconds: float, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return the shares of both limits, and the name of the larger one: the bound."""
    of = {
        "GEMM rate": work.operations / seconds / limits["gemm_flops"],
        "copy bandwidth": work.num_bytes / seconds / limits["copy_bytes_per_s"],
    }
    bound = max(of, key=lambda name: of[name])
    return {"of_gemm": of["GEMM rate"], "of_bandwidth": of["copy bandwidth"], "bound": bound}


def levenberg_marquardt_operations(k: int, n1: int, n2: int, m: int) -> float:
    """Return the operations of a step for a two-layer network: J, JᵀJ and its factor."""
    return 2 * k * (n1 * n2 + n2 * m + m * k) + k**3 / 3


def _products(program: Any) -> tuple[float, float]:
    operations = moved = 0.0
    for equation in program.eqns:
        inner = _inner(equation)
        operations += 2 * inner * math.prod(equation.outvars[0].aval.shape)
        if inner or equation.primitive.name in _MOVERS:
            moved += _bytes([*equation.invars, *equation.outvars])
        turns = equation.params["length"] if equation.primitive.name == "scan" else 1
        for inside in _programs_in(equation):
            more, bytes_more = _products(inside)
            operations, moved = operations + turns * more, moved + turns * bytes_more
    return operations, moved


def _inner(equation: Any) -> float:
    """Return the multiplications for each number that a product gives, 0 for what is none."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        contracted = params["dimension_numbers"][0][0]
        return math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    if name == "correlate":
        return math.prod(equation.invars[1].aval.shape[1:4])
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        outputs = kernel[params["dimension_numbers"].rhs_spec[0]]
        return math.prod(kernel) / outputs / math.prod(params["lhs_dilation"])
    if name == "cholesky":
        return equation.invars[0].aval.shape[-1] / 6
    return 0


def _programs_in(equation: Any) -> list[Any]:
    if equation.primitive.name == "custom_linear_solve":
        return [equation.params["jaxprs"].solve.jaxpr]  # the others are its derivatives
    values = (getattr(v, "jaxpr", v) for v in jax.tree.leaves(tuple(equation.params.values())))
    return [value for value in values if hasattr(value, "eqns")]


def _bytes(variables: Any) -> float:
    avals = [variable.aval for variable in variables if hasattr(variable.aval, "dtype")]
    return sum(math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 4) for aval in avals)
