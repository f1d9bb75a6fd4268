"""The units of a problem: what the loops divide by before the first step, and put back after."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics, units
from jaxinv._core.units import Scale
from jaxinv.misfits._outer import Outer
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._base import Solver
from jaxinv.solvers._linearized import cotangent, probe
from jaxinv.solvers._proximal import Rescaled


class Normalized(NamedTuple):
    """A solver, a problem and a start in units of ``scale``; in their own where it is None."""

    solver: Solver
    problem: Problem
    u0: Any
    scale: Scale | None

    def state(self, state: Any) -> Any:
        """Return a state in the units of the caller."""
        return state if self.scale is None else self.solver.state_from_units(state, self.scale)

    def unknown(self, u: Any) -> Any:
        """Return an unknown in the units of the caller."""
        if self.scale is None:
            return u
        return units.from_units(u, units.UNKNOWN, self.scale)

    def info(self, info: Any) -> Any:
        """Return what a step reports in the units of the caller."""
        if self.scale is None:
            return info
        return info._replace(loss=units.from_units(info.loss, units.LOSS, self.scale))


def normalized(solver: Solver, problem: Problem, u0: Any) -> Normalized:
    """Divide a problem by powers of two, so that measurements and model are of the order of 1.

    Every number of the result is that of the caller times a power of two: steps, statuses and
    answers are the same, whatever the units of A, y and u. A solver that declares no ``units``
    is left alone.
    """
    if solver.units is None:
        return Normalized(solver, problem, u0, None)
    divided, scale = in_units(problem, solver.one_start(u0), solver.scales_unknown)
    start = units.to_units(u0, units.UNKNOWN, scale)
    return Normalized(solver.to_units(scale), divided, start, scale)


def in_units(problem: Problem, point: Any, scales_unknown: bool = True) -> tuple[Problem, Scale]:
    """Return a problem divided by powers of two, and these: of the order of y, and of J at a point.

    The unknown keeps its unit where the model is not homogeneous, or where it has to.
    """
    data, unit = _orders(problem, point)
    free = scales_unknown and is_homogeneous(problem)
    point = lax.stop_gradient(point)
    factor = 1 / (_model_scale(problem, point) if free else unit)
    unknown = factor * unit if free else jnp.ones_like(unit)
    scale = Scale(unknown, data)
    operator = problem.operator
    if isinstance(operator, LinearOperator):
        operator = factor * operator
    else:
        operator = Rescaled(factor, operator)
    if isinstance(problem.y, LinearOperator):
        y = (1 / data) * problem.y
    else:
        y = units.to_units(problem.y, units.DATA, scale)
    misfit = None if problem.misfit is None else problem.misfit.to_units(scale)
    return problem._replace(operator=operator, y=y, misfit=misfit), scale


def _orders(problem: Problem, point: Any) -> tuple[Array, Array]:
    """Return the orders of y and of predictions; of a matrix that is held against a vector's
    outer product a square, and its root."""
    if not isinstance(problem.misfit, Outer):
        data = numerics.order(problem.y)
        return data, data
    prediction = lax.stop_gradient(problem.predict(point))
    matrix = problem.y
    entries = matrix(probe(prediction)) if isinstance(matrix, LinearOperator) else matrix
    root = numerics.power_of_two(jnp.sqrt(numerics.order(entries)))
    return root * root, root


def is_homogeneous(problem: Problem) -> bool:
    """Whether c u gives c times the measurements of u, for every c > 0, as far as is known."""
    maps = [problem.operator] if problem.prior is None else [problem.operator, problem.prior]
    return all(isinstance(a, LinearOperator) or getattr(a, "homogeneous", False) for a in maps)


def _model_scale(problem: Problem, u: Any) -> Array:
    """Return the order of J* w for a w of order 1: not of y, which trials do not share."""
    problem = lax.stop_gradient(problem._replace(truth=None))
    prediction, pullback = jax.vjp(problem.predict, u)
    held = prediction if isinstance(problem.misfit, Outer) else problem.y
    pulled = pullback(cotangent(probe(held), prediction))[0]
    return numerics.order(*jax.tree.leaves(pulled))
