"""Basis pursuit, and the path of the Lasso that ends in it
========================================================

The Lasso trades data against the 1-norm by a penalty. Its path over all penalties is computed at
once, each start being the answer before; at small penalties it ends in basis pursuit. The duality
gap certifies every point.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.sparse(60, 120, num_nonzeros=6)
key = jax.random.key(1)
problem = family.sample(key)

path = ji.solvers.lasso_path(problem, num_penalties=30, smallest=1e-3)
pursuit = ji.solve(ji.solvers.basis_pursuit(), problem, family.initial(key), tol=1e-5)
distance = jnp.linalg.norm(path.u - pursuit.x, axis=1) / jnp.linalg.norm(pursuit.x)
print(f"largest relative duality gap of the path: {float(path.gaps.max()):.1e}")
print(f"distance to basis pursuit at the smallest penalty: {float(distance[-1]):.1e}")

# %%
fig, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(path.penalties, path.u)
ax.set(xlabel="penalty", ylabel="entries of the estimate", title="Path of the Lasso")
ax.invert_xaxis()
fig.tight_layout()
plt.show()

assert path.gaps.max() < 1e-4
assert distance[-1] < 0.01
