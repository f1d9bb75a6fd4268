"""The Lasso to equal relative duality gap against scikit-learn and celer: one and many problems.

Every library solves the same problems until its own gap test, set to the same accuracy, stops
it; the gaps are then checked in float64 NumPy, and the worst one is printed. The peers solve one
problem after the other, in their fastest setting (a fifth of the problems, as the time of each
does not depend on how many there are); jaxinv solves all in one compiled program over all cores,
in blocks of the fastest size. Problems have a matrix each, or one for all; scikit-learn can fit
the latter as targets of one model, which is timed as a peer of its own.
"""

from __future__ import annotations

import functools
import statistics
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import _machine
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxinv as ji
from jaxinv.operators._dense import Dense

CORES = _machine.num_cores()
GAP = 1e-5  # relative to ½‖y‖²; the peers' tolerances are relative to ‖y‖²
SHARE_OF_LARGEST = 0.1
WORKING_SETS = {(50, 100): (32, 40), (250, 500): (96, 30)}  # size, and inner steps
BLOCKS = (2, 4, 10, 20, 25)  # divisors of a core's share: a remainder copies all of it

Run = tuple[int, Callable[[], Any]]


class Data(NamedTuple):
    """Problems: a matrix for each, or one for all; float32, Fortran order for the peers."""

    matrices: Any
    y: np.ndarray
    penalties: np.ndarray
    columns: list[np.ndarray]

    @property
    def shared(self) -> bool:
        """Whether all problems have one matrix."""
        return self.matrices.ndim == 2


def draw(m: int, n: int, trials: int, shared: bool) -> Data:
    """Draw the problems of ``ji.problems.sparse`` with p = 0.1 and no noise."""
    keys = jax.random.split(jax.random.key(0), trials)
    operator = ji.problems.sparse(m, n).sample(jax.random.key(1)).operator if shared else None
    family = ji.problems.sparse(m, n, 0.1, operator=operator)
    problems = jax.jit(family.batch)(keys)
    find = jax.vmap(ji.solvers.largest_penalty, in_axes=(family.axes,))
    penalties = SHARE_OF_LARGEST * jax.jit(find)(problems)
    matrices = (operator or problems.operator).matrix
    host = np.asarray(matrices)
    columns = [np.asfortranarray(matrix) for matrix in (host[None] if shared else host)]
    return Data(matrices, np.asarray(problems.y), np.asarray(penalties), columns)


def worst_gap(data: Data, estimates: Any) -> float:
    """Return the largest relative duality gap, in float64."""
    worst = 0.0
    for index, u in enumerate(np.asarray(estimates, np.float64)):
        A = data.columns[0 if data.shared else index].astype(np.float64)
        y, penalty = data.y[index].astype(np.float64), float(data.penalties[index])
        residual = y - A @ u
        largest = np.abs(A.T @ residual).max()
        theta = residual * (min(1.0, penalty / largest) if largest else 1.0)
        primal = 0.5 * residual @ residual + penalty * np.abs(u).sum()
        dual = 0.5 * y @ y - 0.5 * (y - theta) @ (y - theta)
        worst = max(worst, (primal - dual) / (0.5 * y @ y) if y.any() else 0.0)
    return worst


def solver_for(penalty: Any, shape: tuple[int, ...], shared: bool) -> Any:
    """Return jaxinv's Lasso for problems of this size."""
    size, num_inner = WORKING_SETS[shape[-2], shape[-1]]
    return ji.solvers.lasso(penalty, working_set=size, num_inner=num_inner, shared=shared)


def solve_one(matrix: Any, y: Any, penalty: Any, shared: bool) -> tuple[Any, Any]:
    """Solve one problem; return the estimate and the steps taken."""
    problem = ji.Problem(Dense(matrix), y)
    zero = jnp.zeros(matrix.shape[-1])
    # its gap takes what is within rounding as feasible; that of float64 is up to two fifths larger
    found = ji.solve(solver_for(penalty, matrix.shape, shared), problem, zero, tol=0.7 * GAP)
    return found.u, found.num_steps


def jaxinv_runs(data: Data) -> dict[str, Run]:
    """Return one compiled program over all cores for each block size."""
    mesh = jax.make_mesh((CORES,), ("core",), axis_types=(AxisType.Auto,))
    split, same = PartitionSpec("core"), PartitionSpec()
    specs = (same if data.shared else split, split, split)
    values = (data.matrices, data.y, data.penalties)
    placed = [
        jax.device_put(value, NamedSharding(mesh, spec))
        for value, spec in zip(values, specs, strict=True)
    ]

    def on_a_core(matrices: Any, y: Any, penalties: Any, *, block: int) -> Any:
        if data.shared:
            return jax.lax.map(
                lambda part: solve_one(matrices, *part, shared=True),
                (y, penalties),
                batch_size=block,
            )
        return jax.lax.map(
            lambda part: solve_one(*part, shared=False), (matrices, y, penalties), batch_size=block
        )

    runs: dict[str, Run] = {}
    for block in BLOCKS:
        mapped = jax.jit(
            jax.shard_map(
                functools.partial(on_a_core, block=block),
                mesh=mesh,
                in_specs=specs,
                out_specs=split,
                check_vma=False,
            )
        )
        runs[f"jaxinv, {CORES} cores, blocks of {block}"] = (
            len(data.y),
            lambda mapped=mapped: jax.block_until_ready(mapped(*placed))[0],
        )
    return runs


def peer_run(data: Data, make: Callable[[float, int], Any], dtype: Any, few: int) -> Run:
    """Return a peer's loop over the first ``few`` problems, a new model each."""
    columns = [matrix.astype(dtype, order="F") for matrix in data.columns[:few]]
    y, m = data.y[:few].astype(dtype), data.y.shape[1]

    def loop() -> Any:
        found = []
        for index in range(few):
            model = make(float(data.penalties[index]) / m, m)
            found.append(model.fit(columns[0 if data.shared else index], y[index]).coef_)
        return np.stack(found)

    return few, loop


def scikit_learn_runs(data: Data, few: int) -> dict[str, Run]:
    """Return scikit-learn's ways: coordinate descent with and without a Gram matrix."""
    from sklearn.linear_model import Lasso

    def options(precompute: bool) -> dict[str, Any]:
        return {
            "fit_intercept": False,
            "precompute": precompute,
            "copy_X": False,
            "selection": "cyclic",
            "tol": GAP / 2,
            "max_iter": 10**5,
        }

    runs = {
        f"scikit-learn, {dtype.__name__}{', Gram' if gram else ''}": peer_run(
            data, lambda alpha, m, gram=gram: Lasso(alpha=alpha, **options(gram)), dtype, few
        )
        for dtype in (np.float32, np.float64)
        for gram in (False, True)
    }
    if data.shared:
        # one fit of all targets computes the Gram matrix once; scaling y makes the penalties one
        A, m = data.columns[0].astype(np.float64, order="F"), data.y.shape[1]
        penalties = data.penalties[:few, None].astype(np.float64)
        scale = np.where(penalties > 0, penalties, 1)
        targets = np.asfortranarray((data.y[:few] / scale).T)
        for gram in (False, True):
            runs[f"one fit of all, scikit-learn{', Gram' if gram else ''}"] = (
                few,
                lambda gram=gram: scale * Lasso(alpha=1 / m, **options(gram)).fit(A, targets).coef_,
            )
    return runs


def celer_runs(data: Data, few: int) -> dict[str, Run]:
    """Return celer's way: a model for each problem."""
    from celer import Lasso

    def make(alpha: float, m: int) -> Any:
        return Lasso(alpha=alpha, fit_intercept=False, tol=GAP / 2)

    return {
        f"celer, {dtype.__name__}": peer_run(data, make, dtype, few)
        for dtype in (np.float32, np.float64)
    }


def timed(data: Data, runs: dict[str, Run], repetitions: int) -> dict[str, Any]:
    """Time every run in turns, print each, and return the figures."""
    gaps = {name: worst_gap(data, work()) for name, (_, work) in runs.items()}
    times = _machine.interleaved({name: work for name, (_, work) in runs.items()}, repetitions)
    each = {name: [t / runs[name][0] for t in values.wall] for name, values in times.items()}
    cpu = {name: [t / runs[name][0] for t in values.cpu] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in each.items()}
    processor = {name: statistics.median(values) for name, values in cpu.items()}
    fastest = {
        kind: min((name for name in runs if name.startswith(kind)), key=lambda name: medians[name])
        for kind in ("jaxinv", "scikit-learn", "one fit", "celer")
        if any(name.startswith(kind) for name in runs)
    }
    for name in runs:
        print(
            f"    {name:36s} {medians[name] * 1e6:9.1f} us a problem, processor "
            f"{processor[name] * 1e6:9.1f}; worst gap {gaps[name]:.1e}"
            f"{'' if gaps[name] <= 1.01 * GAP else ' ABOVE THE GOAL'}"
        )
    ratios = {
        kind: _machine.ratio(each[name], each[fastest["jaxinv"]])
        for kind, name in fastest.items()
        if kind != "jaxinv"
    }
    less = {kind: _machine.ratio(cpu[fastest[kind]], cpu[fastest["jaxinv"]]) for kind in ratios}
    for kind, value in ratios.items():
        name = fastest[kind]
        print(f"    {value:.1f}x faster than {name}, {less[kind]:.1f}x less processor time")
    return {
        "microseconds_a_problem": {name: 1e6 * t for name, t in medians.items()},
        "worst_gap": gaps,
        "fastest": fastest,
        "ratios": ratios,
        "processor_microseconds": {name: 1e6 * t for name, t in processor.items()},
        "processor_ratios": less,
    }


def peers(data: Data, few: int) -> dict[str, Run]:
    """Return the runs of the peers that are installed."""
    runs: dict[str, Run] = {}
    for name, make in (("scikit-learn", scikit_learn_runs), ("celer", celer_runs)):
        try:
            runs |= make(data, few)
        except ImportError as error:
            print(f"    {name} is missing ({error}): see benchmarks/requirements-peers.txt")
    return runs


def one_problem(m: int, n: int, repetitions: int) -> dict[str, Any]:
    """Time a single problem, compiled before."""
    data = draw(m, n, 1, False)
    values = [jnp.asarray(v[0]) for v in (data.matrices, data.y, data.penalties)]
    program = jax.jit(functools.partial(solve_one, shared=False))
    print(f"  one problem, ({m}, {n})")
    alone = {"jaxinv": (1, lambda: np.asarray(program(*values)[0])[None])}
    return timed(data, alone | peers(data, 1), 20 * repetitions)


def many_problems(
    m: int, n: int, trials: int, shared: bool, repetitions: int, limits: dict[str, float]
) -> dict[str, Any]:
    """Time many problems at once, and compare with the machine's limits."""
    data = draw(m, n, trials, shared)
    print(f"  {trials} problems, ({m}, {n}), {'one A for all' if shared else 'an A each'}")
    result = timed(data, jaxinv_runs(data) | peers(data, max(trials // 5, 16)), repetitions)
    fastest = result["microseconds_a_problem"][result["fastest"]["jaxinv"]]
    size, num_inner = WORKING_SETS[m, n]
    passes = 0 if shared else m * n * 4 / limits["streaming_bytes_per_s"]
    step = 2 * m * n + 2 * num_inner * size**2 + (2 * m * n if shared else 2 * m * size**2)
    limit = 1e6 * (passes + 2 * step / limits["gemm_flops"])
    print(
        f"    limit: reading A once and the multiplications of two steps at the rate of a large "
        f"GEMM take {limit:.1f} us a problem: {limit / fastest:.0%} of it"
    )
    return result | {"limit_microseconds": limit, "share_of_limit": limit / fastest}


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    jax.config.update("jax_num_cpu_devices", CORES)  # one device a core, before the first use
    warnings.simplefilter("ignore")  # the peers' advice on convergence; gaps are checked here
    limits = _machine.limits()
    trials, repetitions = (64, 3) if options.quick else (1000, 5)
    trials -= trials % CORES
    print(
        f"Lasso to a relative duality gap of {GAP:g}, penalty {SHARE_OF_LARGEST} of the largest; "
        f"GEMM {limits['gemm_flops'] / 1e9:.0f} GFlop/s, "
        f"copy {limits['streaming_bytes_per_s'] / 1e9:.0f} GB/s"
    )
    cases = []
    for m, n in WORKING_SETS:
        cases.append({"m": m, "n": n, "trials": 1, **one_problem(m, n, repetitions)})
        for shared in (False, True):
            found = many_problems(m, n, trials, shared, repetitions, limits)
            cases.append({"m": m, "n": n, "trials": trials, "one_operator": shared, **found})
    settings = {"gap": GAP, "share_of_largest_penalty": SHARE_OF_LARGEST, "cores": CORES}
    _machine.write(options.out, "lasso", {"cases": cases, "machine": limits, **settings})


if __name__ == "__main__":
    main()
