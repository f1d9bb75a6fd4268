"""What can be proven of one matrix and one network
================================================

For few latents the set-restricted eigenvalue of a matrix over the range of a network is computed
exactly, by the linear pieces of the network. It bounds the error of the best decoder.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

G = ji.generators.relu(jax.random.key(0), (2, 5, 10))
A = ji.operators.gaussian(jax.random.key(1), 7, 10)
exact = float(ji.theory.set_restricted_eigenvalue(A, G, "exact").bound)
found = float(ji.theory.set_restricted_eigenvalue(A, G, "search").value)
print(f"certified γ >= {exact:.3f}, by search at most {found:.3f}")

# %%
# With γ > 0 the error of the least squares over the range is bounded; here it is measured too, for
# more and more noise.
x = G(jnp.array([1.0, -0.5]))
noise = jax.random.normal(jax.random.key(2), (7,))
noises = (0.05, 0.1, 0.2)
held = []
for size in noises:
    truth = ji.problems.Truth(u=None, x=x, noise=size * noise)
    held.append(ji.theory.check_range_recovery(ji.Problem(A, A(x) + size * noise, G, truth)))
    print(f"error {float(held[-1].measured):.3f}, proven at most {float(held[-1].proven):.3f}")

fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(noises, [float(one.measured) for one in held], "o", label="measured")
ax.plot(noises, [float(one.proven) for one in held], "-", color="#222222", label="proven bound")
ax.set(xlabel="noise", ylabel="error of the best decoder")
ax.legend()
fig.tight_layout()
plt.show()

assert exact <= found + 1e-3
assert all(one.holds for one in held)
assert all(one.measured <= one.proven for one in held)
