"""Train LISTA: ten learned layers against ten steps of ISTA
=========================================================

A network is a stack of solvers. LISTA takes the step of ISTA and trains its matrices and thresholds
on problems that are drawn as it goes.
"""

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

A = ji.problems.sparse(40, 80).sample(jax.random.key(0)).operator
family = ji.problems.sparse(40, 80, sparsity=0.05, operator=A)

layers = ji.unfolded.lista_cp(A, 10)
trained = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=150, validate_every=75)
test = jax.random.key(2)
before = ji.unfolded.evaluate(test, layers, family, num_problems=500)
after = ji.unfolded.evaluate(test, trained.layers, family, num_problems=500)
print(f"as it starts {before.nmse_db:6.1f} dB, trained {after.nmse_db:6.1f} dB")

# %%
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(range(1, 11), before.layer_nmse_db, "o-", label="untrained")
ax.plot(range(1, 11), after.layer_nmse_db, "s-", label="trained")
ax.set(xlabel="layer", ylabel="NMSE (dB)")
ax.legend()
fig.tight_layout()
plt.show()

assert after.nmse_db < before.nmse_db - 3
