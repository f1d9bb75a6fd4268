"""Recover a sparse signal, by five solvers
========================================

Ten entries out of 200 are not zero, and 80 random products are measured. Every solver takes the
same problem and returns the same kind of solution.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.sparse(80, 200, num_nonzeros=10)
key = jax.random.key(0)
problem = family.sample(key)  # operator, measurements y, and the truth for scores

solvers = {
    "FISTA": ji.solvers.fista(penalty=1e-3),
    "basis pursuit": ji.solvers.basis_pursuit(),
    "AMP": ji.solvers.amp(ji.shrinkage.posterior_mean(0.05)),
    "OMP": ji.solvers.omp(20),
    "IHT": ji.solvers.iht(10, normalized=True),
}
errors = {}
for name, solver in solvers.items():
    solution = ji.solve(solver, problem, family.initial(key), tol=1e-5, max_steps=1000)
    errors[name] = float(ji.metrics.relative_error(solution.x, problem.truth.x))
    status = ji.describe(solution.status).split(":")[0]
    print(f"{name:14s} error {errors[name]:.1e} after {int(solution.num_steps):4d} steps, {status}")

# %%
# What was measured without noise comes back; the Lasso shrinks it a little, by its penalty.
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.stem(problem.truth.x, markerfmt="o", label="truth")
ax.plot(solution.x, "x", color="#d1602a", label="IHT")
ax.set(xlabel="entry", ylabel="value")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert max(errors.values()) < 0.02
