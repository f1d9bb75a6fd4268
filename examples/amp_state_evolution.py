"""AMP, and the state evolution that predicts it
=============================================

Approximate message passing on large random matrices has an error that a scalar recursion predicts,
step by step. Twenty problems run as one program.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

NUM_STEPS = 12
family = ji.problems.sparse(250, 500, sparsity=0.1, snr_db=40.0)
shrinkage = ji.shrinkage.posterior_mean(0.1)
solver = ji.solvers.amp(shrinkage)


def score(problem, state):
    return ji.metrics.nmse(problem.signal(state.u), problem.truth.x)


def run(key):
    problem = family.sample(key)
    _, (_, errors) = ji.trace(solver, problem, family.initial(key), NUM_STEPS, measure=score)
    return errors


measured = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 20)).mean(0)
law = ji.theory.state_evolution(
    shrinkage, aspect=0.5, sparsity=0.1, snr_db=40.0, num_steps=NUM_STEPS
).nmse
measured_db, law_db = 10 * jnp.log10(measured), 10 * jnp.log10(law)[-NUM_STEPS:]
for step in (0, 3, 6, 11):
    print(f"step {step + 1:2d}: {measured_db[step]:6.1f} dB, predicted {law_db[step]:6.1f} dB")

# %%
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(range(1, NUM_STEPS + 1), measured_db, "o", label="mean of 20 problems")
ax.plot(range(1, NUM_STEPS + 1), law_db, "-", color="#222222", label="state evolution")
ax.set(xlabel="step", ylabel="NMSE (dB)")
ax.legend()
fig.tight_layout()
plt.show()

assert jnp.abs(measured_db - law_db)[:3].max() < 1.5
