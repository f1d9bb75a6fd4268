"""A grid over a hyper-parameter by vmap: the penalty of the Lasso, all values in one program."""

import jax
import jax.numpy as jnp

import jaxinv as ji


def main(num_problems=20, num_penalties=8, size=200):
    """Print the error against the penalty, averaged over problems."""
    family = ji.problems.sparse(size // 2, size, sparsity=0.05, snr_db=20.0)
    problems = family.batch(jax.random.split(jax.random.key(0), num_problems))
    penalties = jnp.geomspace(1e-3, 1.0, num_penalties, dtype=jnp.float32)

    def error(penalty, problem):
        # a hyper-parameter is a leaf of the solver, so a batched one is a batched solver
        solver = ji.solvers.fista(penalty=penalty)
        solution = ji.solve(solver, problem, jnp.zeros(size, jnp.float32), max_steps=500)
        return ji.metrics.nmse(solution.x, problem.truth.x)

    over_problems = jax.vmap(error, in_axes=(None, family.axes))
    errors = jax.jit(jax.vmap(over_problems, in_axes=(0, None)))(penalties, problems)
    for penalty, row in zip(penalties, errors, strict=True):
        print(f"penalty {float(penalty):6.3f}: NMSE {10 * jnp.log10(row.mean()):6.1f} dB")
    return errors


if __name__ == "__main__":
    main()
