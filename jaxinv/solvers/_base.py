"""The solver contract, ``init`` and ``step`` on a frozen pytree, and the units it is run in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Inexact

from jaxinv._core import checks, numerics, replace, units
from jaxinv._core.typed import PyTree
from jaxinv._core.units import Scale, Unit
from jaxinv.misfits._outer import Outer, product
from jaxinv.operators import LinearOperator, identity
from jaxinv.problems import Problem
from jaxinv.solvers._linearized import cotangent, probe
from jaxinv.solvers._proximal import Rescaled

T = TypeVar("T")


class Info(NamedTuple):
    """What a step reports and does not need again.

    Attributes:
        loss: ½‖predict(u) − y‖², plus the penalty where the solver has one, at the point
            that the step started from.
        error: the solver's dimensionless stopping measure; its docstring defines it.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> problem = ji.Problem(ji.operators.identity((2,)), jnp.array([3.0, 4.0]))
        >>> _, info = ji.trace(ji.solvers.ista(1.0, 0.1), problem, jnp.zeros(2), 2)
        >>> float(info.loss[0])
        12.5
    """

    loss: Array
    error: Array


class Solver:
    """An algorithm as a frozen pytree: numeric hyper-parameters are leaves, switches static.

    A subclass gives ``init(problem, u0) -> State`` and ``step(problem, state) -> (State,
    Info)``, and may give ``signal(problem, state)``. State is a NamedTuple of what the next step
    needs, with the current unknown as ``state.u``; its shapes and dtypes never change.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> solver = ji.solvers.ista(1.0, 0.1)
        >>> problem = ji.Problem(ji.operators.identity((2,)), jnp.array([3.0, 4.0]))
        >>> state, info = solver.step(problem, solver.init(problem, jnp.zeros(2)))
        >>> state.u.round(3).tolist()
        [2.9..., 3.9...]
    """

    patience: ClassVar[int] = 500
    """Steps without progress after which ``solve`` calls a trial STALLED."""

    judged_by_error: ClassVar[bool] = False
    """Whether a smaller ``error`` is progress too: where the objective tends to a positive value,
    of which a thousandth is much."""

    units: ClassVar[Mapping[str, Unit | None] | None] = None
    """Units of the fields of the solver and of its state, by name; those not named have none.
    None in place of a unit: what ``prepare`` has left there is computed again.

    With it the loops divide a problem by powers of two before the first step, so that no square
    over- or underflows. None: the loops leave the problem as it is.
    """

    scales_unknown: ClassVar[bool] = True
    """Whether the unknown may be divided by a unit of its own."""

    takes_trees: ClassVar[bool] = False
    """Whether the unknown may be any tree of arrays; else it is one array."""

    misfits: ClassVar[str] = "squares"
    """Which misfits it takes: "squares" only, "smooth" ones of bounded curvature, or "any"."""

    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that hold one number; an array of them is one per trial of a vmap."""

    made_for: ClassVar[str | None] = None
    """Name of the field that holds the operator that the numbers were made for, if there is one.

    ``unfold`` and training refuse problems with another operator; the field is common.
    """

    common: ClassVar[tuple[str, ...]] = ()
    """Names of fields that all layers of a network share: what is read once, before the first."""

    def check(self, where: str) -> None:
        """Refuse an array in a field for one number, outside the ``vmap`` that would split it."""
        for name in self.scalars:
            value = getattr(self, name)
            if getattr(value, "ndim", 0):
                hint = "For one value per trial use jax.vmap over the solver."
                checks.fail(where, f"solver.{name}", "be a scalar", value, hint)

    def check_problem(self, where: str, problem: Problem, u0: PyTree) -> None:
        """Refuse settings that do not fit the problem, as far as they can be looked at."""

    def one_start(self, u0: PyTree) -> PyTree:
        """Return one unknown of ``u0``: that itself, except for restarts."""
        return u0

    def objective(self, problem: Problem, u: PyTree) -> Float[Array, ""]:
        """Return what the solver minimizes: the data misfit, plus the penalty where it has one."""
        return problem.loss(u)

    def signal(self, problem: Problem, state: Any) -> PyTree:
        """Return the estimate of x: G(u), unless a method has a better one.

        The mean of a posterior, for one: it is not G of the mean of the unknown.
        """
        return problem.signal(state.u)

    def resumed(self, state: Any) -> Any:
        """Return the start from which another run goes on: the unknown; of restarts, all."""
        return state.u

    def project(
        self, prior: Any, x: Inexact[Array, "*signal"], u0: Any, num_steps: int
    ) -> tuple[Inexact[Array, "*signal"], Any]:
        """Take steps from ``u0`` towards a signal x in the range of ``prior``.

        Returns:
            The signal that is reached, and the start from which a next run goes on.
        """
        problem = Problem(identity(x.shape), x, prior)
        held = normalized(self, problem, u0)
        solver = held.solver.prepare(held.problem)

        def body(state: Any, _: None) -> tuple[Any, None]:
            return solver.step(held.problem, state)[0], None

        first = solver.init(held.problem, held.u0)
        state = held.state(lax.scan(body, first, None, length=num_steps)[0])
        return self.signal(problem, state), self.resumed(state)

    def prepare(self, problem: Problem) -> Any:
        """Return the solver with what can be computed once from the problem; here itself.

        The loops call it before the first step, so that the result is a constant of the loop.
        """
        return self

    def to_units(self, scale: Scale) -> Solver:
        """Return the solver for a problem that is divided by the units of ``scale``."""
        known: Any = self
        names = [field.name for field in fields(known) if not field.metadata.get("static")]
        return replace(self, **{name: self._divided(name, scale) for name in names})

    def _divided(self, name: str, scale: Scale) -> Any:
        value = getattr(self, name)
        if hasattr(value, "to_units"):
            return value.to_units(scale)
        unit = (self.units or {}).get(name, units.NONE)
        return None if unit is None else units.to_units(value, unit, scale)

    def state_from_units(self, state: T, scale: Scale) -> T:
        """Return a state of a problem that was divided by units, in the units of the caller."""
        known: Any = state
        restored = {
            name: units.from_units(getattr(state, name), unit, scale)
            for name, unit in (self.units or {}).items()
            if unit is not None and name in known._fields
        }
        return known._replace(**restored)

    def init(self, problem: Problem, u0: PyTree) -> Any:
        """Return the first state, at ``u0``."""
        raise NotImplementedError

    def step(self, problem: Problem, state: Any) -> tuple[Any, Any]:
        """Return the next state, and an Info with at least ``loss`` and ``error``."""
        raise NotImplementedError


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
    entries = product(matrix, probe(prediction)) if isinstance(matrix, LinearOperator) else matrix
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
