"""Your own unfolded network, in 20 lines
======================================

A layer is a solver: a step of yours, its numbers trained for each layer. Here the soft threshold of
ALISTA gives way to the garrote, z − threshold² / z, which hardly biases large entries.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxinv as ji


class State(NamedTuple):
    """What the next layer needs: the estimate."""

    u: jax.Array


@ji.pytree
class Garrote(ji.solvers.Solver):
    """ALISTA with the garrote."""

    weights: jax.Array
    step_size: jax.Array
    threshold: jax.Array
    positive = ("threshold",)  # no annotation, so no field: what training keeps positive

    def init(self, problem, u0):
        return State(u0)

    def step(self, problem, state):
        residual = problem.y - problem.operator(state.u)
        z = state.u + self.step_size * (self.weights.T @ residual)
        safe = jnp.where(jnp.abs(z) > self.threshold, z, jnp.inf)  # no division by 0
        u = jnp.where(jnp.abs(z) > self.threshold, z - self.threshold**2 / safe, 0)
        error = jnp.max(jnp.abs(u - state.u))
        return State(u), ji.solvers.Info(0.5 * jnp.sum(residual**2), error)


A = ji.problems.sparse(40, 80).sample(jax.random.key(0)).operator
family = ji.problems.sparse(40, 80, sparsity=0.05, operator=A)
first = Garrote(ji.unfolded.analytic_weights(A.matrix), jnp.ones(()), jnp.array(0.1))
networks = {
    # the matrix is one for all layers, the numbers are trained
    "garrote": ji.Layers.repeat(
        first, 6, shared=("weights",), trainable=("step_size", "threshold")
    ),
    "soft threshold": ji.unfolded.alista(A, 6, bypass_rate=0.0),
}
errors = {}
for name, layers in networks.items():
    fitted = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=100, validate_every=50)
    found = ji.unfolded.evaluate(jax.random.key(2), fitted.layers, family, num_problems=500)
    errors[name] = found.nmse_db
    print(f"{name:14s} NMSE {found.nmse_db:6.1f} dB")

assert errors["garrote"] < errors["soft threshold"] - 2
