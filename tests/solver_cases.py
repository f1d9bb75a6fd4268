"""The registry behind the contract tests of solvers: one row each.

A row names a small instance and how to build it; ``test_contracts_*.py`` gives every row the same
tests, and its ``arguments`` are those that the fuzz tests make wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from cases import O, floats
from jax import Array
from jax.tree_util import Partial

import jaxinv as ji


class SolverCase(NamedTuple):
    """One solver: ``make(value)`` sets one of its leaves, on a problem of ``family``.

    ``values`` are two values of that leaf that converge; ``diverging`` makes one that does not,
    and is None where every value is safe. ``misfits`` says which ones it takes: squares, smooth
    ones (those of a bounded curvature), any. ``unit`` is the unit of that leaf: the powers of the
    unknown's unit and of the measurements' by which it grows with them. ``arguments`` are right
    ones of the constructor of this name; other rows of it leave them out.
    """

    name: str
    make: Callable[[Any], ji.solvers.Solver]
    values: tuple[float, float]
    family: Callable[[], Any]
    num_restarts: int | None = None
    tol: float = 1e-5
    diverging: Callable[[], ji.solvers.Solver] | None = None
    unit: tuple[int, int] = (0, 0)
    misfits: str = "squares"
    arguments: Callable[[], dict[str, Any]] | None = None

    def value_in_units(self, operator: float, data: float) -> float:
        """Return the first value where A and y are multiplied, and u is by their ratio."""
        return self.values[0] * (data / operator) ** self.unit[0] * data ** self.unit[1]


def _relu_family() -> Any:
    return ji.problems.generative((3, 20, 24), 18, dtype=floats())


def _one_layer_family() -> Any:
    return ji.problems.generative((3, 24), 18, dtype=floats())


def _wide_relu_family() -> Any:
    return ji.problems.generative((2, 20, 24), 18, dtype=floats())


def _sparse_family() -> Any:
    return ji.problems.sparse(16, 24, num_nonzeros=3, dtype=floats())


def _threshold(multiplier: Any, v: Array, noise_std: Array) -> Array:
    return ji.shrinkage.soft(multiplier)(v, noise_std)


_INJECTED = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)


STEP, PENALTY, DATA, OPERATOR = (2, -2), (-1, 2), (0, 1), (-1, 1)


def _sgd(rate: Any) -> Any:
    return ji.solvers.gradient(_INJECTED, hyperparams={"learning_rate": rate})


SOLVERS = [
    SolverCase(
        "subgradient",
        lambda step: ji.solvers.subgradient(step),
        (0.3, 0.15),
        _relu_family,
        diverging=lambda: ji.solvers.subgradient(1e4),
        unit=STEP,
        misfits="any",
        arguments=lambda: {"step_size": 0.1},
    ),
    SolverCase(
        "subgradient-stagnation",
        lambda step: ji.solvers.subgradient(step, "stagnation"),
        (0.3, 0.15),
        _relu_family,
        unit=STEP,
        misfits="any",
    ),
    SolverCase(
        "subgradient-kept-piece",
        lambda step: ji.solvers.subgradient(step),
        (0.3, 0.15),
        _wide_relu_family,
        unit=STEP,
        misfits="any",
    ),
    SolverCase(
        "levenberg_marquardt",
        lambda damping: ji.solvers.levenberg_marquardt(damping=damping),
        (1e-2, 1e-1),
        _relu_family,
        misfits="any",
        arguments=dict,
    ),
    SolverCase(
        "levenberg_marquardt-restarts",
        lambda damping: ji.solvers.levenberg_marquardt(damping=damping, num_restarts=2),
        (1e-2, 1e-1),
        _relu_family,
        num_restarts=2,
        misfits="any",
    ),
    SolverCase(
        "gradient",
        _sgd,
        (0.1, 0.2),
        _sparse_family,
        tol=1e-4,
        diverging=lambda: ji.solvers.gradient(optax.sgd(10.0)),
        unit=STEP,
        misfits="any",
        arguments=lambda: {"transform": optax.sgd(0.1)},
    ),
    SolverCase(
        "plugin",
        lambda step: ji.solvers.plugin(step),
        (0.4, 0.2),
        _relu_family,
        diverging=lambda: ji.solvers.plugin(1e4),
        unit=STEP,
        arguments=lambda: {"step_size": 0.1},
    ),
    SolverCase(
        "intermediate_layers",
        lambda radius: ji.solvers.intermediate_layers(ji.solvers.levenberg_marquardt(), [radius]),
        (0.1, 0.02),
        _relu_family,
        unit=(1, 0),
        misfits="smooth",
        arguments=lambda: {"solver": ji.solvers.levenberg_marquardt(), "radii": [0.1]},
    ),
    SolverCase(
        "median_descent",
        lambda step: ji.solvers.median_descent(step, 6, window=10),
        (0.3, 0.2),
        _relu_family,
        diverging=lambda: ji.solvers.median_descent(1e4, 6),
        unit=STEP,
        arguments=lambda: {"step_size": 0.1, "block_size": 3},
    ),
    SolverCase(
        "median_descent-rival",
        lambda step: ji.solvers.median_descent(step, 9, rival=True, shuffle=False, window=10),
        (0.3, 0.2),
        _relu_family,
        unit=STEP,
    ),
    SolverCase(
        "ista",
        lambda penalty: ji.solvers.ista(penalty=penalty),
        (0.1, 0.05),
        _sparse_family,
        diverging=lambda: ji.solvers.ista(10.0, 0.1),
        unit=PENALTY,
        misfits="smooth",
        arguments=lambda: {"step_size": 0.1, "penalty": 0.1},
    ),
    SolverCase(
        "iht",
        lambda step: ji.solvers.iht(3, step),
        (0.2, 0.1),
        _sparse_family,
        diverging=lambda: ji.solvers.iht(3, 10.0),
        unit=STEP,
        arguments=lambda: {"num_nonzeros": 2, "step_size": 0.1},
    ),
    SolverCase(
        "iht-normalized",
        lambda fraction: ji.solvers.iht(fraction, normalized=True),
        (0.125, 0.17),
        _sparse_family,
    ),
    SolverCase(
        "omp",
        lambda fraction: ji.solvers.omp(fraction, max_nonzeros=6),
        (0.125, 0.08),
        _sparse_family,
        arguments=lambda: {"num_nonzeros": 2},
    ),
    SolverCase(
        "cosamp",
        lambda fraction: ji.solvers.cosamp(fraction),
        (0.125, 0.17),
        _sparse_family,
        arguments=lambda: {"num_nonzeros": 2},
    ),
    SolverCase(
        "admm",
        lambda penalty: ji.solvers.admm(penalty),
        (0.1, 0.05),
        _sparse_family,
        unit=PENALTY,
        arguments=lambda: {"penalty": 0.1},
    ),
    SolverCase(
        "primal_dual",
        lambda penalty: ji.solvers.primal_dual(ji.prox.soft(penalty), O.identity(24)),
        (0.1, 0.05),
        _sparse_family,
        unit=PENALTY,
    ),
    SolverCase(
        "basis_pursuit",
        lambda augmentation: ji.solvers.basis_pursuit(augmentation=augmentation),
        (10.0, 5.0),
        _sparse_family,
        arguments=dict,
    ),
    SolverCase(
        "cgls",
        lambda damping: ji.solvers.cgls(damping=damping),
        (0.5, 0.1),
        _sparse_family,
        unit=OPERATOR,
        arguments=dict,
    ),
    SolverCase(
        "lsqr",
        lambda damping: ji.solvers.lsqr(damping=damping),
        (0.5, 0.1),
        _sparse_family,
        unit=OPERATOR,
        arguments=dict,
    ),
    SolverCase(
        "amp",
        lambda multiplier: ji.solvers.amp(ji.shrinkage.soft(multiplier)),
        (1.0, 1.5),
        _sparse_family,
        arguments=lambda: {"shrinkage": ji.shrinkage.soft()},
    ),
    SolverCase(
        "vamp",
        lambda noise_std: ji.solvers.vamp(ji.shrinkage.soft(1.2), noise_std),
        (0.1, 0.2),
        _sparse_family,
        unit=DATA,
        arguments=lambda: {"shrinkage": ji.shrinkage.soft(), "noise_std": 0.1},
    ),
    SolverCase(
        "damp",
        lambda multiplier: ji.solvers.damp(Partial(_threshold, multiplier)),
        (2.0, 1.5),
        _sparse_family,
    ),
    SolverCase(
        "fista",
        lambda penalty: ji.solvers.fista(penalty=penalty),
        (0.1, 0.05),
        _sparse_family,
        diverging=lambda: ji.solvers.fista(10.0, 0.1),
        unit=PENALTY,
        misfits="smooth",
        arguments=lambda: {"step_size": 0.1, "penalty": 0.1},
    ),
    SolverCase(
        "lasso",
        lambda penalty: ji.solvers.lasso(penalty),
        (0.1, 0.05),
        _sparse_family,
        unit=PENALTY,
        arguments=lambda: {"penalty": 0.1},
    ),
    SolverCase(
        "ml_vamp",
        lambda noise_std: ji.solvers.ml_vamp(noise_std),
        (0.1, 0.2),
        _one_layer_family,
        unit=DATA,
        arguments=lambda: {"noise_std": 0.1, "latent_std": 1.0},
    ),
]
