"""The spectrum of a tangent kernel
================================

Which directions a network learns first is in the eigenvalues of its tangent kernel. For a two-layer
network they have a closed form; for any other, products with the kernel suffice.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

SIZE = 48
grid = jnp.arange(SIZE)
kernel = jnp.exp(-jnp.square(jnp.minimum(grid, SIZE - grid) / 2.0))
kernel = kernel / jnp.linalg.norm(kernel)

law = jnp.sort(ji.ntk.spectrum(kernel) ** 2)[::-1]
prior = ji.generators.two_layer(kernel, 1024, key=jax.random.key(0))
tangent = ji.ntk.empirical_kernel(prior, prior.params)
dense = jnp.linalg.eigvalsh(tangent)[::-1]
lanczos = ji.ntk.lanczos_spectrum(
    ji.ntk.linearize(prior, prior.params), 24, key=jax.random.key(1)
).values
print(f"largest eigenvalue: law {law[0]:.3f}, kernel {dense[0]:.3f}, products {lanczos.max():.3f}")

fig, ax = plt.subplots(figsize=(5, 3))
ax.semilogy(law, "-", color="#222222", label="closed form")
ax.semilogy(dense, "o", markersize=3, label="of a network, width 1024")
ax.set(xlabel="index", ylabel="eigenvalue", ylim=(1e-5, 10))
ax.legend()
fig.tight_layout()
plt.show()

assert abs(lanczos.max() / dense[0] - 1) < 1e-3
assert jnp.all(jnp.abs(dense[:9] / law[:9] - 1) < 0.3)
