"""A program of a user, which pyright checks in strict mode: no part of the public API is unknown.

Run as ``pyright -p tests/client_strict.json``, and as a program; ``.ci/run`` does both.
"""

from __future__ import annotations

import jax
import numpy as np

import jaxinv as ji


def recover(key: jax.Array) -> jax.Array:
    """Return the relative error of one random problem."""
    family = ji.problems.sparse(20, 40, num_nonzeros=2)
    problem = family.sample(key)
    solver = ji.solvers.fista(penalty=1e-3)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=200)
    return ji.metrics.relative_error(solution.x, problem.truth.x)


def own_measurement() -> tuple[jax.Array, str]:
    """Solve a problem of one's own, and say how it ended."""
    A = ji.operators.dense(np.eye(3, dtype=np.float32)[:2])
    y = A(np.array([1.0, 2.0, 0.0], np.float32))
    problem = ji.Problem(A, y)
    solution = ji.solve(ji.solvers.ista(0.5, 0.01), problem, np.zeros(3, np.float32))
    back = A.H(y)
    return back + A.gram(back), ji.describe(solution.status)


def network() -> float:
    """Unfold a network, and score it."""
    key = jax.random.key(0)
    A = ji.problems.sparse(20, 40).sample(key).operator
    family = ji.problems.sparse(20, 40, num_nonzeros=2, operator=A)
    layers = ji.unfolded.alista(A, 4)
    found = ji.unfolded.evaluate(key, layers, family, num_problems=20)
    return float(found.nmse_db)


def prior(key: jax.Array) -> jax.Array:
    """Recover the latent of a generator."""
    family = ji.problems.generative(widths=(2, 20, 30), num_measurements=20)
    problem = family.sample(key)
    solver = ji.solvers.levenberg_marquardt()
    solution = ji.solve(solver, problem, family.initial(key))
    state, info = ji.trace(solver, problem, family.initial(key), 3)
    return solution.x + 0 * info.loss[-1] + 0 * state.u.sum()


def main() -> None:
    """Run them all."""
    print(recover(jax.random.key(0)), own_measurement()[1], network(), prior(jax.random.key(1)))


if __name__ == "__main__":
    main()
