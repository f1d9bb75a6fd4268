"""Momentum in an unfolded network
===============================

A momentum term with a number of its own in each layer makes ALISTA converge faster; the symmetric
matrix of its authors is the second option here.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

A = ji.problems.sparse(60, 120).sample(jax.random.key(0)).operator
family = ji.problems.sparse(60, 120, sparsity=0.08, operator=A)
networks = {
    "ALISTA": ji.unfolded.alista(A, 10),
    "with momentum": ji.unfolded.alista(A, 10, momentum=True, symmetric=True),
}
fig, ax = plt.subplots(figsize=(5, 3))
errors = {}
for name, layers in networks.items():
    fitted = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=200, validate_every=100)
    found = ji.unfolded.evaluate(jax.random.key(2), fitted.layers, family, num_problems=500)
    errors[name] = found.nmse_db
    print(f"{name:14s} trains {', '.join(layers.trainable)}: {found.nmse_db:6.1f} dB")
    ax.plot(range(1, 11), found.layer_nmse_db, "o-", label=name)
ax.set(xlabel="layer", ylabel="NMSE (dB)")
ax.legend()
fig.tight_layout()
plt.show()

assert errors["with momentum"] < errors["ALISTA"]
