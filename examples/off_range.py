"""A signal that is near the range of a network, not in it
=======================================================

No network makes every signal. Adding a sparse part to the range takes up what the network misses:
two unknowns, a solver for each.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

family = ji.problems.generative(widths=(3, 40, 80), num_measurements=50)
key = jax.random.key(0)
drawn = family.sample(key)
x = drawn.truth.x.at[jnp.array([7, 40])].add(jnp.array([0.5, -0.4]))  # off the range
A = drawn.operator

range_only = ji.Problem(A, A(x), drawn.prior)
lm = ji.solvers.levenberg_marquardt()
plain = ji.solve(lm, range_only, family.initial(key))

near = ji.Problem(A, A(x), ji.generators.plus_sparse(drawn.prior))
both = ji.solvers.alternating([lm, ji.solvers.fista(penalty=1e-3)])
solution = ji.solve(both, near, (family.initial(key), jnp.zeros(80)))
errors = [float(ji.metrics.relative_error(found.x, x)) for found in (plain, solution)]
print("range alone: error {:.3f}; range plus sparse: {:.3f}".format(*errors))

fig, ax = plt.subplots(figsize=(6, 2.6))
ax.plot(x - plain.x, label="range alone")
ax.plot(x - solution.x, label="range plus sparse")
ax.set(xlabel="entry", ylabel="what is missed")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert errors[1] < errors[0] / 4
