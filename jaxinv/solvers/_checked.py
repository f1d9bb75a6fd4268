"""What the loops ask of a problem and a start before the first step, and refuse in one line."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding

from jaxinv._core import checks, numerics
from jaxinv.misfits import Misfit
from jaxinv.misfits._outer import Outer as OuterMisfit
from jaxinv.operators import LinearOperator, Operator
from jaxinv.operators._outer import Outer
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.problems._problem import by_vector, has_squares, misfit_name
from jaxinv.solvers._base import Solver

_MOST_STEPS = 2**31 - 1


def _check_solver(where: str, solver: Any) -> None:
    if not isinstance(solver, Solver):
        hint = "Make one with jaxinv.solvers, such as solvers.levenberg_marquardt()."
        checks.fail_type(where, "solver", "be a solver", solver, hint)


def step_limit(where: str, argument: str, value: Any) -> int:
    """Return a number of steps that fits the loops' int32 counter."""
    if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and checks.is_integer(value):
        value = value.item()
    result = checks.count(where, argument, value, minimum=0)
    if result > _MOST_STEPS:
        checks.fail(where, argument, f"be at most {_MOST_STEPS}", result)
    return result


def check_start(where: str, solver: Solver, problem: Any, u0: Any) -> tuple[Problem, Any]:
    """Return the problem and ``u0`` as arrays; raise for what can be seen to be wrong."""
    solver.check(where)
    problem = check_problem(where, problem, solver.misfits, _name_of(solver))
    if isinstance(u0, list | tuple) and getattr(_first_map(problem), "in_shape", None) is not None:
        u0 = checks.array(where, "u0", u0)  # the unknown is one array, not a tree
    u0 = automatic(where, "u0", checks.arrays(where, "u0", u0))
    if not solver.takes_trees and not isinstance(u0, jax.Array):
        hint = "Trees are for solvers.levenberg_marquardt, subgradient and gradient."
        got = f"a {type(u0).__name__} of {len(jax.tree.leaves(u0))} arrays"
        checks.fail(where, "u0", "be one array", got, hint)
    checks.finite(where, "u0", u0)
    start = solver.one_start(u0)
    prox = getattr(solver, "prox", None)
    if prox is not None:
        prox.check(where, problem, start)
    u0 = fit(where, problem, start, u0)
    solver.check_problem(where, problem, u0)
    with jax.ensure_compile_time_eval():  # a concrete start may be a constant of a traced caller
        refused = checks.is_concrete(u0) and not bool(_valid_start(problem, u0))
    if refused:
        hint = "Zero is a fixed point of a ReLU network; use family.initial(key)."
        checks.fail(where, "u0", "not be zero", "all zeros", hint)
    return problem, u0


def fit(where: str, problem: Problem, start: Any, u0: Any, argument: str = "u0") -> Any:
    """Require that a start, the maps and the measurements fit; return ``u0`` in the widest type."""
    _check_unknown(where, argument, problem, start)
    predicted = _predicted(where, argument, problem, start)
    _check_measurements(where, problem, predicted)
    # so that no state changes its type
    real = numerics.real_dtype(jnp.result_type(predicted, *jax.tree.leaves(problem.y)))
    return jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(leaf, real)), u0)


def check_problem(
    where: str, problem: Any, taken: str = "squares", name: str | None = None
) -> Problem:
    """Return the problem with ``y`` as an array; its maps must be pytrees that can be called.

    Its misfit must be one of those that are ``taken`` (``Solver.misfits``) by ``name``.
    """
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    operator, prior = problem.operator, problem.prior
    if not _is_map(operator):
        hint = "Use operators.dense for a matrix, operators.from_function for a function."
        checks.fail_type(where, "problem.operator", "be an operator", operator, hint)
    if prior is not None and not _is_map(prior):
        hint = "Use generators.from_function for a function of (params, z)."
        checks.fail_type(where, "problem.prior", "be a generator or an operator", prior, hint)
    y = problem.y
    if not isinstance(y, LinearOperator):
        y = checks.array(where, "problem.y", y)
    checks.finite(where, "problem.y", y, "Remove or replace the broken measurements.")
    if isinstance(operator, Operator):
        operator.check_measurements(where, "problem.y", y)
    if isinstance(operator, Outer):
        shape = (*y.out_shape, *y.in_shape) if isinstance(y, LinearOperator) else y.shape
        if tuple(shape) != operator.out_shape:
            checks.fail(where, "problem.y", f"have shape {operator.out_shape}", f"{shape}")
    problem = by_vector(problem._replace(y=y))
    check_misfit(where, name or where, problem, taken)
    return automatic(where, "problem", problem)


def _name_of(solver: Any) -> str:
    inner = getattr(solver, "solver", solver)
    return f"solvers.{type(inner).__module__.rpartition('._')[2]}"


def _is_map(value: Any) -> bool:
    """Whether it can be called and is a pytree: a plain function is not."""
    return callable(value) and not jax.tree_util.all_leaves([value])


def _first_map(problem: Problem) -> Any:
    return problem.operator if problem.prior is None else problem.prior


def _check_unknown(where: str, argument: str, problem: Problem, start: Any) -> None:
    first = _first_map(problem)
    shape = getattr(first, "in_shape", None)
    like = getattr(first, "unknown_like", None)
    if like is None and shape is not None:
        like = jax.ShapeDtypeStruct(shape, jnp.float32)
    if like is not None:
        hint = "That is what the operator, or the prior, takes."
        checks.tree_is(where, argument, start, like, hint)


def _predicted(where: str, argument: str, problem: Problem, start: Any) -> Any:
    """Return shape and type of what is predicted at a start; name the map that does not fit."""
    signal = start
    if problem.prior is not None:
        signal = _image(where, "problem.prior", problem.prior, argument, start)
        taken, made = getattr(problem.operator, "in_shape", None), getattr(signal, "shape", None)
        if taken is not None and made is not None and tuple(taken) != made:
            expected = f"take the signals of problem.prior, of shape {made}"
            checks.fail(where, "problem.operator", expected, f"in_shape {tuple(taken)}")
    return _image(where, "problem.operator", problem.operator, "signals", signal)


def _image(where: str, argument: str, function: Any, name: str, value: Any) -> Any:
    try:
        return jax.eval_shape(function, value)
    except (TypeError, ValueError) as error:
        text = checks.show(value) if hasattr(value, "shape") else "the tree given"
        fail_function(where, argument, f"{name} of {text}", error)


def _check_measurements(where: str, problem: Problem, expected: Any) -> None:
    if isinstance(problem.misfit, OuterMisfit):
        return  # held against a vector; its shape is that of ``outer``
    y, hint = problem.y, "That is what the operator returns."
    if y.shape[1:] == expected.shape:
        hint = "It holds a batch; use jax.vmap(..., in_axes=(None, family.axes, 0))."
    checks.shape_is(where, "problem.y", y, expected.shape, hint)
    if jnp.iscomplexobj(y) and not jnp.issubdtype(expected.dtype, jnp.complexfloating):
        hint = "Take jnp.real(y), or measure with a complex operator."
        checks.fail(where, "problem.y", "be real, as what the operator returns", y, hint)


def _valid_start(problem: Problem, u0: Any) -> Array:
    """Whether descent can leave ``u0``: not 0 for a prior that 0 is a fixed point of."""
    return _usable(u0, bool(getattr(problem.prior, "zero_is_fixed", False)))


@partial(jax.jit, static_argnums=1, inline=True)
def _usable(u0: Any, zero_is_fixed: bool) -> Array:
    finite = all_finite(u0)
    if not zero_is_fixed:
        return finite
    nonzero = jnp.any(jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(u0)]))
    return finite & nonzero


_TAKEN = {
    "squares": "misfits.squared",
    "smooth": (
        "misfits.squared or one of bounded curvature"
        " (weighted, huber, student_t, logistic, trimmed, censored)"
    ),
}


def check_misfit(where: str, solver: str, problem: Problem, taken: str) -> None:
    """Refuse a misfit that a solver does not take, and measurements that the misfit does not."""
    misfit = problem.misfit
    if misfit is not None and not isinstance(misfit, Misfit):
        hint = "Make one with jaxinv.misfits, such as misfits.huber(0.1)."
        checks.fail_type(where, "problem.misfit", "be a misfit", misfit, hint)
    smooth = getattr(misfit, "smoothness", None) is not None
    if not (has_squares(problem) or taken == "any" or (taken == "smooth" and smooth)):
        hint = "solvers.levenberg_marquardt, subgradient and gradient take every misfit."
        expected = f"be {_TAKEN[taken]} for {solver}"
        checks.fail(where, "problem.misfit", expected, misfit_name(problem), hint)
    if isinstance(problem.y, LinearOperator) and not isinstance(misfit, OuterMisfit):
        hint = "Where measurements are a matrix, use operators.outer."
        checks.fail_type(where, "problem.y", "be an array", problem.y, hint)
    if misfit is not None:
        misfit.check(where, "problem.y", problem.y)


def in_domain(problem: Problem, start_loss: Array) -> Array | bool:
    """Whether the measurements lie where the misfit is defined, and the start has a loss."""
    if has_squares(problem):
        return True
    return problem.misfit.in_domain(problem.y) & ~jnp.isposinf(start_loss)


def half_square(problem: Problem, u: Any) -> Array:
    """Return ½‖y‖², or its like of another misfit."""
    if has_squares(problem):
        return 0.5 * numerics.sum_squares(problem.y)
    return 0.5 * jnp.square(problem.misfit.size(problem.predict(u), problem.y))


_HINT = "Make the mesh with jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(names))."


def automatic(where: str, argument: str, tree: Any) -> Any:
    """Return a tree whose arrays leave it to XLA how what is computed from them is sharded.

    On axes of type Explicit, as ``jax.make_mesh`` makes them by default, every product would have
    to say how its result is sharded. Each array stays where it is, split as it is; under a
    transformation, where it cannot be taken over, it is refused.
    """
    if not any(_is_explicit(leaf) for leaf in jax.tree.leaves(tree)):
        return tree

    def one(leaf: Any) -> Any:
        if not _is_explicit(leaf):
            return leaf
        if not checks.is_concrete(leaf):
            got = f"an array sharded as {jax.typeof(leaf)} on Explicit ones"
            checks.fail(where, argument, "be on mesh axes of type AxisType.Auto", got, _HINT)
        mesh, spec = leaf.sharding.mesh, leaf.sharding.spec
        types = (AxisType.Auto,) * len(mesh.axis_names)
        mesh = Mesh(mesh.devices, mesh.axis_names, axis_types=types)
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    return jax.tree.map(one, tree)


def _is_explicit(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return False
    sharding: Any = jax.typeof(leaf).sharding
    return AxisType.Explicit in getattr(sharding.mesh, "axis_types", ())


def all_finite(u: Any) -> Array:
    """Whether no entry of the unknown is NaN or infinite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(u)]))
