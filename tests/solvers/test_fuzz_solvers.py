"""Wrong and extreme data for everything that is called with data.

Operators, generators, penalties, shrinkages and families get wrong arrays and keys; every solver
gets problems whose parts are wrong. ``solve`` may also answer with a status that says so.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FAMILIES, GENERATORS, floats
from cases import rows as every
from fuzz_values import KEY, WRONG, check, has_nan, replacement, replacements, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_cases import NONLINEAR_OPERATORS, OPERATORS
from solver_cases import SOLVERS

import jaxinv as ji

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
TOP = ("one", "tiny", "zero")  # numbers where a problem is due; they reach the first check


def examples(number):
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=QUIET,
    )


def fuzz(subject, number):
    @examples(number)
    @given(st.data())
    def run(data):
        check(subject, data.draw(replacements(subject)))

    run()


# --- what is called with an array ---------------------------------------------------------------


def called(method, argument):
    """Return a function of one argument of that name, for its row."""
    return {
        "x": lambda x: method(x),
        "y": lambda y: method(y),
        "z": lambda z: method(z),
        "v": lambda v: method(v),
        "key": lambda key: method(key),
        "keys": lambda keys: method(keys),
    }[argument]


def call_row(name, method, argument, right, says):
    """Return the row of a call; NaN in an array of numbers passes, as in all of JAX."""
    return row(
        name,
        lambda: {argument: right},
        call=called(method, argument),
        says=says,
        passes=(argument,),
        overflows=(argument,),
    )


def operator_rows(case):
    op = case.make(KEY)
    x = np.ones(op.in_shape, getattr(op, "in_dtype", floats()))
    kinds = [type(part).__name__ for part in (op, *parts(op))]
    says = (*kinds, *(f"{kind}.adjoint" for kind in kinds))
    yield call_row(f"{case.name}.__call__", op, "x", x, says)
    if isinstance(op, ji.operators.LinearOperator):
        y = np.ones(op.out_shape, op.out_dtype)
        yield call_row(f"{case.name}.adjoint", op.adjoint, "y", y, says)


def parts(op):
    """Return the operators inside an operator."""
    held = [getattr(op, name) for name in getattr(op, "__dataclass_fields__", {})]
    inner = [part for part in held if isinstance(part, ji.operators.Operator)]
    return inner + [deeper for part in inner for deeper in parts(part)]


def generator_rows(case):
    g = case.make(KEY)
    z = np.ones(case.z_shape, floats())
    yield call_row(f"{case.name}.__call__", g, "z", z, (type(g).__name__,))


def family_rows(case):
    family = case.make()
    says = (type(family).__name__, "sample", "initial", "batch")
    yield call_row(f"{case.name}.sample", family.sample, "key", KEY, says)
    yield call_row(f"{case.name}.initial", family.initial, "key", KEY, says)


PENALTIES = {
    "soft": lambda: ji.prox.soft(0.1),
    "hard": lambda: ji.prox.hard(0.1),
    "box": lambda: ji.prox.box(0.0, 1.0),
    "group": lambda: ji.prox.group(0.1),
    "tv": lambda: ji.prox.tv(0.1, num_steps=2),
}


@every([*OPERATORS, *NONLINEAR_OPERATORS])
def test_operators(case):
    for subject in operator_rows(case):
        fuzz(subject, 1)


@every(GENERATORS)
def test_generators(case):
    for subject in generator_rows(case):
        fuzz(subject, 3)


@every(FAMILIES)
def test_families(case):
    for subject in family_rows(case):
        fuzz(subject, 3)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties(name):
    fuzz(call_row(name, PENALTIES[name](), "v", np.ones((3, 4), floats()), (name,)), 4)


@pytest.mark.slow
@every([*OPERATORS, *NONLINEAR_OPERATORS])
def test_operators_with_many_arrays(case):
    for subject in operator_rows(case):
        fuzz(subject, 20)


# --- solvers ------------------------------------------------------------------------------------


@functools.cache
def setting(index):
    """Return a solver, a problem of its family and a start."""
    case = SOLVERS[index]
    family = case.family()
    u0 = family.initial(KEY, case.num_restarts) if case.num_restarts else family.initial(KEY)
    return case.make(case.values[0]), jax.jit(family.sample)(KEY), u0


def solved(solver, operator, y, prior, u0, tol, max_steps):
    problem = ji.Problem(operator, y, prior)
    return ji.solve(solver, problem, u0, tol=tol, max_steps=max_steps)


def solver_row(case):
    solver, problem, u0 = setting(SOLVERS.index(case))
    right = {
        "operator": problem.operator,
        "y": problem.y,
        "prior": problem.prior,
        "u0": u0,
        "tol": 1e-6,
        "max_steps": 2,
    }
    solve = functools.partial(solved, solver)
    return row(f"{case.name}.solve", lambda: right, call=solve, says=("solve", "with_restarts"))


solvers = every(SOLVERS)


@solvers
def test_parts_of_a_problem_that_are_wrong(case):
    """What can be seen to be wrong is refused before anything is compiled."""
    subject = solver_row(case)
    refused = [name for name in WRONG if name not in TOP]

    @examples(4)
    @given(st.sampled_from(("operator", "y", "u0")), st.sampled_from(refused))
    def run(part, kind):
        check(subject, {part: kind})

    run()


@pytest.mark.slow
@solvers
def test_many_parts_that_are_wrong(case):
    fuzz(solver_row(case), 25)


EXTREME = ("one NaN", "one infinity", "zeros", "times 1e30", "times 1e-30", "negated")


def hostile(case):
    """Solve one good problem and six bad ones in one batch, where no value can be looked at."""
    solver, problem, u0 = setting(SOLVERS.index(case))
    bad = [replacement(np.asarray(problem.y), kind) for kind in EXTREME]
    ys = jnp.asarray(np.stack([np.asarray(problem.y), *bad]), floats())
    found = jax.vmap(
        lambda y: ji.solve(solver, problem._replace(y=y, truth=None), u0, max_steps=20)
    )(ys)
    failed = (ji.Status.DIVERGED, ji.Status.NONFINITE, ji.Status.INVALID_START)
    for lane, kind in enumerate(("the good one", *EXTREME)):
        status = int(found.status[lane])
        if has_nan((found.u[lane], found.x[lane])):
            assert status in failed, f"{kind}: {ji.describe(status)}"
    assert not has_nan(found.u[0])
    assert int(found.status[0]) not in failed
    assert all(int(status) in failed for status in found.status[1:3])


QUICK = ("fista", "amp")


@every([c for c in SOLVERS if c.name in QUICK])
def test_bad_trials_have_a_status(case):
    hostile(case)


@pytest.mark.slow
@every([c for c in SOLVERS if c.name not in QUICK])
def test_bad_trials_have_a_status_with_every_solver(case):
    hostile(case)
