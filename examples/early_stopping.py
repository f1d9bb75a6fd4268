"""When to stop fitting an untrained network
=========================================

Fitted for long, a network takes up the noise too. The true error is drawn here, and where each rule
stops without seeing it: pixels held out of the fit, and the variance of the iterates.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxinv as ji

NUM_STEPS = 600
x = jnp.asarray(ji.data.image("camera", size=32))
y = x + 0.15 * jax.random.normal(jax.random.key(0), x.shape)
problem = ji.Problem(ji.operators.identity(x.shape), y)
prior = ji.generators.deep_decoder(x.shape, num_channels=48, num_layers=2)


def score(problem, state):
    return ji.metrics.nmse_db(problem.signal(state.u), x)


adam = ji.solvers.gradient(optax.adam(0.01))
_, (_, curve) = ji.trace(
    adam, problem._replace(prior=prior), prior.params, NUM_STEPS, measure=score
)

fig, ax = plt.subplots(figsize=(5.5, 3))
ax.plot(curve, color="#8a8a8a", label="of each iterate")
rules = {
    "held out": ji.untrained.held_out(0.1, patience=150),
    "variance": ji.untrained.exponential_variance(patience=150),
}
kept = {}
for (name, rule), marker in zip(rules.items(), "os", strict=True):
    found = ji.untrained.fit(jax.random.key(1), prior, problem, num_steps=NUM_STEPS, stop=rule)
    kept[name] = float(ji.metrics.nmse_db(found.x, x))
    step = int(found.history.best_step)
    print(f"{name:9s} keeps step {step:3d}: {kept[name]:.2f} dB")
    ax.plot(step, kept[name], marker, label=f"kept by {name}")
print(f"the last iterate: {float(curve[-1]):.2f} dB, the best one: {float(curve.min()):.2f} dB")
ax.set(xlabel="step", ylabel="NMSE (dB)")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
fig.tight_layout()
plt.show()

assert kept["held out"] < float(curve[-1])
