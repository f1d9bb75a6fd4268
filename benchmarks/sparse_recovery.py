"""FISTA per trial against deepinv and SCICO: same data, penalty, step and iterations.

Every library runs as its users run it: the peers solve one problem after the other; jaxinv does
so too, and all trials in one compiled program. deepinv is also given a batched operator by hand.
These are small problems, where dispatch and compilation dominate; the ratios shrink as products
with the operator grow.
"""

from __future__ import annotations

import functools
import statistics
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import _machine
import jax
import numpy as np

import jaxinv as ji

TOLERANCE = 1e-4  # on objectives, relative: float32 and two momentum rules
SHARE_OF_LARGEST = 0.02  # the penalty in units of the one that makes the solution 0


class Data(NamedTuple):
    """One set of trials: NumPy copies for the peers, the batch for jaxinv."""

    A: np.ndarray
    y: np.ndarray
    penalty: float
    step_size: float
    num_steps: int
    problems: Any


def draw(m: int, n: int, trials: int, num_steps: int) -> Data:
    """Draw the trials; penalty and step are common to all."""
    family = ji.problems.sparse(m, n, sparsity=0.05, snr_db=40.0)
    problems = jax.jit(family.batch)(jax.random.split(jax.random.key(0), trials))
    A, y = np.asarray(problems.operator.matrix), np.asarray(problems.y)
    largest = np.median([np.abs(A[i].T @ y[i]).max() for i in range(trials)])
    norm = max(np.linalg.norm(matrix, 2) for matrix in A)
    return Data(A, y, float(SHARE_OF_LARGEST * largest), float(0.99 / norm**2), num_steps, problems)


def objectives(data: Data, estimates: Any) -> np.ndarray:
    """Return every trial's objective in float64."""
    x = np.asarray(estimates, np.float64)
    y, A = data.y[: len(x)].astype(np.float64), data.A[: len(x)].astype(np.float64)
    misfit = np.einsum("imn,in->im", A, x) - y
    return 0.5 * (misfit**2).sum(1) + data.penalty * np.abs(x).sum(1)


def jaxinv_runs(data: Data, few: int) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Return jaxinv's ways, with how many trials each call solves."""
    solver = ji.solvers.fista(data.step_size, data.penalty, restart=False)
    zero = jax.numpy.zeros(data.A.shape[2])
    trials = len(data.A)

    def one(problem: Any) -> Any:
        return ji.solve(solver, problem, zero, tol=0, max_steps=data.num_steps).x

    @functools.partial(jax.jit, static_argnums=1)
    def all_trials(problems: Any, block: int) -> Any:
        return jax.lax.map(one, problems, batch_size=block)

    batched = jax.jit(jax.vmap(one))
    singles = [jax.tree.map(lambda leaf, i=i: leaf[i], data.problems) for i in range(few)]
    return {
        "jaxinv, jit(vmap)": (trials, lambda: jax.block_until_ready(batched(data.problems))),
        "jaxinv, blocks of 1": (
            trials,
            lambda: jax.block_until_ready(all_trials(data.problems, 1)),
        ),
        "jaxinv, one at a time": (few, lambda: np.stack([np.asarray(one(p)) for p in singles])),
    }


def deepinv_runs(data: Data, few: int) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Return deepinv's ways: a physics object per trial, and one batched by hand."""
    torch, dinv = import_deepinv()
    A, y = torch.from_numpy(np.array(data.A)), torch.from_numpy(np.array(data.y))

    def run(matrix: Any, measured: Any, threads: int) -> Any:
        torch.set_num_threads(threads)
        physics = dinv.physics.LinearPhysics(
            A=lambda x: torch.bmm(matrix, x[..., None])[..., 0],
            A_adjoint=lambda r: torch.bmm(r[:, None], matrix)[:, 0],
        )
        model = dinv.optim.FISTA(
            data_fidelity=dinv.optim.data_fidelity.L2(),
            prior=dinv.optim.prior.L1Prior(),
            lambda_reg=data.penalty,
            stepsize=data.step_size,
            max_iter=data.num_steps,
            early_stop=False,
        )
        zero = torch.zeros(len(measured), matrix.shape[2])
        with torch.no_grad():
            return model(measured, physics, init=(zero, zero)).numpy()

    def in_turn(threads: int) -> Any:
        return np.concatenate([run(A[i : i + 1], y[i : i + 1], threads) for i in range(few)])

    runs: dict[str, tuple[int, Callable[[], Any]]] = {}
    for threads in sorted({1, _machine.num_cores()}):
        runs[f"deepinv, one at a time, {threads} threads"] = (
            few,
            functools.partial(in_turn, threads),
        )
        runs[f"deepinv, batched by hand, {threads} threads"] = (
            len(A),
            functools.partial(run, A, y, threads),
        )
    return runs


def import_deepinv() -> tuple[Any, Any]:
    """Import torch and deepinv, also beside a torchvision made for another build of torch.

    deepinv imports torchvision, whose compiled operators load only with the torch they were
    built for. FISTA uses none of them: declaring their names lets the import pass.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise ImportError(str(error)) from error
        print("  torchvision is built for another torch: its compiled operators are off")
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        import_deepinv.library = library  # type: ignore[attr-defined]  # declared while it lives
    import deepinv

    return torch, deepinv


def scico_runs(data: Data, few: int) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Return SCICO's way: new objects per trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scico import functional, linop, loss
        from scico.optimize.pgm import AcceleratedPGM

    def run(index: int) -> Any:
        A = linop.MatrixOperator(jax.numpy.asarray(data.A[index]))
        return AcceleratedPGM(
            f=loss.SquaredL2Loss(y=jax.numpy.asarray(data.y[index]), A=A),
            g=data.penalty * functional.L1Norm(),
            L0=1 / data.step_size,
            x0=jax.numpy.zeros(data.A.shape[2]),
            maxiter=data.num_steps,
        ).solve()

    return {
        "scico, one at a time": (few, lambda: np.stack([np.asarray(run(i)) for i in range(few)]))
    }


def compare(m: int, n: int, options: Any) -> dict[str, Any]:
    """Time every library on trials of one size."""
    trials, few, num_steps = (16, 2, 200) if options.quick else (64, 4, 500)
    repetitions = 3 if options.quick else 5
    data = draw(m, n, trials, num_steps)
    print(f"FISTA, ({m}, {n}), {num_steps} iterations, penalty {data.penalty:.3g}")
    runs = jaxinv_runs(data, few)
    for name, peer in (("deepinv", deepinv_runs), ("scico", scico_runs)):
        try:
            runs |= peer(data, few)
        except ImportError as error:
            print(f"  {name} is missing ({error}): see benchmarks/requirements-peers.txt")
    reference = None
    gaps = {}
    for name, (_, work) in runs.items():
        found = objectives(data, work())
        reference = found if reference is None else reference
        gaps[name] = float(np.max(np.abs(found / reference[: len(found)] - 1)))
    times = _machine.interleaved({name: work for name, (_, work) in runs.items()}, repetitions)
    per_trial = {name: [t / runs[name][0] for t in values.wall] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in per_trial.items()}
    fastest = min((name for name in runs if "jaxinv" in name), key=lambda name: medians[name])
    ratios = {name: _machine.ratio(per_trial[name], per_trial[fastest]) for name in runs}
    for name in runs:
        equal = "equal" if gaps[name] <= TOLERANCE else "NOT EQUAL"
        print(
            f"  {name:36s} {medians[name] * 1e3:9.3f} ms a trial, {ratios[name]:8.1f}x "
            f"{fastest}; objective {equal} ({gaps[name]:.0e})"
        )
    num_bytes = data.A[0].nbytes
    bandwidth = _machine.cached_bandwidth(num_bytes)
    limit = 2 * num_steps * num_bytes / bandwidth
    share = limit / medians[fastest]
    print(
        f"  limit: reading A twice an iteration at {bandwidth / 1e9:.0f} GB/s (one core, from "
        f"cache) takes {limit * 1e3:.3f} ms a trial: {fastest} runs at {share:.0%} of it"
    )
    return {
        "m": m,
        "n": n,
        "trials": trials,
        "num_steps": num_steps,
        "penalty": data.penalty,
        "milliseconds_per_trial": {name: 1e3 * t for name, t in medians.items()},
        "times_slower_than_fastest_jaxinv": ratios,
        "fastest_jaxinv": fastest,
        "largest_relative_objective_gap": gaps,
        "limit": {"bytes_per_second": bandwidth, "milliseconds": 1e3 * limit, "share": share},
    }


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    limits = _machine.limits()
    sizes = [(64, 128), (250, 500)]
    cases = [compare(m, n, options) for m, n in sizes]
    _machine.write(options.out, "sparse_recovery", {"cases": cases, "machine": limits})


if __name__ == "__main__":
    main()
