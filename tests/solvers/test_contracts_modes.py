"""Every solver without jit, in other types, on trees and on meshes, row by row of ``SOLVERS``."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, rows
from solver_cases import SOLVERS
from test_contracts_solvers import trial

import jaxinv as ji

IHT = next(case for case in SOLVERS if case.name == "iht-normalized")
every = rows(SOLVERS)


# what others build on; an unknown of several parts, which the contracts have none of
WITHOUT_ROWS = {"Solver", "Combined", "Alternating", "Then", "Tikhonov"}


def test_every_solver_has_a_row():
    modules = [value for value in vars(ji.solvers).values() if inspect.ismodule(value)]
    classes = [
        value for module in modules for value in vars(module).values() if isinstance(value, type)
    ]
    solvers = {value.__name__ for value in classes if issubclass(value, ji.solvers.Solver)}
    made = {type(case.make(case.values[0])).__name__ for case in SOLVERS}
    assert made == solvers - WITHOUT_ROWS


@every
def test_it_runs_without_jit(case):
    problem, u0 = trial(case)
    solver = case.make(case.values[0])
    expected = ji.trace(solver, problem, u0, 2)[0].u
    with jax.disable_jit():
        u = ji.solve(solver, problem, u0, tol=0, max_steps=2).u
    np.testing.assert_allclose(u, expected, rtol=2e-4, atol=2e-4)


def test_the_other_loops_run_without_jit():
    problem, u0 = trial(IHT)
    solver = IHT.make(IHT.values[0])
    expected = ji.trace(solver, problem, u0, 2)[0].u
    with jax.disable_jit():
        for u in (
            ji.trace(solver, problem, u0, 2)[0].u,
            ji.unfold(ji.Layers.repeat(solver, 2), problem, u0),
        ):
            np.testing.assert_allclose(u, expected, rtol=2e-4, atol=2e-4)


@every
def test_measurements_of_any_kind_of_number(case):
    problem, u0 = trial(case)
    solver = case.make(case.values[0])

    def u(y):
        return ji.trace(solver, problem._replace(y=y), u0, 2)[0].u

    whole = np.round(3 * np.asarray(problem.y))
    expected = u(jnp.asarray(whole, floats()))
    swapped = whole.astype(whole.dtype.newbyteorder())
    for y in (whole.astype(np.int32), whole.astype(np.int16), swapped, whole.tolist()):
        np.testing.assert_array_equal(u(y), expected)
    np.testing.assert_array_equal(u(whole > 0), u(jnp.asarray(whole > 0, floats())))


@every
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_kept(case, dtype):
    def cast(tree):
        return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)

    problem, u0 = cast(trial(case))
    problem = problem._replace(truth=None)

    def u(problem, u0):
        return ji.trace(case.make(case.values[0]), problem, u0, 2)[0].u

    lowered = jax.jit(u).lower(problem, u0)  # where a missing routine of LAPACK is found
    assert lowered.out_info.dtype == dtype
    if dtype == jnp.float16:
        found = lowered.compile()(problem, u0).astype(jnp.float32)
        exact = u(*jax.tree.map(lambda leaf: leaf.astype(floats()), (problem, u0)))
        # entries near a threshold, and the difference quotient of damp, take a share of this
        assert np.linalg.norm(found - exact) <= 0.3 * np.linalg.norm(exact)


@every
def test_a_tree_is_ravelled_or_refused_in_one_line(case):
    problem, u0 = trial(case)
    solver = case.make(case.values[0])
    half = u0.shape[-1] // 2
    tree = {"a": u0[..., :half], "b": u0[..., half:]}
    joined = problem._replace(prior=Joined(problem.prior))
    if not solver.takes_trees:
        with pytest.raises(ValueError, match=r"^\w+: (u0 must be one array, got a dict|problem)"):
            ji.trace(solver, joined, tree, 2)
        return
    found = ji.trace(solver, joined, tree, 2)[0].u
    expected = ji.trace(solver, problem, u0, 2)[0].u
    np.testing.assert_allclose(np.concatenate(list(found.values())), expected, rtol=1e-4, atol=1e-5)
    sol = ji.solve(solver, joined, tree, max_steps=2)
    assert set(sol.u) == {"a", "b"}


@ji.pytree
class Joined:
    """A prior of two halves."""

    prior: Any

    def __call__(self, u):
        u = jnp.concatenate([u["a"], u["b"]])
        return u if self.prior is None else self.prior(u)


_PATH = [str(folder) for folder in Path(__file__).parents[:2]]
_SHARDED = """
import json
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import jaxinv as ji
from jaxinv.solvers._checked import check_start
from solver_cases import SOLVERS
from test_contracts_solvers import trial
mesh = jax.make_mesh((2,), ("parts",), axis_types=(AxisType.Explicit,))
found = {}
for case in SOLVERS:
    problem, u0 = trial(case)
    problem = problem._replace(truth=None)
    operator, y = jax.device_put(
        (problem.operator, problem.y),
        (NamedSharding(mesh, P(None, "parts")), NamedSharding(mesh, P("parts"))),
    )
    sharded = problem._replace(operator=operator, y=y)
    solver = case.make(case.values[0])
    taken, _ = check_start("trace", solver, sharded, u0)
    jax.eval_shape(lambda p, u: ji.trace(solver, p, u, 2), taken, u0)
    found[case.name] = all(len(a.sharding.device_set) == 2 for a in jax.tree.leaves(taken[:2]))
    if case.name in ("fista", "omp", "iht"):
        u, expected = (ji.trace(solver, p, u0, 2)[0].u for p in (sharded, problem))
        np.testing.assert_allclose(u, expected, rtol=1e-4, atol=1e-5)
try:
    jax.jit(lambda problem: ji.trace(solver, problem, u0, 2)[0].u)(sharded)
except ValueError as error:
    found["traced"] = str(error)
print(json.dumps(found))
"""


def test_explicit_axes_are_taken_over_once_for_all():
    flags = "--xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "NPROC": "16", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join([*_PATH, os.getcwd()])
    run = subprocess.run(
        [sys.executable, "-c", _SHARDED], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    refused = found.pop("traced")
    assert "problem must be on mesh axes of type AxisType.Auto" in refused
    assert len(refused.splitlines()) == 1
    assert found == {case.name: True for case in SOLVERS}
